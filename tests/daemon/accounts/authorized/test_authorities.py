from __future__ import annotations

from pathlib import Path

import pytest

from nacre.daemon.accounts.authorized import authorities
from nacre.daemon.accounts.authorized.authorities import trusts
from nacre.errors import AccountError
from nacre.keys import generate

CA, SECOND, OTHER = (generate("ssh-ed25519").public for _ in range(3))


def test_the_keys_of_a_file_are_trusted(tmp_path: Path) -> None:
    file = tmp_path / "authorities"
    file.write_text(f"# ours\n\n{CA} a comment\r\n  {SECOND}\n")
    assert trusts(str(file), CA)
    assert trusts(str(file), SECOND)
    assert not trusts(str(file), OTHER)


def test_behind_a_line_that_is_no_key_nothing_is_trusted(tmp_path: Path) -> None:
    file = tmp_path / "authorities"
    file.write_text(f"{CA}\ncert-authority {SECOND}\n{OTHER}\n")
    assert trusts(str(file), CA)
    with pytest.raises(AccountError, match=f"TrustedUserCAKeys: {file} line 2: "):
        trusts(str(file), OTHER)


def test_a_file_that_can_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "authorities"
    with pytest.raises(AccountError, match=r"can't read .*No such file"):
        trusts(str(file), CA)
    file.write_text("#" * 100)
    monkeypatch.setattr(authorities, "_MOST", 99)
    with pytest.raises(AccountError, match="more than 99 bytes"):
        trusts(str(file), CA)
