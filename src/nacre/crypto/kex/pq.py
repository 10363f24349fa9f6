"""Post-quantum hybrids: see :mod:`nacre.crypto.kex.hybrid`, which is loaded on use."""

from __future__ import annotations

from importlib.machinery import PathFinder

from nacre.crypto.kex.method import Initiator, KexMethod, Tier
from nacre.crypto.packets.seal import Random

_PACKAGE = "pqcrypto"
"""What has Streamlined NTRU Prime: the extra ``pq``."""


class HybridMethod(KexMethod):
    """A hybrid of a post-quantum KEM and a curve, named by its parts and its hash.

    The KEM may draw randomness from the system: only the rest uses the parameter ``random``.
    """

    def __init__(self, name: str, *, package: str = "") -> None:
        parts, _, rest = name.partition("-")
        super().__init__(name, Tier.DEFAULT, rest.partition("@")[0], "ecdh")
        self.package = package
        self._parts = parts

    def supported(self) -> bool:
        """See :meth:`KexMethod.supported`. A package alone always is enough."""
        if self.package:
            return True
        from nacre.crypto.kex.hybrid import ml_kem_supported

        return ml_kem_supported()

    def initiate(self, random: Random) -> Initiator:
        """See :meth:`~nacre.crypto.kex.method.KexMethod.initiate`."""
        from nacre.crypto.kex.hybrid import HybridInitiator

        return HybridInitiator(self._parts, self.hash_name, random)

    def respond(self, public: bytes, random: Random) -> tuple[bytes, bytes]:
        """See :meth:`~nacre.crypto.kex.method.KexMethod.respond`."""
        from nacre.crypto.kex import hybrid

        return hybrid.respond(self._parts, self.hash_name, public, random)


METHODS: dict[str, KexMethod] = {
    method.name: method
    for method in (
        HybridMethod("mlkem768x25519-sha256"),
        HybridMethod("mlkem768nistp256-sha256"),
        HybridMethod("mlkem1024nistp384-sha384"),
        # Last: a key of the client takes 30 ms.
        HybridMethod("sntrup761x25519-sha512", package=_PACKAGE),
        HybridMethod("sntrup761x25519-sha512@openssh.com", package=_PACKAGE),
    )
}


def missing(method: KexMethod) -> str:
    """Return the package that ``method`` needs and that is not installed, or an empty text."""
    installed = not method.package or PathFinder.find_spec(method.package) is not None
    return "" if installed else method.package
