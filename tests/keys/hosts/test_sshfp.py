"""SSHFP records. That they are those of ssh-keygen: tests/interop/test_keygen.py."""

from __future__ import annotations

import hashlib

import pytest

from nacre.errors import UnusableKey
from nacre.keys import generate
from nacre.keys.hosts.sshfp import SSHFP, records


def test_a_record_for_each_hash() -> None:
    key = generate("ssh-ed25519").public
    sha1, sha256 = hashlib.sha1(key.blob).digest(), hashlib.sha256(key.blob).digest()
    assert records(key) == [SSHFP(4, 1, sha1), SSHFP(4, 2, sha256)]
    assert records(key, ["sha256"]) == [SSHFP(4, 2, sha256)]


def test_lines_of_a_zone_file() -> None:
    record = SSHFP(4, 2, bytes.fromhex("0a" * 32))
    assert record.line("h") == f"h IN SSHFP 4 2 {'0a' * 32}"
    assert record.line("h", generic=True) == rf"h IN TYPE44 \# 34 04 02 {'0a' * 32}"


def test_types_without_a_number_have_none() -> None:
    with pytest.raises(UnusableKey, match="no SSHFP records for keys of type rsa1"):
        records(generate("rsa1", bits=1024).public)
