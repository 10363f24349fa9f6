"""The authority of the server's own state directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from nacre.daemon.accounts.authorized.own import OwnAuthority
from nacre.daemon.authority.files import AuthorityFiles
from nacre.errors import AccountError, StateError
from nacre.keys import generate
from nacre.keys.certificate import Certificate

KEY = generate("ssh-ed25519").public


def test_its_certificates_log_in_where_it_is_trusted(tmp_path: Path) -> None:
    files, own = AuthorityFiles(tmp_path), OwnAuthority(tmp_path, trusted=True)
    other = Certificate.issue(KEY, generate("ssh-ed25519"))
    assert not own.trusts(other)
    own.refuse_revoked(other)
    files.make()  # while the server runs
    made = Certificate.issue(KEY, files.private("user"), serial=1)
    assert own.trusts(made)
    assert not OwnAuthority(tmp_path, trusted=False).trusts(made)
    for key in (other, KEY, Certificate.issue(KEY, files.private("host"))):
        assert not own.trusts(key)


def test_what_is_revoked_is_refused_whoever_trusts_it(tmp_path: Path) -> None:
    files, own = AuthorityFiles(tmp_path), OwnAuthority(tmp_path, trusted=False)
    files.make()
    made = Certificate.issue(KEY, files.private("user"), serial=1)
    own.refuse_revoked(made)
    files.revoked.write_text(f"{KEY}\n")
    with pytest.raises(AccountError, match="is revoked"):
        own.refuse_revoked(made)
    own.refuse_revoked(KEY)  # a key is no certificate of the authority
    files.revoked.unlink()
    with pytest.raises(AccountError, match="can't be read"):
        own.refuse_revoked(made)
    files.public_path("user").write_text("no key")
    with pytest.raises(StateError):
        own.refuse_revoked(made)
