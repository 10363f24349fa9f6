from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.crypto.signatures.eddsa import ED448, ED25519, Curve, EdDSASigner, EdDSAVerifier
from nacre.errors import KeyFormatError

KEYS = [EdDSASigner(curve, bytes(range(curve.size))) for curve in (ED25519, ED448)]


def test_the_first_signature_of_rfc_8032_section_7_1() -> None:
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    signer = EdDSASigner(ED25519, seed)
    assert signer.verifier.raw.hex() == (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    )
    signature = signer.sign(b"")
    assert signature.hex() == (
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    )
    assert signer.verifier.verify(signature, b"")
    assert not signer.verifier.verify(signature, b"x")


def test_the_first_signature_of_rfc_8032_section_7_4() -> None:
    seed = bytes.fromhex(
        "6c82a562cb808d10d632be89c8513ebf6c929f34ddfa8c9f63c9960ef6e348a3"
        "528c8a3fcc2f044e39a3fc5b94492f8f032e7549a20098f95b"
    )
    signer = EdDSASigner(ED448, seed)
    assert signer.verifier.raw.hex() == (
        "5fd7449b59b461fd2ce787ec616ad46a1da1342485a70e1f8a0ea75d80e96778"
        "edf124769b46c7061bd6783df1e50f6cd1fa1abeafe8256180"
    )
    signature = signer.sign(b"")
    assert signature.hex() == (
        "533a37f6bbe457251f023c0d88f976ae2dfb504a843e34d2074fd823d41a591f"
        "2b233f034f628281f2fd7a22ddd47d7828c59bd0a21bfd3980ff0d2028d4b18a"
        "9df63e006c5d1c2d345b925d8dc00b4104852db99ac5c7cdda8530a113a0f4db"
        "b61149f05a7363268c71d95808ff2e652600"
    )
    assert signer.verifier.verify(signature, b"")
    assert not signer.verifier.verify(signature, b"x")


@given(st.binary(max_size=200))
def test_no_bytes_make_a_verifier_raise(signature: bytes) -> None:
    for key in KEYS:
        assert not key.verifier.verify(signature, b"data")


@pytest.mark.parametrize("curve", [ED25519, ED448], ids=lambda curve: curve.name)
@pytest.mark.parametrize("change", [-1, 1, None])
def test_keys_have_one_size_only(curve: Curve, change: int | None) -> None:
    wrong = bytes(0 if change is None else curve.size + change)
    with pytest.raises(KeyFormatError, match=f"{curve.size} bytes"):
        EdDSAVerifier(curve, wrong)
    with pytest.raises(KeyFormatError, match=f"{curve.size} bytes"):
        EdDSASigner(curve, wrong)
