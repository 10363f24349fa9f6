"""SSHFP records: fingerprints of host keys in the DNS (RFC 4255, 6594, 7479, 8709)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from nacre.errors import UnusableKey
from nacre.keys.base import PublicKey
from nacre.value import value

TYPE = 44
"""The number of the type of record."""

HASHES = {"sha1": 1, "sha256": 2}
"""For each hash its number."""

_ALGORITHMS = {
    "ssh-rsa": 1,
    "ssh-dss": 2,
    "ecdsa-sha2-nistp256": 3,
    "ecdsa-sha2-nistp384": 3,
    "ecdsa-sha2-nistp521": 3,
    "ssh-ed25519": 4,
    "ssh-ed448": 6,
}


@value
class SSHFP:
    """A record.

    :ivar algorithm: the number of the key's family.
    :ivar hash: the number of the hash.
    :ivar digest: the hash of the key's blob.
    """

    algorithm: int
    hash: int
    digest: bytes

    def line(self, name: str, *, generic: bool = False) -> str:
        """Return the line of a zone file that gives this record to ``name``.

        :param generic: in the form for types that a name server does not know (RFC 3597).
        """
        if not generic:
            return f"{name} IN SSHFP {self.algorithm} {self.hash} {self.digest.hex()}"
        data = bytes([self.algorithm, self.hash])
        return (
            f"{name} IN TYPE{TYPE} \\# {len(data + self.digest)} {data[:1].hex()} {data[1:].hex()} "
            f"{self.digest.hex()}"
        )


def records(key: PublicKey, hashes: Iterable[str] = tuple(HASHES)) -> list[SSHFP]:
    """Return the records of a host key, one for each hash.

    :param hashes: of :data:`HASHES`.
    :raises UnusableKey: keys of its type have no number.
    """
    algorithm = _ALGORITHMS.get(key.type)
    if algorithm is None:
        raise UnusableKey(f"there are no SSHFP records for keys of type {key.type}")
    return [
        SSHFP(algorithm, HASHES[name], hashlib.new(name, key.blob, usedforsecurity=False).digest())
        for name in hashes
    ]
