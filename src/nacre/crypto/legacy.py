"""SSH-1's ciphers, checksum and session id (draft-ylonen-ssh-protocol-00). All of them are weak.

Nothing here authenticates a packet: CRC-32 is linear, and an attacker who can alter ciphertext can
adapt the checksum. :func:`compensates` detects the one such attack that is known to work.
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
"""The ciphers and their numbers on the wire, best first."""

SESSION_KEY = 32
"""Bytes of a session key."""

BLOCK = 8
"""Bytes of a block of each cipher."""

_NO_IV = bytes(BLOCK)
_ALL_ONES = 0xFFFFFFFF
_REPEATED = 8


def crc32(data: Buffer) -> int:
    """Return the CRC-32 of SSH-1: polynomial 0xEDB88320, without inversion before or after."""
    return zlib.crc32(data, _ALL_ONES) ^ _ALL_ONES


def session_id(host_modulus: int, server_modulus: int, cookie: bytes) -> bytes:
    """Return the session id of 16 bytes: MD5 over both moduli and the cookie."""
    digest = hashlib.md5(usedforsecurity=False)
    for number in (host_modulus, server_modulus):
        digest.update(unsigned(number))
    digest.update(cookie)
    return digest.digest()


def unsigned(number: int) -> bytes:
    """Return a non-negative integer, most significant byte first, in minimal length."""
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def challenge_response(challenge: bytes, session: bytes) -> bytes:
    """Return the response to an RSA challenge: MD5 over the challenge and the session id."""
    return hashlib.md5(challenge + session, usedforsecurity=False).digest()


class Cipher(ABC):
    """One direction under one key. ``update`` takes whole blocks and continues the chain."""

    __slots__ = ()

    @abstractmethod
    def update(self, data: Buffer) -> bytes:
        """Return ``data`` encrypted, or decrypted."""


def _des(key: bytes) -> LibraryCipher[modes.CBC]:
    # 3DES with three equal keys is DES, which the library does not have.
    return LibraryCipher(TripleDES(key * 3), modes.CBC(_NO_IV))


class _Passes(Cipher):
    """One CBC pass after another, each with its own chain."""

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
    """Blowfish in CBC, with the bytes of each word of 32 bits reversed in input and output."""

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
    """Return one direction of the cipher ``name`` under ``key``, with an IV of zeros.

    :param key: a session key of 32 bytes, of which DES uses 8 and 3DES 24; or, for 3DES, the 16
        bytes derived from a passphrase, of which the first 8 are the third key as well.
    :raises KeyError: there is no such cipher.
    """
    number = CIPHERS[name]
    if number == CIPHERS["blowfish"]:
        return _Blowfish(key, encrypt=encrypt)
    if number == CIPHERS["des"]:
        return _Passes(key[:8], encrypt=encrypt)
    return _Passes(key[:24] if len(key) > 16 else key + key[:8], encrypt=encrypt)


def compensates(text: Buffer) -> bool:
    """Return whether ciphertext looks like the CRC compensation attack (CORE-SDI, 1998).

    The attack repeats blocks of ciphertext, whose effect on the plain text it knows, at positions
    where their effects cancel in the CRC. In honest CBC ciphertext a block repeats with a
    probability of 2**-35 in the largest packet. So repeated blocks are examined, and many repeated
    blocks count as the attack without examination, which bounds the cost.
    """
    blocks = struct.unpack(f"<{len(text) // BLOCK}Q", text)
    if len(set(blocks)) == len(blocks):
        return False
    repeated = [block for block, times in Counter(blocks).items() if times > 1]
    if len(repeated) > _REPEATED:
        return True
    return any(_cancels(blocks, block) for block in repeated)


def _cancels(blocks: tuple[int, ...], block: int) -> bool:
    """Return whether equal changes at every position of ``block`` leave the CRC unchanged."""
    pattern = b"".join(b"\1\0\0\0\0\0\0\0" if one == block else _NO_IV for one in blocks)
    return crc32(pattern) == 0
