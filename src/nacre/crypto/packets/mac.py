"""Message authentication codes (RFC 4253 section 6.4, RFC 6668)."""

from __future__ import annotations

from cryptography.hazmat.primitives.hashes import MD5, SHA1, SHA256, SHA512, HashAlgorithm
from cryptography.hazmat.primitives.hmac import HMAC

from nacre.crypto.packets.seal import LENGTH
from nacre.wire.codec import Buffer

_HASHES: dict[str, type[HashAlgorithm]] = {
    "md5": MD5,
    "sha1": SHA1,
    "sha256": SHA256,
    "sha512": SHA512,
}


class Mac:
    """HMAC over a packet's sequence number and the packet."""

    __slots__ = ("_keyed", "size")

    def __init__(self, hash_name: str, key: bytes, size: int) -> None:
        self.size = size
        self._keyed = HMAC(key, _HASHES[hash_name]())

    def tag(self, sequence: int, *parts: Buffer) -> bytes:
        """Return the tag over ``sequence`` and ``parts``, truncated to ``size`` bytes."""
        mac = self._keyed.copy()
        mac.update(LENGTH.pack(sequence))
        for part in parts:
            mac.update(part)
        return mac.finalize()[: self.size]
