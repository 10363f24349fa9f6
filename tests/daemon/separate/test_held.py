"""Host keys in a process that has their blobs alone."""

from __future__ import annotations

import pytest

from nacre.daemon.separate.held import blobs_of, held
from nacre.errors import KeyFormatError
from nacre.keys import generate
from nacre.keys.certificate import Certificate, CertifiedKey


@pytest.mark.parametrize("kind", ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"])
def test_a_key_that_the_monitor_holds(kind: str) -> None:
    key = generate(kind)
    (blob,) = blobs_of([key])
    there = held(blob)
    assert there.public == key.public
    assert there.held
    assert not key.held


def test_a_key_with_a_certificate() -> None:
    authority, key = generate("ssh-ed25519"), generate("ssh-ed25519")
    certificate = Certificate.issue(key.public, authority, kind="host")
    whole = CertifiedKey(certificate, key)
    (blob,) = blobs_of([whole])
    there = held(blob)
    assert there.public == certificate
    assert there.plain.public == key.public
    assert there.held


@pytest.mark.parametrize("blob", [b"", b"\0\0\0\x0bssh-ed25519", b"\xff" * 40])
def test_what_is_no_key(blob: bytes) -> None:
    with pytest.raises(KeyFormatError):
        held(blob)
