"""The computation of key exchange methods of GSSAPI: that of a plain method (RFC 8732).

A name ends in the hash of the mechanism, which is Kerberos 5 alone. A security context signs in
place of a host key.
"""

from __future__ import annotations

from nacre.crypto.kex import dh, ecdh
from nacre.crypto.kex.method import Initiator, KexMethod
from nacre.crypto.packets.seal import Random

_KERBEROS = "toWM5Slw5Ew8Mqkay+al2g=="
"""The base64 of the MD5 of the mechanism's object identifier in DER (RFC 4462 section 2)."""


class GssMethod(KexMethod):
    """The computation of ``plain`` with the messages of RFC 4462 section 2.1."""

    def __init__(self, prefix: str, plain: KexMethod) -> None:
        super().__init__(prefix + _KERBEROS, plain.tier, plain.hash_name, "gss")
        self._plain = plain
        self.slow = plain.slow

    def supported(self) -> bool:
        """See :meth:`~nacre.crypto.kex.method.KexMethod.supported`."""
        return self._plain.supported()

    def initiate(self, random: Random) -> Initiator:
        """See :meth:`~nacre.crypto.kex.method.KexMethod.initiate`."""
        return self._plain.initiate(random)

    def respond(self, public: bytes, random: Random) -> tuple[bytes, bytes]:
        """See :meth:`~nacre.crypto.kex.method.KexMethod.respond`."""
        return self._plain.respond(public, random)


PREFIXES: dict[str, KexMethod] = {
    "gss-curve25519-sha256-": ecdh.METHODS["curve25519-sha256"],
    "gss-nistp256-sha256-": ecdh.METHODS["ecdh-sha2-nistp256"],
    "gss-group16-sha512-": dh.METHODS["diffie-hellman-group16-sha512"],
    "gss-group14-sha256-": dh.METHODS["diffie-hellman-group14-sha256"],
}
"""The names without the mechanism, as GSSAPIKexAlgorithms has them, best first."""

METHODS: dict[str, KexMethod] = {
    method.name: method
    for method in (GssMethod(prefix, plain) for prefix, plain in PREFIXES.items())
}


def methods(prefixes: tuple[str, ...] | None) -> tuple[str, ...]:
    """Return the names of methods, from those of GSSAPIKexAlgorithms.

    Names that nacre has no method for are left out, as those with SHA-1 are.

    :param prefixes: names without the mechanism, best first; None for all.
    """
    wanted = PREFIXES if prefixes is None else prefixes
    return tuple(prefix + _KERBEROS for prefix in wanted if prefix in PREFIXES)
