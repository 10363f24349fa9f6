"""The NIST curves: encoding of points (RFC 5656 section 3.1), and Diffie-Hellman on the curves."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec

from nacre.crypto.kex.method import Initiator
from nacre.crypto.packets.seal import Random
from nacre.errors import KexFailed
from nacre.wire.codec import mpint

CURVES: dict[str, ec.EllipticCurve] = {
    "nistp256": ec.SECP256R1(),
    "nistp384": ec.SECP384R1(),
    "nistp521": ec.SECP521R1(),
}


def uncompressed_point(key: ec.EllipticCurvePublicKey) -> bytes:
    """Return a public key as an uncompressed point (SEC 1 section 2.3.3)."""
    # Imported here: it takes four milliseconds to load, and few connections need it.
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


class NistCurve:
    """One side's key of one exchange (RFC 5656 section 4). The curves have cofactor 1.

    :ivar public: the public value, an uncompressed point.
    """

    __slots__ = ("_curve", "_private", "public")

    def __init__(self, name: str, random: Random) -> None:
        self._curve = curve = CURVES[name]
        # With 64 bits more than the order, the bias of the remainder is negligible (FIPS 186-5
        # appendix A.2.1).
        spread = int.from_bytes(random(curve.key_size // 8 + 9), "big")
        self._private = ec.derive_private_key(spread % (curve.group_order - 1) + 1, curve)
        self.public = uncompressed_point(self._private.public_key())

    def secret(self, peer: bytes) -> bytes:
        """Return the shared secret: the x coordinate in full length, in network order.

        :raises KexFailed: ``peer`` is not an uncompressed point of the curve.
        """
        if len(peer) != len(self.public) or peer[0] != 4:
            raise KexFailed(f"the peer's value is not an uncompressed point of {self._curve.name}")
        try:
            point = ec.EllipticCurvePublicKey.from_encoded_point(self._curve, peer)
            return self._private.exchange(ec.ECDH(), point)
        except ValueError:
            raise KexFailed(f"the peer's value is not a point of {self._curve.name}") from None


class EcdhInitiator(Initiator):
    """The client's half of an exchange; the secret is hashed as an mpint."""

    def __init__(self, name: str, random: Random) -> None:
        self._key = NistCurve(name, random)
        self.public = self._key.public

    def finish(self, reply: bytes) -> bytes:
        """See :meth:`~nacre.crypto.kex.method.Initiator.finish`."""
        return mpint(int.from_bytes(self._key.secret(reply), "big"))
