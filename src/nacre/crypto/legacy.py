"""SSH-1's ciphers, checksum and session id (draft-ylonen-ssh-protocol-00): weak, all of them.

Nothing here authenticates a packet: CRC-32 is linear, and whoever can alter ciphertext can alter
the checksum with it. :func:`compensates` finds the one such attack that is known to work.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from abc import ABC, abstractmethod
from array import array
from collections import Counter

from cryptography.hazmat.decrepit.ciphers.algorithms import Blowfish, TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher as LibraryCipher
from cryptography.hazmat.primitives.ciphers import modes

from nacre.wire.codec import Buffer

CIPHERS = {"3des": 3, "blowfish": 6, "des": 2}
"""The ciphers there are, best first, by their numbers on the wire."""

SESSION_KEY = 32
"""Bytes of a session key."""

BLOCK = 8
"""Bytes of a block, of every cipher."""

_NO_IV = bytes(BLOCK)
_ALL_ONES = 0xFFFFFFFF
_REPEATED = 8


def crc32(data: Buffer) -> int:
    """Return the CRC-32 of SSH-1: polynomial 0xEDB88320, nothing inverted before or after."""
    return zlib.crc32(data, _ALL_ONES) ^ _ALL_ONES


def session_id(host_modulus: int, server_modulus: int, cookie: bytes) -> bytes:
    """Return the 16 bytes that name a session: MD5 over both moduli and the cookie."""
    digest = hashlib.md5(usedforsecurity=False)
    for number in (host_modulus, server_modulus):
        digest.update(unsigned(number))
    digest.update(cookie)
    return digest.digest()


def unsigned(number: int) -> bytes:
    """Return a number that is not negative, most significant byte first, none needless."""
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def challenge_response(challenge: bytes, session: bytes) -> bytes:
    """Return what shows that an RSA challenge was decrypted: MD5 over it and the session id."""
    return hashlib.md5(challenge + session, usedforsecurity=False).digest()


class Cipher(ABC):
    """One direction under one key. ``update`` takes whole blocks and may be called again."""

    __slots__ = ()

    @abstractmethod
    def update(self, data: Buffer) -> bytes:
        """Return ``data`` encrypted, or decrypted."""


def _des(key: bytes) -> LibraryCipher[modes.CBC]:
    # Three times the same key is DES itself, which the library does not have.
    return LibraryCipher(TripleDES(key * 3), modes.CBC(_NO_IV))


class _Passes(Cipher):
    """One CBC pass after another, each with a chain of its own."""

    __slots__ = ("_passes",)

    def __init__(self, key: bytes, *, encrypt: bool) -> None:
        keys = [key[i : i + 8] for i in range(0, len(key), 8)]
        ways = [encrypt, not encrypt, encrypt]
        steps = list(zip(keys, ways, strict=False))
        self._passes = [
            _des(key).encryptor() if forward else _des(key).decryptor()
            for key, forward in (steps if encrypt else reversed(steps))
        ]

    def update(self, data: Buffer) -> bytes:
        for one in self._passes:
            data = one.update(data)
        return bytes(data)


class _Blowfish(Cipher):
    """Blowfish in CBC whose words of 32 bits have their bytes in reverse, in and out."""

    __slots__ = ("_update",)

    def __init__(self, key: bytes, *, encrypt: bool) -> None:
        cipher = LibraryCipher(Blowfish(key), modes.CBC(_NO_IV))
        self._update = (cipher.encryptor() if encrypt else cipher.decryptor()).update

    def update(self, data: Buffer) -> bytes:
        return _reversed_words(self._update(_reversed_words(data)))


def _reversed_words(data: Buffer) -> bytes:
    words = array("I", bytes(data))
    words.byteswap()
    return words.tobytes()


def cipher(name: str, key: bytes, *, encrypt: bool) -> Cipher:
    """Return one direction of ``name`` under ``key``, its chain at zero.

    :param key: a session key of 32 bytes, of which DES takes 8 and 3DES 24; or, for 3DES, the 16
        bytes that a passphrase makes: the first 8 are then the third key too.
    :raises KeyError: no such cipher.
    """
    number = CIPHERS[name]
    if number == CIPHERS["blowfish"]:
        return _Blowfish(key, encrypt=encrypt)
    if number == CIPHERS["des"]:
        return _Passes(key[:8], encrypt=encrypt)
    return _Passes(key[:24] if len(key) > 16 else key + key[:8], encrypt=encrypt)


def compensates(text: Buffer) -> bool:
    """Tell whether ciphertext looks like the CRC compensation attack (CORE-SDI, 1998).

    The attack repeats blocks of ciphertext, because it knows how they change the plain text, at
    places where their changes cancel in the CRC. In honest CBC ciphertext no block comes twice,
    but by a chance of 2**-35 in the largest packet; so one that does is looked at, and very many
    are taken for the attack without a look, which bounds the cost.
    """
    blocks = struct.unpack(f"<{len(text) // BLOCK}Q", text)
    if len(set(blocks)) == len(blocks):
        return False
    repeated = [block for block, times in Counter(blocks).items() if times > 1]
    if len(repeated) > _REPEATED:
        return True
    return any(_cancels(blocks, block) for block in repeated)


def _cancels(blocks: tuple[int, ...], block: int) -> bool:
    """Tell whether equal changes wherever ``block`` stands leave the CRC as it is."""
    pattern = b"".join(b"\1\0\0\0\0\0\0\0" if one == block else _NO_IV for one in blocks)
    return crc32(pattern) == 0
