"""Stored passwords."""

from __future__ import annotations

from os import urandom
from time import process_time

import bcrypt
import pytest

from nacre.crypto import password
from nacre.crypto.password import hash_password, needs_rehash, verify_password, verify_unknown


def test_only_the_password_itself_matches() -> None:
    stored = hash_password("pässword".encode(), urandom)
    assert verify_password(stored, "pässword".encode())
    assert not verify_password(stored, b"password")
    assert not verify_password(stored, b"")
    assert not needs_rehash(stored)


def test_the_format() -> None:
    assert hash_password(b"x", bytes).startswith("$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAA")


def test_salts_differ() -> None:
    assert hash_password(b"x", urandom) != hash_password(b"x", urandom)


@pytest.mark.parametrize(
    "stored", ["", "x", "$argon2id$v=19$m=19456,t=2,p=1$", "$2b$12$" + "a" * 53, "$argon2id$é"]
)
def test_what_is_no_hash_matches_nothing(stored: str) -> None:
    assert not verify_password(stored, b"")
    assert not verify_password(stored, b"x")


def test_hashes_of_bcrypt_are_verified_and_replaced() -> None:
    stored = bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)).decode()
    for form in ("$2a$", "$2b$", "$2y$"):
        assert verify_password(form + stored[4:], b"x" * 72)
        assert not verify_password(form + stored[4:], b"x" * 71)
    assert verify_password(stored, b"x" * 72 + b"what bcrypt does not look at")
    assert needs_rehash(stored)


def test_other_parameters_want_a_rehash(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(password, "ITERATIONS", 1)
        stored = hash_password(b"x", urandom)
    assert verify_password(stored, b"x")
    assert needs_rehash(stored)
    assert needs_rehash("$2b$12$" + "a" * 53)


@pytest.mark.slow
def test_an_unknown_user_costs_as_much_as_a_known_one() -> None:
    stored = hash_password(b"x", urandom)

    def cost(known: bool) -> float:
        start = process_time()
        matched = verify_password(stored, b"y") if known else verify_unknown(b"y")
        assert not matched
        return process_time() - start

    known = min(cost(True) for _ in range(5))
    unknown = min(cost(False) for _ in range(5))
    assert 0.5 < known / unknown < 2
