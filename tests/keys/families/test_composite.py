"""Keys of ML-DSA-44 with Ed25519; what all families have in common is in test_key.py."""

from __future__ import annotations

import pytest

from nacre.crypto.signatures.certified import certified, plain
from nacre.errors import KeyFormatError, UnusableKey
from nacre.keys import (
    Certificate,
    CertifiedKey,
    decode_public,
    dump_private,
    generate,
    load_private,
)
from nacre.keys.agents.private import encode
from nacre.keys.families.composite import CompositePrivateKey
from nacre.keys.fingerprint import family
from nacre.keys.hosts.lines import host_lines
from nacre.keys.hosts.sshfp import records
from nacre.wire.codec import WireReader, string

TYPE = "ssh-mldsa44-ed25519@openssh.com"
CERTIFICATE = "ssh-mldsa44-ed25519-cert-v01@openssh.com"
KEY, OTHER = (generate(TYPE, comment=name) for name in ("a key", "other"))


def test_the_names_of_the_type_and_of_its_certificates() -> None:
    assert certified(TYPE) == CERTIFICATE
    assert plain(CERTIFICATE) == TYPE
    assert (family(TYPE), family(CERTIFICATE)) == ("MLDSA44-ED25519", "MLDSA44-ED25519-CERT")


def test_the_fields_of_the_public_and_the_private_half() -> None:
    public = KEY.public.blob[4 + len(TYPE) :]
    assert len(public) == 4 + 1344
    secret = KEY.secret_fields()
    assert secret[: len(public)] == public
    assert len(secret) == len(public) + 4 + 64


def test_a_file_is_as_long_as_that_of_openssh() -> None:
    """A published listing shows a file of OpenSSH's: 4006 bytes, with a comment of 14."""
    assert len(dump_private(generate(TYPE, comment="x" * 14))) == 4006


def test_halves_that_do_not_match() -> None:
    public, seeds = (WireReader(key.secret_fields()) for key in (OTHER, KEY))
    seeds.string()
    fields = string(public.string()) + string(seeds.string())
    with pytest.raises(KeyFormatError, match="do not match"):
        CompositePrivateKey.decode(TYPE, WireReader(fields))


@pytest.mark.parametrize("change", [-1, 1])
def test_a_field_of_another_size(change: int) -> None:
    reader = WireReader(KEY.secret_fields())
    public, seeds = reader.string(), reader.string()
    wrong = (public + b"\0")[: len(public) + change], (seeds + b"\0")[: len(seeds) + change]
    with pytest.raises(KeyFormatError, match="64 bytes"):
        CompositePrivateKey.decode(TYPE, WireReader(string(public) + string(wrong[1])))
    with pytest.raises(KeyFormatError, match="1344 bytes"):
        decode_public(string(TYPE.encode()) + string(wrong[0]))


@pytest.mark.parametrize("passphrase", [None, "secret"])
def test_openssh_key_v1(passphrase: str | None) -> None:
    again = load_private(dump_private(KEY, passphrase, rounds=1), passphrase)
    assert (again.public, again.comment) == (KEY.public, "a key")
    assert again.secret_fields() == KEY.secret_fields()


def test_an_authority_of_this_type_certifies_a_key_of_this_type() -> None:
    certificate = Certificate.issue(KEY.public, OTHER, principals=["alice"])
    again = decode_public(certificate.blob)
    assert isinstance(again, Certificate)
    assert (again.type, again.key, again.authority) == (CERTIFICATE, KEY.public, OTHER.public)
    assert again.signature_algorithm == TYPE
    damaged = certificate.blob[:-1] + bytes([certificate.blob[-1] ^ 1])
    with pytest.raises(KeyFormatError):
        decode_public(damaged)


def test_agents_get_the_public_half_in_the_certificate_alone() -> None:
    """As OpenSSH serializes it; Ed25519 has its public half in both places."""
    certificate = Certificate.issue(KEY.public, OTHER)
    reader = WireReader(encode(CertifiedKey(certificate, KEY)))
    assert reader.text() == CERTIFICATE
    assert reader.string() == certificate.blob
    assert len(reader.string()) == 64
    assert reader.text() == "a key"
    reader.end()


def test_there_are_no_sshfp_records() -> None:
    with pytest.raises(UnusableKey, match=f"no SSHFP records for keys of type {TYPE}"):
        records(KEY.public)


def test_known_hosts_have_lines_with_it() -> None:
    for type in (TYPE, CERTIFICATE):
        (line,) = host_lines(f"h {type} AAAA".encode())
        assert (line.key, line.bad) == (f"{type} AAAA", False)
