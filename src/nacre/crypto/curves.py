"""Points of elliptic curves as SSH writes them (RFC 5656 section 3.1)."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec


def uncompressed_point(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the public half of a key as an uncompressed point (SEC 1 section 2.3.3)."""
    # Loads four milliseconds' worth of key formats, for an encoding that few connections need.
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
