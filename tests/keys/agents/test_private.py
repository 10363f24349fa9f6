from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.soft_key import TYPES, SoftKey
from nacre.errors import KeyFormatError
from nacre.keys import Certificate, CertifiedKey, generate
from nacre.keys.agents.private import decode, encode
from nacre.keys.key import KEY_TYPES
from nacre.wire.codec import WireReader, string

AUTHORITY = generate("ssh-ed25519")
OTHER = generate("ssh-ed25519")


@pytest.mark.parametrize("type", KEY_TYPES)
def test_a_plain_key_and_what_follows_it(type: str, key_of) -> None:
    key = key_of(type)
    read, rest = decode(encode(key) + b"behind")
    assert (read.public, read.comment) == (key.public, key.comment)
    assert read.secret_fields() == key.secret_fields()
    assert rest.rest() == b"behind"


@pytest.mark.parametrize("type", KEY_TYPES)
def test_a_key_with_its_certificate(type: str, key_of) -> None:
    key = key_of(type)
    certificate = Certificate.issue(key.public, AUTHORITY, principals=["alice"])
    made = CertifiedKey(certificate, key)
    read, rest = decode(encode(made) + b"behind")
    assert isinstance(read, CertifiedKey)
    assert read.public == certificate
    assert read.comment == key.comment
    assert read.private.secret_fields() == key.secret_fields()
    assert rest.rest() == b"behind"
    algorithm = certificate.signature_algorithms[0]
    assert certificate.verify(read.sign(b"data", algorithm), b"data", algorithm)


@pytest.mark.parametrize("type", TYPES)
def test_a_security_key(type: str) -> None:
    key = SoftKey(type).private
    for made in (key, CertifiedKey(Certificate.issue(key.public, AUTHORITY), key)):
        read, rest = decode(encode(made) + b"behind")
        assert read.public == made.public
        plain = read.private if isinstance(read, CertifiedKey) else read
        assert plain.secret_fields() == key.secret_fields()
        assert rest.rest() == b"behind"


def test_the_certificate_of_another_key_is_refused() -> None:
    certificate = Certificate.issue(OTHER.public, AUTHORITY)
    key = CertifiedKey(Certificate.issue(AUTHORITY.public, AUTHORITY), AUTHORITY)
    reader = WireReader(encode(key))
    forged = string(reader.string())
    reader.string()
    with pytest.raises(KeyFormatError, match="certificate is for the key"):
        decode(forged + string(certificate.blob) + reader.rest())


def test_a_certificate_of_another_type_is_refused() -> None:
    data = string(b"ssh-rsa-cert-v01@openssh.com") + string(
        Certificate.issue(OTHER.public, AUTHORITY).blob
    )
    with pytest.raises(KeyFormatError, match="not of the type"):
        decode(data)


def test_an_error_shows_nothing_of_the_key() -> None:
    data = encode(AUTHORITY)
    for size in range(len(data)):
        with pytest.raises(KeyFormatError) as caught:
            decode(data[:size])
        assert len(str(caught.value)) < 300


@given(st.binary(max_size=100))
def test_damage_is_a_key_format_error(data: bytes) -> None:
    with pytest.raises(KeyFormatError):
        decode(data)
