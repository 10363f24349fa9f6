"""Keys on security keys: their forms, and the signatures that they take."""

from __future__ import annotations

import random
from base64 import b64decode
from typing import Any

import pytest

from keys.soft_key import TYPES, SoftKey
from nacre.crypto.signatures.certified import certified
from nacre.errors import KeyFormatError, UnusableKey
from nacre.keys import (
    Certificate,
    decode_public,
    dump_private,
    generate,
    load_private,
    load_public,
)
from nacre.keys.base import Presence
from nacre.keys.families.security_key import (
    ECDSA,
    ED25519,
    WEBAUTHN,
    SecurityFlags,
    SecurityPrivateKey,
)

DATA = b"the data"
KEYS = {type: SoftKey(type) for type in TYPES}

OPENSSH = {
    "ed25519-sk": (
        "AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIC5HpWbdud1PV2ROZo1PieZYz9YndDHJH/52"
        "de8GZZbzAAAABHNzaDo=",
        "U1NIU0lHAAAABW5hY3JlAAAAAAAAAAZzaGE1MTIAAABAPcUqTxMS770eHEXsTszRJw2L7apHQj+Q+Cpr"
        "s3jrqifHYTP+LlfwUxbp3NCHCYver7VJiy55TyZmG5PzB54XTw==",
        "AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAQHDdqCTje0I+H5kIA8Oi4eeShgjZSX37MK13"
        "CXu/MbLo/OmAgovOJVpk08efvSKnzyOVQ8zGpJIPZmMOVqlZ3QcBEjRWeA==",
    ),
    "ecdsa-sk": (
        "AAAAInNrLWVjZHNhLXNoYTItbmlzdHAyNTZAb3BlbnNzaC5jb20AAAAIbmlzdHAyNTYAAABBBIB/6IR/"
        "6HMOTUks0l5auqZbk1Jld3b2h8ehicY59JGZOLhS6WcTgYssM4AnrCiyc6rzo1+EKaGr0COhYt7IdYIA"
        "AAAEc3NoOg==",
        "U1NIU0lHAAAABW5hY3JlAAAAAAAAAAZzaGE1MTIAAABAPcUqTxMS770eHEXsTszRJw2L7apHQj+Q+Cpr"
        "s3jrqifHYTP+LlfwUxbp3NCHCYver7VJiy55TyZmG5PzB54XTw==",
        "AAAAInNrLWVjZHNhLXNoYTItbmlzdHAyNTZAb3BlbnNzaC5jb20AAABJAAAAIQCYO+dSKxPRDnmObT9C"
        "T09ckqAz6rXb6XkEdm4mD/kJfQAAACBF6P/xUK9Jh9CLBg3CNLU5B/UOo6kYUdrYn9CI17ofMwESNFZ4",
    ),
}
"""Public keys, data, and signatures that ssh-keygen made with a security key in software."""


@pytest.fixture(params=TYPES)
def soft(request: pytest.FixtureRequest) -> SoftKey:
    return KEYS[request.param]


def test_a_signature_tells_of_the_person(soft: SoftKey):
    for flags, presence in (
        (0x01, Presence(True, False)),
        (0x05, Presence(True, True)),
        (0x00, Presence(False, False)),
        (0x04, Presence(False, True)),
    ):
        made = soft.sign(DATA, flags=flags)
        assert soft.public.verify(made, DATA, soft.public.type)
        assert soft.public.presence(made) == presence
    assert soft.public.presence(b"noise") == Presence(False, False)


def test_everything_in_a_signature_is_signed(soft: SoftKey):
    """No change of one bit goes unnoticed: not of the flags, the counter or the data."""
    made = soft.sign(DATA)
    assert not soft.public.verify(made, DATA + b"!", soft.public.type)
    for at in range(len(made)):
        for bit in (0x01, 0x80):
            changed = bytearray(made)
            changed[at] ^= bit
            assert not soft.public.verify(bytes(changed), DATA, soft.public.type), at


def test_a_signature_for_another_application_is_none(soft: SoftKey):
    other = SoftKey(soft.public.type, b"https://example.com")
    other._inner = soft._inner
    assert not soft.public.verify(other.sign(DATA), DATA, soft.public.type)


@pytest.mark.parametrize("cut", [1, 4, 5, 9])
def test_signatures_end_where_they_should(soft: SoftKey, cut: int):
    made = soft.sign(DATA)
    assert not soft.public.verify(made[:-cut], DATA, soft.public.type)
    assert not soft.public.verify(made + bytes(cut), DATA, soft.public.type)


def test_the_key_inside_signs_nothing_by_itself(soft: SoftKey):
    plain = soft._inner.sign(DATA, soft._inner.public.type)
    assert not soft.public.verify(plain, DATA, soft.public.type)
    assert not soft.public.verify(plain, DATA, soft._inner.public.type)


# --- signatures that a browser has had made ---


def web(made: bytes) -> bool:
    return KEYS[ECDSA].public.verify(made, DATA, WEBAUTHN)


def test_a_browser_signs():
    made = KEYS[ECDSA].browse(DATA)
    assert web(made)
    assert KEYS[ECDSA].public.presence(made) == Presence(True, False)
    assert web(KEYS[ECDSA].browse(DATA, flags=0x81, extensions=b"\xa1aatrue"))


