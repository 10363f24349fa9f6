"""X25519 (RFC 7748) as a key exchange of SSH (RFC 8731)."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from nacre.crypto.kex.method import Initiator
from nacre.crypto.packets.seal import Random
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
        """Return the 32 bytes of the shared secret.

        :raises KexFailed: ``peer`` is not 32 bytes, or the secret is all zero (RFC 8731 section
            3), as it is for points of small order.
        """
        if len(peer) != X25519_SIZE:
            raise KexFailed(f"an X25519 value has {len(peer)} bytes instead of {X25519_SIZE}")
        try:
            return self._private.exchange(X25519PublicKey.from_public_bytes(peer))
        except ValueError:
            raise KexFailed("the peer's X25519 value gives a trivial secret") from None


class X25519Initiator(Initiator):
    """The client's half of an exchange; the secret is hashed as an mpint (RFC 8731 section 3.1)."""

    def __init__(self, random: Random) -> None:
        self._key = X25519(random)
        self.public = self._key.public

    def finish(self, reply: bytes) -> bytes:
        """See :meth:`~nacre.crypto.kex.method.Initiator.finish`."""
        return mpint(int.from_bytes(self._key.secret(reply), "big"))
