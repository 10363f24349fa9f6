"""Secrets at rest."""

from __future__ import annotations

import os

import pytest

from nacre.crypto.sealed import KEY_SIZE, seal, unseal
from nacre.errors import UnusableKey

KEY = bytes(range(KEY_SIZE))


def test_what_is_sealed_is_unsealed() -> None:
    first, second = (seal(KEY, b"secret", b"alice", os.urandom) for _ in range(2))
    assert first != second
    assert b"secret" not in first
    assert unseal(KEY, first, b"alice") == unseal(KEY, second, b"alice") == b"secret"


def test_another_key_and_another_owner_unseal_nothing() -> None:
    sealed = seal(KEY, b"secret", b"alice", os.urandom)
    for key, text, owner in (
        (bytes(KEY_SIZE), sealed, b"alice"),
        (KEY, sealed, b"bob"),
        (KEY, sealed[:-1] + bytes([sealed[-1] ^ 1]), b"alice"),
        (KEY, sealed[:20], b"alice"),
        (KEY, b"", b"alice"),
    ):
        with pytest.raises(UnusableKey, match="a sealed secret"):
            unseal(key, text, owner)
