"""SSH-1's ciphers, checksum and attack detector."""

from __future__ import annotations

import hashlib
import random
import time

import pytest

from nacre.crypto import legacy

KEY = bytes(range(32))
TEXT = b"abcdefgh" * 3


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("3des", "cdfdddc33d439437be5a1ad32b4fcd6de172abd5c6b91fee"),
        ("blowfish", "52972d07619ae6774c8f62c5f7f6dc1c18a22afeafc84cc8"),
    ],
)
def test_known_ciphertext(name: str, expected: str) -> None:
    assert legacy.cipher(name, KEY, encrypt=True).update(TEXT).hex() == expected


def test_des_is_des() -> None:
    # FIPS 81's example of DES: key 0123456789abcdef, one block of ECB, which CBC from zero is.
    key = bytes.fromhex("0123456789abcdef")
    made = legacy.cipher("des", key, encrypt=True).update(b"Now is t")
    assert made.hex() == "3fa40e8a984d4815"


@pytest.mark.parametrize("name", legacy.CIPHERS)
def test_decryption_undoes_encryption_in_any_portions(name: str) -> None:
    text = random.Random(1).randbytes(800)
    encrypt = legacy.cipher(name, KEY, encrypt=True)
    decrypt = legacy.cipher(name, KEY, encrypt=False)
    sent = encrypt.update(text[:80]) + encrypt.update(text[80:])
    assert decrypt.update(sent[:400]) + decrypt.update(sent[400:]) == text


def test_3des_of_16_bytes_takes_the_first_8_again() -> None:
    short = legacy.cipher("3des", KEY[:16], encrypt=True).update(TEXT)
    assert short == legacy.cipher("3des", KEY[:16] + KEY[:8], encrypt=True).update(TEXT)


def test_crc() -> None:
    assert legacy.crc32(b"123456789") == 0x2DFD2D88
    assert legacy.crc32(b"") == 0


def test_session_id() -> None:
    host, server, cookie = 0x0102 << 600, 0xFF << 504, b"cookies!"
    text = host.to_bytes(77, "big") + server.to_bytes(64, "big") + cookie
    assert text[0] == 1
    assert legacy.session_id(host, server, cookie) == hashlib.md5(text).digest()


# --- the CRC compensation attack ---


def _attack() -> bytes:
    """Return blocks in which a repeated one cancels in the CRC.

    The places are a multiple of the CRC's polynomial, found by Gaussian elimination over the CRCs
    of single places.
    """
    places = 40
    crcs = []
    for place in range(places):
        pattern = bytearray(8 * places)
        pattern[8 * place] = 1
        crcs.append(legacy.crc32(pattern))
    rows: dict[int, tuple[int, int]] = {}
    for place, crc in enumerate(crcs):
        combination = 1 << place
        while crc:
            high = crc.bit_length()
            if high not in rows:
                rows[high] = (crc, combination)
                break
            crc ^= rows[high][0]
            combination ^= rows[high][1]
        else:
            fill = random.Random(2)
            return b"".join(
                b"repeated" if combination >> place & 1 else fill.randbytes(8)
                for place in range(places)
            )
    raise AssertionError("32 bits can't be independent in 40 places")


def test_the_attack_is_found() -> None:
    assert legacy.compensates(_attack())


def test_honest_ciphertext_passes() -> None:
    text = legacy.cipher("3des", KEY, encrypt=True).update(bytes(8 * 4096))
    assert not legacy.compensates(text)


def test_a_block_that_comes_twice_is_no_attack_by_itself() -> None:
    assert not legacy.compensates(b"repeated" + b"another " + b"repeated")


def test_cost_is_bounded() -> None:
    """The largest packet, every block twice: refused at once; one block repeated: looked at."""
    half = random.Random(3).randbytes(131072)
    start = time.process_time()
    assert legacy.compensates(half + half)
    legacy.compensates(bytes(262144))
    legacy.compensates((half[:64] + bytes(64)) * 2048)
    assert time.process_time() - start < 2
