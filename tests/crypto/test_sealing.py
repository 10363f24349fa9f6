"""Chunks that only the holder of a private key can read."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from nacre.crypto.sealing import (
    TAG,
    ChunkOpener,
    ChunkSealer,
    SealKey,
    dump_seal_public,
    load_seal_public,
)
from nacre.errors import KeyFormatError, PassphraseRequired, StateError, UnusableKey

KEY = SealKey.generate()
CONTEXT = b"context"


def opener(sealer: ChunkSealer, key: SealKey = KEY, context: bytes = CONTEXT) -> ChunkOpener:
    return ChunkOpener(key, sealer.head, context)


def test_chunks_are_opened_in_their_order() -> None:
    sealer = ChunkSealer(KEY.public, CONTEXT)
    chunks = [sealer.seal(b"one"), sealer.seal(b""), sealer.seal(b"last", last=True)]
    assert [len(chunk) - TAG for chunk in chunks] == [3, 0, 4]
    opened = opener(sealer)
    assert [opened.open(chunks[0]), opened.open(chunks[1])] == [b"one", b""]
    assert opened.open(chunks[2], last=True) == b"last"


def test_two_sealings_of_the_same_have_nothing_in_common() -> None:
    one, two = (ChunkSealer(KEY.public, CONTEXT) for _ in range(2))
    assert one.head != two.head
    assert one.seal(b"same") != two.seal(b"same")


@pytest.mark.parametrize("last", [False, True])
def test_what_was_changed_is_noticed(last: bool) -> None:
    sealer = ChunkSealer(KEY.public, CONTEXT)
    first, second = sealer.seal(b"first"), sealer.seal(b"second", last=last)
    changed = bytes([first[0] ^ 1]) + first[1:]
    for wrong in (changed, second, first[:-1], b"", first + b"x"):
        with pytest.raises(StateError):
            opener(sealer).open(wrong)
    opened = opener(sealer)
    opened.open(first)
    with pytest.raises(StateError):
        opened.open(second, last=not last)
    assert opened.open(second, last=last) == b"second"


def test_another_key_or_context_opens_nothing() -> None:
    sealer = ChunkSealer(KEY.public, CONTEXT)
    chunk = sealer.seal(b"secret")
    with pytest.raises(StateError):
        opener(sealer, SealKey.generate()).open(chunk)
    with pytest.raises(StateError):
        opener(sealer, context=b"another").open(chunk)


def test_points_of_small_order_are_refused() -> None:
    with pytest.raises(UnusableKey):
        ChunkSealer(bytes(32), CONTEXT)
    with pytest.raises(StateError, match="not valid"):
        ChunkOpener(KEY, bytes(32), CONTEXT)


@pytest.mark.parametrize("passphrase", [None, b"a passphrase"])
def test_a_private_key_is_written_and_read(passphrase: bytes | None) -> None:
    pem = KEY.dump(passphrase)
    assert (b"ENCRYPTED" in pem) is (passphrase is not None)
    assert SealKey.load(pem, passphrase).public == KEY.public
    assert SealKey.load(KEY.dump(), b"not needed").public == KEY.public


def test_a_passphrase_must_be_the_right_one() -> None:
    pem = KEY.dump(b"right")
    with pytest.raises(PassphraseRequired):
        SealKey.load(pem)
    with pytest.raises(UnusableKey, match="passphrase is wrong"):
        SealKey.load(pem, b"wrong")


def test_a_public_key_is_written_and_read() -> None:
    assert load_seal_public(dump_seal_public(KEY.public)) == KEY.public


def test_other_keys_are_refused() -> None:
    other = Ed25519PrivateKey.generate()
    private = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = other.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for pem in (private, b"nothing"):
        with pytest.raises(KeyFormatError, match="X25519"):
            SealKey.load(pem)
    for pem in (public, b"nothing"):
        with pytest.raises(KeyFormatError, match="X25519"):
            load_seal_public(pem)
    with pytest.raises(KeyFormatError, match="it is a private key"):
        load_seal_public(KEY.dump())


def test_the_secret_is_that_of_x25519() -> None:
    other = X25519PrivateKey.generate()
    sealed = SealKey(other)
    ephemeral = X25519PrivateKey.generate()
    assert sealed.shared(ephemeral.public_key().public_bytes_raw()) == ephemeral.exchange(
        other.public_key()
    )
