from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey
from hypothesis import given
from hypothesis import strategies as st

from nacre.crypto.signatures import composite
from nacre.crypto.signatures.composite import (
    PUBLIC_SIZE,
    SEED_SIZE,
    SIGNATURE_SIZE,
    CompositeSigner,
    CompositeVerifier,
)
from nacre.errors import KeyFormatError

LABEL = b"COMPSIG-MLDSA44-Ed25519-SHA512"
KEY = CompositeSigner(bytes(range(64)))
OTHER = CompositeSigner(bytes(range(1, 65)))
SIGNATURE = KEY.sign(b"data")
VECTOR = Path(__file__).with_name("composite.jws")


def test_the_sizes_are_those_of_openssh() -> None:
    assert (PUBLIC_SIZE, SEED_SIZE, SIGNATURE_SIZE) == (1344, 64, 2484)
    assert (len(KEY.verifier.raw), len(SIGNATURE)) == (1344, 2484)


def test_the_example_of_jose() -> None:
    """Appendix A of draft-ietf-jose-pq-composite-sigs, whose seeds are zeros.

    Its ``kid`` is the thumbprint of the public key (RFC 7638).
    """
    signed, _, signature = VECTOR.read_text().strip().rpartition(".")
    kid = json.loads(_bytes(signed.partition(".")[0]))["kid"]
    verifier = CompositeSigner(bytes(64)).verifier
    public = urlsafe_b64encode(verifier.raw).rstrip(b"=").decode()
    members = f'{{"alg":"ML-DSA-44-Ed25519","kty":"AKP","pub":"{public}"}}'
    assert hashlib.sha256(members.encode()).digest() == _bytes(kid)
    assert verifier.verify(_bytes(signature), signed.encode())
    assert CompositeSigner(bytes(64)).sign(signed.encode())[2420:] == _bytes(signature)[2420:]


def _bytes(base64: str) -> bytes:
    return urlsafe_b64decode(base64 + "=" * (-len(base64) % 4))


def test_each_half_signs_the_representative() -> None:
    """Section 3.2 of draft-ietf-lamps-pq-composite-sigs, with an empty context."""
    message = b"CompositeAlgorithmSignatures2025" + LABEL + b"\0" + hashlib.sha512(b"data").digest()
    mldsa, ed25519 = KEY.verifier.raw[:1312], KEY.verifier.raw[1312:]
    MLDSA44PublicKey.from_public_bytes(mldsa).verify(SIGNATURE[:2420], message, LABEL)
    Ed25519PublicKey.from_public_bytes(ed25519).verify(SIGNATURE[2420:], message)


def test_seeds_and_halves_are_in_order() -> None:
    mldsa = MLDSA44PrivateKey.from_seed_bytes(bytes(range(32))).public_key().public_bytes_raw()
    assert KEY.verifier.raw[:1312] == mldsa


def test_two_signatures_differ_and_both_verify() -> None:
    again = KEY.sign(b"data")
    assert again != SIGNATURE
    for signature in (SIGNATURE, again):
        assert KEY.verifier.verify(signature, b"data")
        assert not KEY.verifier.verify(signature, b"datA")
        assert not OTHER.verifier.verify(signature, b"data")


@pytest.mark.parametrize("place", [0, 1200, 2419, 2420, 2452, 2483])
def test_a_changed_byte_in_either_half_is_refused(place: int) -> None:
    changed = bytearray(SIGNATURE)
    changed[place] ^= 1
    assert not KEY.verifier.verify(bytes(changed), b"data")


def test_one_good_half_is_not_enough() -> None:
    theirs = OTHER.sign(b"data")
    other_data = KEY.sign(b"other")
    for bad in (theirs, other_data):
        assert not KEY.verifier.verify(SIGNATURE[:2420] + bad[2420:], b"data")
        assert not KEY.verifier.verify(bad[:2420] + SIGNATURE[2420:], b"data")


def test_one_half_of_the_key_is_not_enough() -> None:
    ours, theirs = KEY.verifier.raw, OTHER.verifier.raw
    for mixed in (ours[:1312] + theirs[1312:], theirs[:1312] + ours[1312:]):
        assert not CompositeVerifier(mixed).verify(SIGNATURE, b"data")


@pytest.mark.parametrize("size", [0, 64, 2420, 2483, 2485])
def test_signatures_have_one_size_only(size: int) -> None:
    assert not KEY.verifier.verify((SIGNATURE + b"\0")[:size], b"data")


@given(st.binary(min_size=SIGNATURE_SIZE, max_size=SIGNATURE_SIZE))
def test_no_bytes_make_a_verifier_raise(signature: bytes) -> None:
    assert not KEY.verifier.verify(signature, b"data")
    assert not CompositeVerifier(signature[:PUBLIC_SIZE]).verify(SIGNATURE, b"data")


@pytest.mark.parametrize("change", [-1, 1, None])
def test_keys_have_one_size_only(change: int | None) -> None:
    for make, size in ((CompositeVerifier, PUBLIC_SIZE), (CompositeSigner, SEED_SIZE)):
        with pytest.raises(KeyFormatError, match=f"has {size} bytes, not"):
            make(bytes(0 if change is None else size + change))


@pytest.fixture
def without_mldsa(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The library as a distribution builds it with an older OpenSSL."""

    class Missing:
        def from_seed_bytes(self, seed: bytes) -> None:
            raise UnsupportedAlgorithm("ML-DSA-44 is not supported by this backend.")

    monkeypatch.setattr(composite, "MLDSA44PrivateKey", Missing())
    composite._supported.cache_clear()
    yield
    composite._supported.cache_clear()


@pytest.mark.usefixtures("without_mldsa")
def test_a_library_without_mldsa_is_named() -> None:
    for make in (
        CompositeSigner.generate,
        lambda: CompositeSigner(KEY.seeds),
        lambda: CompositeVerifier(KEY.verifier.raw),
    ):
        with pytest.raises(KeyFormatError, match="built without ML-DSA"):
            make()
