from __future__ import annotations

from base64 import b64encode

import pytest

from nacre.crypto.signatures.certified import certified, plain
from nacre.errors import KeyFormatError, UnusableKey
from nacre.keys import decode_public, generate, load_public
from nacre.keys.certificate import (
    FOREVER,
    MOST_PRINCIPALS,
    USER_EXTENSIONS,
    Certificate,
    CertifiedKey,
    option,
)
from nacre.keys.key import KEY_TYPES, too_weak
from nacre.wire.codec import string

CA = generate("ssh-ed25519", comment="ca")


def issued(key, **fields) -> Certificate:
    return Certificate.issue(key.public, CA, random=bytes, **fields)


@pytest.mark.parametrize("type", KEY_TYPES)
def test_a_certificate_comes_back_from_its_blob_with_all_fields(type: str, key_of) -> None:
    made = issued(
        key_of(type),
        key_id="alice's",
        principals=["alice", "bob"],
        valid_after=5,
        valid_before=9,
        serial=3,
        critical_options={"force-command": option("ls")},
        extensions={"permit-pty": b""},
    )
    again = decode_public(made.blob)
    assert isinstance(again, Certificate)
    assert again == made
    assert again.type == certified(type)
    assert again.plain == again.key == key_of(type).public
    assert (again.key_id, again.principals, again.serial) == ("alice's", ("alice", "bob"), 3)
    assert (again.valid_after, again.valid_before, again.kind) == (5, 9, 1)
    assert again.critical_options == {"force-command": string(b"ls")}
    assert again.extensions == {"permit-pty": b""}
    assert again.authority == CA.public
    assert again.signature_algorithm == "ssh-ed25519"
    assert again.fingerprint() == key_of(type).public.fingerprint()
    assert load_public(f"{made} comment") == (made, "comment")


def test_by_default_a_user_may_do_what_ssh_keygen_permits_and_a_host_nothing(key_of) -> None:
    key = key_of("ssh-ed25519")
    assert tuple(issued(key).extensions) == USER_EXTENSIONS
    host = issued(key, kind="host")
    assert host.extensions == {}
    assert host.kind == 2
    assert host.valid_before == FOREVER


@pytest.mark.parametrize("type", KEY_TYPES)
def test_a_certified_key_signs_as_its_key_does(type: str, key_of) -> None:
    key = key_of(type)
    whole = CertifiedKey(issued(key), key)
    assert whole.comment == key.comment
    for algorithm in whole.public.signature_algorithms:
        signature = whole.sign(b"data", algorithm)
        assert whole.public.verify(signature, b"data", algorithm)
        assert key.public.verify(signature, b"data", plain(algorithm))
        assert not whole.public.verify(signature, b"other", algorithm)
        assert not whole.public.verify(signature, b"data", plain(algorithm))
    with pytest.raises(UnusableKey, match=r"makes no .* signatures"):
        whole.sign(b"data", key.public.signature_algorithms[0])


def test_a_certificate_of_another_key_is_refused(key_of) -> None:
    with pytest.raises(UnusableKey, match="the certificate is for the key SHA256"):
        CertifiedKey(issued(key_of("ssh-ed25519")), key_of("ssh-rsa"))


@pytest.mark.parametrize("place", range(40, 300, 7))
def test_a_changed_byte_is_found(place: int, key_of) -> None:
    blob = bytearray(issued(key_of("ssh-ed25519"), key_id="x" * 40).blob)
    blob[place] ^= 1
    with pytest.raises(KeyFormatError):
        decode_public(bytes(blob))


def test_bytes_behind_the_signature_are_refused(key_of) -> None:
    with pytest.raises(KeyFormatError, match="damaged"):
        decode_public(issued(key_of("ssh-ed25519")).blob + b"\0")


def test_a_certificate_can_not_sign_another_and_is_certified_by_its_key(key_of) -> None:
    key = key_of("ssh-ed25519")
    first = issued(key)
    again = Certificate.issue(first, CA)
    assert again.key == key.public
    signer = Certificate.issue(key.public, CertifiedKey(first, key), algorithm=first.type)
    assert signer.authority == key.public


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({}, None),
        ({"kind": "host"}, "it is not a user's certificate"),
        ({"valid_after": 101}, "the certificate is not yet valid"),
        ({"valid_after": 100}, None),
        ({"valid_before": 100}, "the certificate has expired"),
        ({"valid_before": 101}, None),
        ({"principals": ()}, "the certificate has no principals"),
        ({"principals": ("bob",)}, "alice is not among the certificate's principals"),
        ({"principals": ("al*",)}, "alice is not among the certificate's principals"),
    ],
)
def test_a_certificate_is_for_its_kind_time_and_names(fields, refusal: str | None, key_of) -> None:
    made = issued(key_of("ssh-ed25519"), **{"principals": ("alice", "carol"), **fields})
    assert made.refusal("user", "alice", now=100) == refusal


def test_principals_of_hosts_are_patterns_and_may_be_missing(key_of) -> None:
    key = key_of("ssh-ed25519")
    star = issued(key, kind="host", principals=("*.example.org",))
    assert star.refusal("host", "a.example.org", now=1, patterns=True) is None
    assert star.refusal("host", "example.org", now=1, patterns=True) is not None
    none = issued(key, kind="host")
    assert none.refusal("host", "any", now=1, needs_principals=False) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"serial": -1},
        {"serial": 1 << 64},
        {"valid_after": 5, "valid_before": 5},
        {"valid_before": 1 << 64},
        {"principals": [""]},
        {"principals": ["x"] * (MOST_PRINCIPALS + 1)},
    ],
)
def test_fields_out_of_their_bounds_are_refused(fields, key_of) -> None:
    with pytest.raises(KeyFormatError):
        issued(key_of("ssh-ed25519"), **fields)


def test_weak_authorities_are_told_from_strong_ones(key_of) -> None:
    rsa = key_of("ssh-rsa")
    ed25519 = key_of("ssh-ed25519").public
    sha1 = Certificate.issue(ed25519, rsa, algorithm="ssh-rsa")
    sha2 = Certificate.issue(ed25519, rsa)
    strong = ("rsa-sha2-512",)
    assert too_weak(sha2, 1024, strong) is None
    assert "RequiredRSASize is 2048" in str(too_weak(sha2, 2048, strong))
    assert "CASignatureAlgorithms" in str(too_weak(sha1, 1024, strong))
    assert too_weak(sha1, 1024, ("ssh-rsa",)) is None
    assert too_weak(rsa.public, 1024, ()) is None
    assert "it has 1024 bits" in str(too_weak(rsa.public, 1025, ()))


def test_the_text_of_a_certificate_is_base64_of_its_blob(key_of) -> None:
    made = issued(key_of("ssh-ed25519"))
    assert str(made).split()[1] == b64encode(made.blob).decode()
