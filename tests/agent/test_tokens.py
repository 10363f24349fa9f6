"""Security keys through fido2: one in software makes keys and signs."""

from __future__ import annotations

import hashlib

import pytest
from fido2 import cbor

from agent.virtual_token import VirtualToken
from nacre.agent.tokens import enroll, resident, sign
from nacre.errors import UnusableKey
from nacre.keys import dump_private, load_private
from nacre.keys.base import Presence
from nacre.keys.families.security_key import (
    ECDSA,
    ED25519,
    AlreadyKept,
    Enrolled,
    PinRequired,
    SecurityFlags,
    SecurityPrivateKey,
)
from nacre.wire.codec import WireReader

PIN = "1234"
DATA = b"the data"
TOUCH, VERIFY, RESIDENT = SecurityFlags.TOUCH, SecurityFlags.VERIFY, SecurityFlags.RESIDENT


def make(token: VirtualToken, type: str = ED25519, **options: object) -> Enrolled:
    return enroll(
        type,
        challenge=b"challenge",
        devices=lambda: [token],
        **options,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("type", [ED25519, ECDSA])
def test_a_key_is_made_saved_and_signs(type: str) -> None:
    token = VirtualToken()
    made = make(token, type, application="ssh:test")
    text = dump_private(made.key)
    key = load_private(text)
    assert isinstance(key, SecurityPrivateKey)
    signature = sign(key, DATA, devices=lambda: [token])
    assert key.public.verify(signature, DATA, type)
    assert key.public.presence(signature) == Presence(True, False)
    assert token.touches == 2
    assert token.closed == 2


def test_a_signature_without_a_touch_tells_so() -> None:
    token = VirtualToken()
    key = make(token, flags=SecurityFlags(0)).key
    signature = sign(key, DATA, devices=lambda: [token])
    assert key.public.presence(signature) == Presence(False, False)
    assert token.touches == 1


def test_a_key_that_verifies_its_user_wants_the_pin() -> None:
    token = VirtualToken(PIN)
    with pytest.raises(PinRequired):
        make(token)
    made = make(token, flags=TOUCH | VERIFY, pin=PIN)
    with pytest.raises(PinRequired):
        sign(made.key, DATA, devices=lambda: [token])
    with pytest.raises(UnusableKey, match="PIN of the security key is wrong"):
        sign(made.key, DATA, pin="4321", devices=lambda: [token])
    signature = sign(made.key, DATA, pin=PIN, devices=lambda: [token])
    assert made.key.public.presence(signature) == Presence(True, True)


def test_keys_that_it_keeps_are_listed() -> None:
    token = VirtualToken(PIN)
    one = make(token, flags=TOUCH | RESIDENT, pin=PIN, user="alice").key
    make(token, pin=PIN)
    make(token, application="https://example.com", flags=TOUCH | RESIDENT, pin=PIN)
    two = make(token, ECDSA, application="ssh:two", flags=TOUCH | VERIFY | RESIDENT, pin=PIN).key
    found = resident(pin=PIN, devices=lambda: [token])
    assert [(key.public, key.flags, key.handle, user) for key, user in found] == [
        (one.public, one.flags, one.handle, "alice"),
        (two.public, two.flags, two.handle, ""),
    ]
    with pytest.raises(UnusableKey, match="PIN"):
        resident(pin="4321", devices=lambda: [token])
    assert resident(pin=PIN, devices=lambda: [VirtualToken(PIN)]) == []


def test_a_key_that_it_keeps_is_lost_only_on_purpose() -> None:
    token = VirtualToken(PIN)
    wanted = TOUCH | RESIDENT
    old = [make(token, flags=wanted, pin=PIN, user=user).key for user in ("alice", "bob")]
    for user in ("alice", "bob"):
        with pytest.raises(AlreadyKept, match="keeps a key for this"):
            make(token, flags=wanted, pin=PIN, user=user)
    make(token, flags=wanted, pin=PIN, user="carol")
    make(token, flags=wanted, pin=PIN, user="alice", application="ssh:other")
    new = make(token, flags=wanted | SecurityFlags.FORCE, pin=PIN, user="bob").key
    assert new.flags == wanted
    handles = [key.handle for key, _ in resident(pin=PIN, devices=lambda: [token])]
    assert (old[0].handle in handles, old[1].handle in handles, new.handle in handles) == (
        True,
        False,
        True,
    )
    assert len(handles) == 4


def test_the_attestation_covers_the_challenge() -> None:
    made = make(VirtualToken())
    reader = WireReader(made.attestation)
    assert reader.text() == "ssh-sk-attest-v01"
    assert reader.string() == made.certificate
    signature, data = reader.string(), cbor.decode(reader.string())
    assert isinstance(data, bytes)
    assert (reader.u32(), reader.string()) == (0, b"")
    reader.end()
    signed = data + hashlib.sha256(b"challenge").digest()
    assert made.key.public.inner._verify(signature, signed, "ssh-ed25519")


def test_nobody_touches_it() -> None:
    token = VirtualToken()
    key = make(token).key
    token.untouched = True
    with pytest.raises(UnusableKey, match="not touched in time"):
        sign(key, DATA, timeout=0.05, devices=lambda: [token])


def test_of_several_the_one_with_the_key_signs() -> None:
    token, other = VirtualToken(), VirtualToken()
    key = make(token).key
    assert sign(key, DATA, devices=lambda: [other, token])
    with pytest.raises(UnusableKey, match="does not have this key"):
        sign(key, DATA, devices=lambda: [other])
    with pytest.raises(UnusableKey, match="none of the connected"):
        sign(key, DATA, devices=lambda: [other, VirtualToken()])
    with pytest.raises(UnusableKey, match="leave one"):
        enroll(ED25519, challenge=b"", devices=lambda: [other, token])


def test_what_is_not_there() -> None:
    with pytest.raises(UnusableKey, match="no security key is connected"):
        enroll(ED25519, challenge=b"", devices=list)
    with pytest.raises(UnusableKey, match="makes no keys of this type"):
        make(VirtualToken(ed25519=False))
