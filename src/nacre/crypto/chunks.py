"""Files in chunks, each encrypted and authenticated by itself: AES-256-GCM (NIST SP 800-38D).

A file is a header and one chunk or more; every chunk but the last has :data:`CHUNK` bytes::

    header    magic (8) | id of the key (8) | salt (32)
    chunk     nonce (12) | ciphertext | tag (16)

The key of a file is derived from the operator's key and the file's salt (HKDF-SHA256, RFC 5869), so
no two files share a key. Each time that a chunk is written it gets a random nonce; one file may be
written 2^32 chunks (SP 800-38D, section 8.3), which are 256 TiB. The header, the chunk's number,
and whether it is the last one are authenticated with it. So chunks that were exchanged, left out or
cut off at the end are noticed. An older state of a whole file, and of a chunk that was changed in
place, is not: nothing outside of the file knows which is the newest.
"""

from __future__ import annotations

import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from nacre.crypto.packets.seal import Random
from nacre.wire.codec import Buffer

KEY_SIZE = 32
"""Bytes of the operator's key."""

CHUNK = 65536
"""Bytes of content in a chunk."""

_MAGIC = b"NacreEn1"
_KEY_ID, _SALT, _NONCE, _TAG = 8, 32, 12, 16

HEADER = len(_MAGIC) + _KEY_ID + _SALT
"""Bytes of a header."""

OVERHEAD = _NONCE + _TAG
"""Bytes that a chunk has besides its content."""

SEALED = CHUNK + OVERHEAD
"""Bytes of a chunk that is full."""


def _derived(key: bytes, salt: bytes, purpose: bytes, size: int) -> bytes:
    return HKDF(hashes.SHA256(), size, salt, purpose).derive(key)


class FileCipher:
    """Seals and opens the chunks of one file.

    :ivar header: the file's header.
    """

    def __init__(self, key: bytes, header: bytes, random: Random) -> None:
        """Read a header.

        :param key: :data:`KEY_SIZE` bytes.
        :param random: returns random bytes, for nonces.
        :raises ValueError: it is none, or is of another key; the message says which.
        """
        if len(header) != HEADER or not header.startswith(_MAGIC):
            raise ValueError("the file is not encrypted, or was cut off")
        if header[len(_MAGIC) : -_SALT] != key_id(key):
            raise ValueError("the file is encrypted with another key")
        self.header = header
        self._random = random
        derived = _derived(key, header[-_SALT:], b"nacre file", KEY_SIZE)
        self._gcm = AESGCM(derived)

    @classmethod
    def new(cls, key: bytes, random: Random) -> FileCipher:
        """Return the cipher of a new file."""
        return cls(key, _MAGIC + key_id(key) + random(_SALT), random)

    def _associated(self, number: int, last: bool) -> bytes:
        return self.header + struct.pack(">QB", number, last)

    def seal(self, content: Buffer, number: int, *, last: bool) -> bytes:
        """Return a chunk of at most :data:`CHUNK` bytes of content.

        :param number: its place in the file, from 0 on.
        """
        nonce = self._random(_NONCE)
        return nonce + self._gcm.encrypt(nonce, bytes(content), self._associated(number, last))

    def open(self, chunk: bytes, number: int, *, last: bool) -> bytes:
        """Return the content of a chunk.

        :raises ValueError: it is not the chunk of this number that was written to this file.
        """
        try:
            return self._gcm.decrypt(chunk[:_NONCE], chunk[_NONCE:], self._associated(number, last))
        except (InvalidTag, ValueError):
            raise ValueError(
                f"chunk {number} was changed or cut off, or was not written to its end"
            ) from None


def key_id(key: bytes) -> bytes:
    """Return what tells a key from others in headers, and nothing else of it."""
    return _derived(key, b"", b"nacre key id", _KEY_ID)


def content_size(size: int) -> int:
    """Return the bytes of content of a file that has ``size`` bytes; 0 if it is too short."""
    body = size - HEADER
    chunks = max(1, -(-body // SEALED))
    return max(0, body - chunks * OVERHEAD)
