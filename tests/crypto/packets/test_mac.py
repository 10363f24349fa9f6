"""HMAC vectors of RFC 4231 and RFC 2202, whose data starts where the sequence number stands."""

from __future__ import annotations

import pytest

from nacre.crypto.packets.mac import Mac

VECTORS = {
    "md5": "750c783e6ab0b503eaa86e310a5db738",
    "sha1": "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
    "sha256": "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    "sha512": (
        "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
        "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"
    ),
}


@pytest.mark.parametrize(("hash_name", "tag"), VECTORS.items())
def test_vectors(hash_name: str, tag: str) -> None:
    mac = Mac(hash_name, b"Jefe", len(tag) // 2)
    what = int.from_bytes(b"what", "big")
    assert mac.tag(what, b" do ya want for nothing?").hex() == tag
    assert mac.tag(what, b" do ya", memoryview(b" want for nothing?")).hex() == tag


def test_a_tag_is_cut_to_its_size() -> None:
    assert Mac("sha1", b"k", 12).tag(1, b"data") == Mac("sha1", b"k", 20).tag(1, b"data")[:12]
