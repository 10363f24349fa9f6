from __future__ import annotations

import contextlib
from base64 import b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.crypto.signatures.rsa import RSASigner
from nacre.errors import KeyFormatError, UnusableKey
from nacre.keys import decode_public, generate, load_public
from nacre.keys.key import KEY_TYPES
from nacre.wire.codec import WireReader, mpint, string

ALGORITHMS = {
    "ssh-ed25519": ("ssh-ed25519",),
    "ecdsa-sha2-nistp256": ("ecdsa-sha2-nistp256",),
    "ecdsa-sha2-nistp384": ("ecdsa-sha2-nistp384",),
    "ecdsa-sha2-nistp521": ("ecdsa-sha2-nistp521",),
    "ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"),
    "ssh-ed448": ("ssh-ed448",),
    "ssh-dss": ("ssh-dss",),
    "ssh-mldsa44-ed25519@openssh.com": ("ssh-mldsa44-ed25519@openssh.com",),
}
BITS = {
    "ssh-ed25519": 256,
    "ecdsa-sha2-nistp256": 256,
    "ecdsa-sha2-nistp384": 384,
    "ecdsa-sha2-nistp521": 521,
    "ssh-rsa": 1024,
    "ssh-ed448": 448,
    "ssh-dss": 1024,
    "ssh-mldsa44-ed25519@openssh.com": 256,
}


def test_the_types_are_those_of_the_families() -> None:
    assert set(KEY_TYPES) == set(ALGORITHMS)


@pytest.mark.parametrize("type", KEY_TYPES)
def test_a_key_comes_back_from_its_blob(type: str, key_of) -> None:
    public = key_of(type).public
    again = decode_public(public.blob)
    assert again == public
    assert hash(again) == hash(public)
    assert {again: 1}[public] == 1
    assert again.type == type
    assert again.bits == BITS[type]
    assert again.signature_algorithms == ALGORITHMS[type]
    word, base64 = str(again).split(" ")
    assert word == type
    assert b64decode(base64) == public.blob


@pytest.mark.parametrize(("type", "algorithm"), [(t, a) for t in ALGORITHMS for a in ALGORITHMS[t]])
def test_a_signature_is_good_for_its_data_its_key_and_its_algorithm_only(
    type: str, algorithm: str, key_of
) -> None:
    key = key_of(type)
    signature = key.sign(b"data", algorithm)
    public = decode_public(key.public.blob)
    assert WireReader(signature).text() == algorithm
    assert public.verify(signature, b"data", algorithm)
    assert not public.verify(signature, b"datA", algorithm)
    for other in {a for names in ALGORITHMS.values() for a in names} - {algorithm}:
        assert not public.verify(signature, b"data", other)
    for other_type in set(ALGORITHMS) - {type}:
        assert not key_of(other_type).public.verify(signature, b"data", algorithm)


def test_a_signature_under_another_name_is_refused(key_of) -> None:
    """SHA-1 must not pass for SHA-2 by relabelling, nor the other way round."""
    key = key_of("ssh-rsa")
    reader = WireReader(key.sign(b"data", "ssh-rsa"))
    reader.string()
    relabelled = string(b"rsa-sha2-512") + string(reader.string())
    assert not key.public.verify(relabelled, b"data", "rsa-sha2-512")
    assert not key.public.verify(relabelled, b"data", "ssh-rsa")


@pytest.mark.parametrize("type", KEY_TYPES)
def test_an_algorithm_that_the_key_has_not(type: str, key_of) -> None:
    with pytest.raises(UnusableKey, match=r"makes no hmac-md5 signatures; it makes"):
        key_of(type).sign(b"data", "hmac-md5")


def test_a_dsa_signature_is_40_bytes(key_of) -> None:
    reader = WireReader(key_of("ssh-dss").sign(b"data", "ssh-dss"))
    reader.string()
    assert len(reader.string()) == 40


@pytest.mark.parametrize("type", KEY_TYPES)
@given(junk=st.binary(max_size=100))
def test_no_signature_makes_verify_raise(type: str, junk: bytes, key_of) -> None:
    public = key_of(type).public
    for algorithm in public.signature_algorithms:
        assert not public.verify(junk, b"data", algorithm)
        assert not public.verify(string(algorithm.encode()) + string(junk), b"data", algorithm)
        good = key_of(type).sign(b"data", algorithm)
        if junk:
            assert not public.verify(good + junk, b"data", algorithm)