def test_a_text_that_ends_behind_the_origin_is_taken():
    made = KEYS[ECDSA].browse(
        DATA,
        client_data=b'{"type":"webauthn.get","challenge":"dGhlIGRhdGE","origin":"https://example.com"}',
    )
    assert web(made)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"told": "https://example.org"}, id="another origin beside the text"),
        pytest.param({"origin": 'a","x":"'}, id="an origin that ends its own text"),
        pytest.param({"flags": 0x41}, id="attested data"),
        pytest.param({"flags": 0x81}, id="extensions that are missing"),
        pytest.param({"extensions": b"x"}, id="extensions without their flag"),
        pytest.param({"client_data": b"{}"}, id="another text"),
        pytest.param(
            {
                "client_data": b'{"type":"webauthn.create","challenge":"dGhlIGRhdGE",'
                b'"origin":"https://example.com"}'
            },
            id="a new key and no login",
        ),
        pytest.param(
            {
                "client_data": b'{"type":"webauthn.get","challenge":"dGhlIGRhdGF",'
                b'"origin":"https://example.com"}'
            },
            id="another challenge",
        ),
    ],
)
def test_a_browser_signs_nothing_else(options: dict[str, Any]):
    assert not web(KEYS[ECDSA].browse(DATA, **options))


def test_the_two_forms_of_a_signature_are_not_exchanged():
    soft = KEYS[ECDSA]
    assert not soft.public.verify(soft.browse(DATA), DATA, ECDSA)
    assert not soft.public.verify(soft.sign(DATA), DATA, WEBAUTHN)
    assert soft.public.signature_algorithms == (ECDSA, WEBAUTHN)
    assert KEYS[ED25519].public.signature_algorithms == (ED25519,)


# --- forms ---


def test_a_file_holds_the_handle(soft: SoftKey):
    private = SecurityPrivateKey(
        soft.public, SecurityFlags.VERIFY | SecurityFlags.RESIDENT, b"h" * 64, comment="mine"
    )
    for passphrase in (None, "secret"):
        text = dump_private(private, passphrase, rounds=1)
        again = load_private(text, passphrase)
        assert isinstance(again, SecurityPrivateKey)
        assert (again.public, again.flags, again.handle) == (
            private.public,
            private.flags,
            private.handle,
        )
        assert again.comment == "mine"
    assert again.held


def test_fields_that_are_not_known_yet_are_kept(soft: SoftKey):
    """A file's flags may have bits that nacre does not know, and its last field is reserved."""
    private = SecurityPrivateKey(soft.public, SecurityFlags(0x81), b"h", reserved=b"later")
    again = load_private(dump_private(private))
    assert isinstance(again, SecurityPrivateKey)
    assert (int(again.flags), again.reserved) == (0x81, b"later")


def test_only_the_security_key_signs(soft: SoftKey):
    with pytest.raises(UnusableKey, match="security key"):
        soft.private.sign(DATA, soft.public.type)
    with pytest.raises(UnusableKey, match="nacre keygen -t"):
        generate(soft.public.type)


def test_lines_and_certificates(soft: SoftKey):
    assert load_public(str(soft.public))[0] == soft.public
    ca = generate("ssh-ed25519")
    certificate = Certificate.issue(soft.public, ca, principals=["alice"])
    assert certificate.type == certified(soft.public.type)
    assert certificate.type.startswith("sk-")
    again = decode_public(certificate.blob)
    made = soft.sign(DATA, flags=5)
    assert again.verify(made, DATA, certificate.type)
    assert again.presence(made) == Presence(True, True)


def test_an_authority_may_be_a_security_key(soft: SoftKey):
    from nacre.keys.certificate import CertificateRequest

    user = generate("ssh-ed25519").public
    request = CertificateRequest(
        user,
        soft.public,
        kind="user",
        key_id="",
        principals=["alice"],
        valid_after=0,
        valid_before=1,
        serial=0,
        critical_options={},
        extensions={},
        nonce=bytes(32),
    )
    certificate = request.signed(soft.sign(request.data))
    assert certificate.signature_algorithm == soft.public.type
    assert decode_public(certificate.blob) == certificate


@pytest.mark.parametrize("application", [b"a\0b", b"x" * 2000], ids=["zero", "long"])
def test_names_of_applications_are_bounded(application: bytes):
    key = SoftKey(ED25519, application).public
    with pytest.raises(KeyFormatError, match="application"):
        decode_public(key.blob)


def test_damaged_keys_and_signatures_raise_nothing_else(soft: SoftKey):
    dice = random.Random(1)
    text = soft.public.blob
    for _ in range(300):
        noise = bytearray(text)
        for _ in range(dice.randint(1, 4)):
            noise[dice.randrange(len(noise))] = dice.randrange(256)
        del noise[dice.randrange(len(noise)) :]
        with pytest.raises(KeyFormatError):
            decode_public(bytes(noise))


@pytest.mark.parametrize("name", OPENSSH)
def test_signatures_of_openssh(name: str):
    public, data, signature = (b64decode(text) for text in OPENSSH[name])
    key = decode_public(public)
    assert key.verify(signature, data, key.type)
    assert key.presence(signature) == Presence(True, False)
