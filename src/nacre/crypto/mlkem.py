"""mlkem768x25519-sha256: ML-KEM-768 (FIPS 203) with X25519 (draft-ietf-sshm-mlkem-hybrid-kex).

The secret is safe as long as one of the two is.
"""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey

from nacre.crypto.kex import Initiator
from nacre.crypto.seal import Random
from nacre.crypto.x25519 import X25519, X25519_SIZE
from nacre.errors import KexFailed
from nacre.wire.codec import string

_SEED = 64
_PUBLIC = 1184
_CIPHERTEXT = 1088


def _combine(kem_secret: bytes, curve_secret: bytes) -> bytes:
    return string(hashlib.sha256(kem_secret + curve_secret).digest())


class MlKemInitiator(Initiator):
    """The client's half of an exchange."""

    def __init__(self, random: Random) -> None:
        self._kem = MLKEM768PrivateKey.from_seed_bytes(random(_SEED))
        self._curve = X25519(random)
        self.public = self._kem.public_key().public_bytes_raw() + self._curve.public

    def finish(self, reply: bytes) -> bytes:
        """See :meth:`~nacre.crypto.kex.Initiator.finish`."""
        if len(reply) != _CIPHERTEXT + X25519_SIZE:
            raise KexFailed(f"the server's hybrid value has {len(reply)} bytes")
        curve_secret = self._curve.secret(reply[_CIPHERTEXT:])
        return _combine(self._kem.decapsulate(reply[:_CIPHERTEXT]), curve_secret)


def respond(public: bytes, random: Random) -> tuple[bytes, bytes]:
    """Do the server's half; see :meth:`~nacre.crypto.kex.KexMethod.respond`."""
    if len(public) != _PUBLIC + X25519_SIZE:
        raise KexFailed(f"the client's hybrid value has {len(public)} bytes")
    curve = X25519(random)
    curve_secret = curve.secret(public[_PUBLIC:])
    try:
        # FIPS 203 section 7.2: the library refuses a key whose numbers are not reduced.
        kem_secret, ciphertext = MLKEM768PublicKey.from_public_bytes(public[:_PUBLIC]).encapsulate()
    except ValueError:
        raise KexFailed("the client's ML-KEM key is malformed") from None
    return ciphertext + curve.public, _combine(kem_secret, curve_secret)