@pytest.mark.parametrize("type", KEY_TYPES)
@given(data=st.data())
def test_a_damaged_blob_is_another_key_or_an_error(type: str, data, key_of) -> None:
    blob = bytearray(key_of(type).public.blob)
    for _ in range(data.draw(st.integers(1, 3))):
        blob[data.draw(st.integers(0, len(blob) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(blob[: data.draw(st.integers(0, len(blob)))])
    for damaged in (bytes(blob), cut, cut + b"\0"):
        with contextlib.suppress(KeyFormatError):
            assert decode_public(damaged).blob == damaged


def test_needless_bytes_in_a_number_are_refused() -> None:
    """Else a revoked key would come back under a blob that no list holds."""
    key = RSASigner.generate(1024).numbers
    n = mpint(key.n)[4:]
    assert decode_public(string(b"ssh-rsa") + mpint(key.e) + string(n)).bits == 1024
    with pytest.raises(KeyFormatError, match="needless bytes"):
        decode_public(string(b"ssh-rsa") + mpint(key.e) + string(b"\0" + n))


def test_bytes_behind_a_key_are_refused(key_of) -> None:
    with pytest.raises(KeyFormatError, match="damaged"):
        decode_public(key_of("ssh-ed25519").public.blob + b"\0")


def test_an_ecdsa_key_that_names_another_curve(key_of) -> None:
    reader = WireReader(key_of("ecdsa-sha2-nistp256").public.blob)
    reader.string()
    fields = reader.rest()
    with pytest.raises(KeyFormatError, match="names the curve nistp256"):
        decode_public(string(b"ecdsa-sha2-nistp384") + fields)


@pytest.mark.parametrize(
    "type", [b"ssh-unknown", b"", b"\xff\x1b[2J", b"ssh-xmss-cert-v01@openssh.com"]
)
def test_a_type_that_does_not_exist(type: bytes) -> None:
    with pytest.raises(KeyFormatError, match="not supported") as caught:
        decode_public(string(type) + bytes(100))
    assert "\x1b" not in str(caught.value)


def test_generate() -> None:
    assert generate("ssh-ed25519", comment="here").comment == "here"
    assert generate("ssh-rsa", bits=2048).public.bits == 2048
    assert generate("ssh-ed25519").public != generate("ssh-ed25519").public


@pytest.mark.parametrize(
    ("type", "bits"),
    [
        ("ssh-rsa", 512),
        ("ssh-rsa", 32768),
        ("ssh-ed25519", 512),
        ("ecdsa-sha2-nistp256", 384),
        ("ssh-ed448", 456),
        ("ssh-mldsa44-ed25519@openssh.com", 512),
        ("ssh-dss", 512),
        ("ssh-nothing", None),
    ],
)
def test_generate_refuses_types_and_sizes_that_do_not_exist(type: str, bits: int | None) -> None:
    with pytest.raises(KeyFormatError):
        generate(type, bits=bits)


def test_no_secret_shows_in_a_repr(key_of) -> None:
    key = key_of("ssh-ed25519")
    assert repr(key) == f"<private key of <ssh-ed25519 256 {key.public.fingerprint()}>>"


def test_a_key_is_equal_to_keys_only(key_of) -> None:
    public = key_of("ssh-ed25519").public
    assert public != public.blob
    assert public != key_of("ecdsa-sha2-nistp256").public


@pytest.mark.parametrize(
    "line",
    [
        "",
        "ssh-ed25519",
        "ssh-ed25519 !!!!",
        "ssh-ed25519 AAAA",
        "ssh-ed25519 \u20ac",
        b"\xff\xfe \xff",
    ],
)
def test_lines_that_hold_no_public_key(line: str | bytes) -> None:
    with pytest.raises(KeyFormatError):
        load_public(line)


def test_a_line_that_claims_another_type(key_of) -> None:
    base64 = str(key_of("ssh-rsa").public).split()[1]
    with pytest.raises(KeyFormatError, match="do not match"):
        load_public(f"ssh-ed25519 {base64}")


def test_a_line_with_and_without_a_comment(key_of) -> None:
    key = key_of("ssh-ed25519").public
    assert load_public(f"{key}\n") == (key, "")
    assert load_public(f"  {key}  two words \r\n".encode()) == (key, "two words")
