"""mlkem768x25519-sha256: see :mod:`nacre.crypto.mlkem`, which is loaded on use."""

from __future__ import annotations

from nacre.crypto.kex import Initiator, KexMethod, Tier
from nacre.crypto.seal import Random


class MlKemMethod(KexMethod):
    """The hybrid of ML-KEM-768 and X25519.

    The server's encapsulation draws its randomness from the system: the library does not accept
    other sources. Only the rest of ``respond`` uses the parameter ``random``.
    """

    def __init__(self) -> None:
        super().__init__("mlkem768x25519-sha256", Tier.DEFAULT, "sha256", "ecdh")

    def initiate(self, random: Random) -> Initiator:
        """See :meth:`~nacre.crypto.kex.KexMethod.initiate`."""
        from nacre.crypto.mlkem import MlKemInitiator

        return MlKemInitiator(random)

    def respond(self, public: bytes, random: Random) -> tuple[bytes, bytes]:
        """See :meth:`~nacre.crypto.kex.KexMethod.respond`."""
        from nacre.crypto import mlkem

        return mlkem.respond(public, random)


METHODS: dict[str, KexMethod] = {method.name: method for method in (MlKemMethod(),)}
