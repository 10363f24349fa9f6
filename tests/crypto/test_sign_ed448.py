from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.crypto.sign_ed448 import Ed448Signer, Ed448Verifier
from nacre.errors import KeyFormatError

KEY = Ed448Signer(bytes(range(57)))


def test_the_first_signature_of_rfc_8032_section_7_4() -> None:
    seed = bytes.fromhex(
        "6c82a562cb808d10d632be89c8513ebf6c929f34ddfa8c9f63c9960ef6e348a3"
        "528c8a3fcc2f044e39a3fc5b94492f8f032e7549a20098f95b"
    )
    signer = Ed448Signer(seed)
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
    assert not KEY.verifier.verify(signature, b"data")


@pytest.mark.parametrize("size", [0, 56, 58])
def test_it_takes_57_bytes_only(size: int) -> None:
    with pytest.raises(KeyFormatError, match="57 bytes"):
        Ed448Verifier(bytes(size))
    with pytest.raises(KeyFormatError, match="57 bytes"):
        Ed448Signer(bytes(size))
