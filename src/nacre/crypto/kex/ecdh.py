"""Elliptic-curve Diffie-Hellman: the NIST curves (RFC 5656 section 4) and X25519 (RFC 8731).

The computation is in :mod:`nacre.crypto.kex.x25519` and :mod:`nacre.crypto.kex.curves`, which
are loaded on use.
"""

from __future__ import annotations

from nacre.crypto.kex.method import Initiator, KexMethod, Tier
from nacre.crypto.packets.seal import Random


class X25519Method(KexMethod):
    """X25519; the secret is hashed as an mpint of its bytes in network order."""

    def __init__(self, name: str) -> None:
        super().__init__(name, Tier.DEFAULT, "sha256", "ecdh")

    def initiate(self, random: Random) -> Initiator:
        """See :meth:`~nacre.crypto.kex.method.KexMethod.initiate`."""
        from nacre.crypto.kex.x25519 import X25519Initiator

        return X25519Initiator(random)

    def respond(self, public: bytes, random: Random) -> tuple[bytes, bytes]:
        """See :meth:`~nacre.crypto.kex.method.KexMethod.respond`."""
        own = self.initiate(random)
        return own.public, own.finish(public)


class EcdhMethod(KexMethod):
    """ECDH on a NIST curve. The curves have cofactor 1: a point on the curve is a valid one."""

    def __init__(self, curve: str, hash_name: str) -> None:
        super().__init__(f"ecdh-sha2-{curve}", Tier.DEFAULT, hash_name, "ecdh")
        self._curve = curve

    def initiate(self, random: Random) -> Initiator:
        """See :meth:`~nacre.crypto.kex.method.KexMethod.initiate`."""
        from nacre.crypto.kex.curves import EcdhInitiator

        return EcdhInitiator(self._curve, random)

    def respond(self, public: bytes, random: Random) -> tuple[bytes, bytes]:
        """See :meth:`~nacre.crypto.kex.method.KexMethod.respond`."""
        own = self.initiate(random)
        return own.public, own.finish(public)


METHODS: dict[str, KexMethod] = {
    method.name: method
    for method in (
        X25519Method("curve25519-sha256"),
        X25519Method("curve25519-sha256@libssh.org"),
        EcdhMethod("nistp256", "sha256"),
        EcdhMethod("nistp384", "sha384"),
        EcdhMethod("nistp521", "sha512"),
    )
}
