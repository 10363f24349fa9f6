"""Elliptic-curve Diffie-Hellman: the NIST curves (RFC 5656 section 4) and X25519 (RFC 8731)."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from nacre.crypto.kex import Initiator, KexMethod, Tier
from nacre.crypto.seal import Random
from nacre.errors import KexFailed
from nacre.wire.codec import mpint

X25519_SIZE = 32


class X25519:
    """One side's X25519 key of one exchange (RFC 7748 section 5)."""

    __slots__ = ("_private", "public")

    def __init__(self, random: Random) -> None:
        self._private = X25519PrivateKey.from_private_bytes(random(X25519_SIZE))
        self.public = self._private.public_key().public_bytes_raw()

    def secret(self, peer: bytes) -> bytes:
        """Return the 32 octets of the shared secret.

        :raises KexFailed: ``peer`` is not 32 octets, or the secret is all zero (RFC 8731 section
            3), as it is for points of small order.
        """
        if len(peer) != X25519_SIZE:
            raise KexFailed(f"an X25519 value has {len(peer)} bytes instead of {X25519_SIZE}")
        try:
            return self._private.exchange(X25519PublicKey.from_public_bytes(peer))
        except ValueError:
            raise KexFailed("the peer's X25519 value gives a trivial secret") from None


class _X25519Initiator(Initiator):
    def __init__(self, random: Random) -> None:
        self._key = X25519(random)
        self.public = self._key.public

    def finish(self, reply: bytes) -> bytes:
        """See :meth:`~nacre.crypto.kex.Initiator.finish`."""
        return mpint(int.from_bytes(self._key.secret(reply), "big"))


class X25519Method(KexMethod):
    """X25519; its secret is hashed as an mpint of the octets in network order."""

    def __init__(self, name: str) -> None:
        super().__init__(name, Tier.DEFAULT, "sha256", "ecdh")

    def initiate(self, random: Random) -> Initiator:
        """See :meth:`~nacre.crypto.kex.KexMethod.initiate`."""
        return _X25519Initiator(random)

    def respond(self, public: bytes, random: Random) -> tuple[bytes, bytes]:
        """See :meth:`~nacre.crypto.kex.KexMethod.respond`."""
        own = _X25519Initiator(random)
        return own.public, own.finish(public)


class EcdhMethod(KexMethod):
    """ECDH on a NIST curve. The curves have cofactor 1: a point on the curve is a valid one."""

    def __init__(self, curve: str, hash_name: str) -> None:
        super().__init__(f"ecdh-sha2-{curve}", Tier.DEFAULT, hash_name, "ecdh")
        self._curve = curve

    def initiate(self, random: Random) -> Initiator:
        """See :meth:`~nacre.crypto.kex.KexMethod.initiate`."""
        # Few connections need these curves, and the library's part for them takes long to load.
        from nacre.crypto.curves import EcdhInitiator

        return EcdhInitiator(self._curve, random)

    def respond(self, public: bytes, random: Random) -> tuple[bytes, bytes]:
        """See :meth:`~nacre.crypto.kex.KexMethod.respond`."""
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
