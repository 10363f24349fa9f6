from __future__ import annotations

from pathlib import Path

import pytest

from nacre.config import revoked
from nacre.daemon.accounts.authorized.revoked import refuse_revoked
from nacre.errors import AccountError
from nacre.keys import generate
from nacre.keys.certificate import Certificate

KEY, OTHER, CA = (generate("ssh-ed25519") for _ in range(3))
CERTIFICATE = Certificate.issue(KEY.public, CA)


def test_a_key_a_certificate_and_its_authority_may_be_revoked(tmp_path: Path) -> None:
    file = tmp_path / "revoked"
    file.write_text(f"{OTHER.public}\n")
    refuse_revoked(KEY.public, str(file))
    refuse_revoked(CERTIFICATE, str(file))
    for line in (KEY.public, CA.public):
        file.write_text(f"{line}\n")
        with pytest.raises(AccountError, match=f"RevokedKeys {file}: .*revoked"):
            refuse_revoked(CERTIFICATE, str(file))
    refuse_revoked(KEY.public, str(file))


@pytest.mark.parametrize("fault", ["missing", "damaged", "large", "directory"])
def test_a_file_that_can_not_be_read_refuses_every_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    file = tmp_path / "revoked"
    if fault == "damaged":
        file.write_bytes(b"SSHKRL\n\0")
    elif fault == "large":
        file.write_text("#" * 100)
        monkeypatch.setattr(revoked, "MAXIMUM_SIZE", 99)
    elif fault == "directory":
        file.mkdir()
    with pytest.raises(AccountError, match="can't be read"):
        refuse_revoked(KEY.public, str(file))
