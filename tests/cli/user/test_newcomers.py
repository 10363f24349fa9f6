"""Users from lines of a file, and their passwords."""

from __future__ import annotations

from pathlib import Path

import pytest

from nacre.cli.user.newcomers import check_fit, checked, hashes, read_newcomers
from nacre.crypto.password import verify_password
from nacre.daemon.store.values import User
from nacre.errors import UserStoreError
from nacre.keys import generate

KEY, OTHER = (generate("ssh-ed25519").public for _ in range(2))


def test_lines_of_one_name_add_up_and_a_password_may_have_anything(tmp_path: Path) -> None:
    file = tmp_path / "users"
    lines = [
        b"# a comment",
        b"",
        b"alice:a b:c # d \xff",
        f"bob {KEY} laptop".encode(),
        f"bob {OTHER}".encode(),
        b"carol",
        f"alice {KEY} here: there".encode(),
    ]
    file.write_bytes(b"\r\n".join(lines))
    found = read_newcomers(str(file))
    assert list(found) == ["alice", "bob", "carol"]
    assert found["alice"].password == b"a b:c # d \xff"
    assert [(key.key, key.comment) for key in found["alice"].keys] == [(KEY, "here: there")]
    assert [(key.key, key.comment) for key in found["bob"].keys] == [(KEY, "laptop"), (OTHER, "")]
    assert (found["carol"].password, found["carol"].keys) == (None, [])


def test_hashes_are_in_order() -> None:
    passwords = [b"one", None, b"two", b"three"]
    made = list(hashes(passwords))
    assert [made_ is None for made_ in made] == [False, True, False, False]
    for password, stored in zip(passwords, made, strict=True):
        assert password is None or verify_password(str(stored), password)
    assert len(set(made)) == 4


def test_passwords_that_no_login_can_send() -> None:
    assert checked(b"x" * 8192) == b"x" * 8192
    for password, why in ((b"", "empty"), (b"x" * 8193, "8193 bytes")):
        with pytest.raises(UserStoreError, match=why):
            checked(password)


def test_a_user_without_a_password_fits_every_setting() -> None:
    user = User(name="alice", password_length=8)
    check_fit(user, None)
    check_fit(user, b"long enough")
    with pytest.raises(UserStoreError, match="alice: the password has 5 characters"):
        check_fit(user, b"short")
