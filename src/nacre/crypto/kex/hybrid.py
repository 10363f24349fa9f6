"""Hybrids of a post-quantum KEM with a Diffie-Hellman on a curve; each secret alone is enough.

ML-KEM (FIPS 203) by draft-ietf-sshm-mlkem-hybrid-kex, Streamlined NTRU Prime by
draft-ietf-sshm-ntruprime-ssh. Both sides send the KEM's value with the curve's behind it. K is the
hash of the KEM's secret with the curve's behind it, as a string.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cache, partial
from typing import TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.mlkem import (
    MLKEM768PrivateKey,
    MLKEM768PublicKey,
    MLKEM1024PrivateKey,
    MLKEM1024PublicKey,
)

from nacre.crypto.kex.curves import NistCurve
from nacre.crypto.kex.method import Initiator
from nacre.crypto.kex.x25519 import X25519
from nacre.crypto.packets.seal import Random
from nacre.errors import KexFailed
from nacre.wire.codec import string

_SEED = 64

Decapsulate: TypeAlias = Callable[[bytes], bytes]


class Kem(ABC):
    """A key encapsulation mechanism.

    :ivar public: bytes of a public key; ``ciphertext``: bytes of what the server returns.
    """

    public: int
    ciphertext: int

    @abstractmethod
    def generate(self, random: Random) -> tuple[bytes, Decapsulate]:
        """Return a new public key, and the function that returns the secret of a ciphertext."""

    @abstractmethod
    def encapsulate(self, public: bytes) -> tuple[bytes, bytes]:
        """Return a new secret, and its ciphertext for the owner of ``public``.

        :raises ValueError: the key is malformed.
        """


class MlKem(Kem):
    """ML-KEM. Encapsulation draws its randomness from the system: the library takes no other."""

    def __init__(
        self,
        private: type[MLKEM768PrivateKey | MLKEM1024PrivateKey],
        peer: type[MLKEM768PublicKey | MLKEM1024PublicKey],
        public: int,
        ciphertext: int,
    ) -> None:
        self._private = private
        self._peer = peer
        self.public = public
        self.ciphertext = ciphertext

    def generate(self, random: Random) -> tuple[bytes, Decapsulate]:
        """See :meth:`Kem.generate`."""
        key = self._private.from_seed_bytes(random(_SEED))
        return key.public_key().public_bytes_raw(), key.decapsulate

    def encapsulate(self, public: bytes) -> tuple[bytes, bytes]:
        """See :meth:`Kem.encapsulate`. FIPS 203 section 7.2: keys not reduced are refused."""
        return self._peer.from_public_bytes(public).encapsulate()


class Sntrup761(Kem):
    """Streamlined NTRU Prime 761; all of its randomness is the system's.

    The package is loaded on use. A client's key takes 30 ms.
    """

    public = 1158
    ciphertext = 1039

    def generate(self, random: Random) -> tuple[bytes, Decapsulate]:
        """See :meth:`Kem.generate`."""
        from pqcrypto.kem import sntrup_761

        public, secret = sntrup_761.keygen()
        return public, partial(sntrup_761.decaps, secret)

    def encapsulate(self, public: bytes) -> tuple[bytes, bytes]:
        """See :meth:`Kem.encapsulate`."""
        from pqcrypto.kem import sntrup_761

        ciphertext, secret = sntrup_761.encaps(public)
        return secret, ciphertext


_MLKEM768 = MlKem(MLKEM768PrivateKey, MLKEM768PublicKey, 1184, 1088)
_MLKEM1024 = MlKem(MLKEM1024PrivateKey, MLKEM1024PublicKey, 1568, 1568)

Curve: TypeAlias = Callable[[Random], X25519 | NistCurve]

PARTS: dict[str, tuple[Kem, Curve]] = {
    "mlkem768x25519": (_MLKEM768, X25519),
    "mlkem768nistp256": (_MLKEM768, partial(NistCurve, "nistp256")),
    "mlkem1024nistp384": (_MLKEM1024, partial(NistCurve, "nistp384")),
    "sntrup761x25519": (Sntrup761(), X25519),
}
"""The KEM and the curve of each hybrid."""


@cache
def ml_kem_supported() -> bool:
    """Return whether ``cryptography`` was built with ML-KEM, as its wheels are."""
    try:
        MLKEM768PrivateKey.from_seed_bytes(bytes(_SEED))
    except UnsupportedAlgorithm:
        return False
    return True


def _combine(hash_name: str, kem_secret: bytes, curve_secret: bytes) -> bytes:
    return string(hashlib.new(hash_name, kem_secret + curve_secret).digest())


class HybridInitiator(Initiator):
    """The client's half of an exchange."""

    def __init__(self, parts: str, hash_name: str, random: Random) -> None:
        self._hash_name = hash_name
        self._kem, curve = PARTS[parts]
        public, self._decapsulate = self._kem.generate(random)
        self._curve = curve(random)
        self.public = public + self._curve.public

    def finish(self, reply: bytes) -> bytes:
        """See :meth:`~nacre.crypto.kex.method.Initiator.finish`."""
        size = self._kem.ciphertext
        if len(reply) != size + len(self._curve.public):
            raise KexFailed(f"the server's hybrid value has {len(reply)} bytes")
        curve_secret = self._curve.secret(reply[size:])
        return _combine(self._hash_name, self._decapsulate(reply[:size]), curve_secret)


def respond(parts: str, hash_name: str, public: bytes, random: Random) -> tuple[bytes, bytes]:
    """Do the server's half; see :meth:`~nacre.crypto.kex.method.KexMethod.respond`."""
    kem, make_curve = PARTS[parts]
    curve = make_curve(random)
    if len(public) != kem.public + len(curve.public):
        raise KexFailed(f"the client's hybrid value has {len(public)} bytes")
    curve_secret = curve.secret(public[kem.public :])
    try:
        kem_secret, ciphertext = kem.encapsulate(public[: kem.public])
    except ValueError:
        raise KexFailed("the client's post-quantum key is malformed") from None
    return ciphertext + curve.public, _combine(hash_name, kem_secret, curve_secret)
