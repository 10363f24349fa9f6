"""Diffie-Hellman over prime fields (RFC 4253 section 8, RFC 8268) and group exchange (RFC 4419).

The arithmetic takes milliseconds, so it is for a thread (``KexMethod.slow``). Without gmpy2 it does
not run in constant time: see :mod:`nacre.crypto.kex.power`. Each exponent is used in one exchange
only, so an observer has nothing to average over. (``cryptography`` has deprecated its
Diffie-Hellman.)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from nacre.crypto.kex.groups import GENERATOR, modp
from nacre.crypto.kex.method import Family, Initiator, KexMethod, Tier
from nacre.crypto.kex.power import power
from nacre.crypto.packets.seal import Random
from nacre.errors import KexFailed, LocalProtocolError
from nacre.wire.codec import mpint

# Twice the longest key derived, as RFC 4419 section 6.2 advises. Longer exponents would cost time
# (a second at 8192 bits) without a gain: the group of a safe prime has no small subgroups.
_EXPONENT_BYTES = 64

_GEX_SHA1 = "diffie-hellman-group-exchange-sha1"
_GEX_SHA256 = "diffie-hellman-group-exchange-sha256"


class _DhInitiator(Initiator):
    def __init__(self, prime: int, generator: int, random: Random) -> None:
        self._prime = prime
        # The top bit is set, so that the exponent has its full length.
        self._x = int.from_bytes(random(_EXPONENT_BYTES), "big") | 1 << (8 * _EXPONENT_BYTES - 1)
        self.public = mpint(power(generator, self._x, prime))[4:]

    def finish(self, reply: bytes) -> bytes:
        """See :meth:`~nacre.crypto.kex.method.Initiator.finish`."""
        y = int.from_bytes(reply, "big", signed=True)
        # 1 and p-1 generate the groups of order 1 and 2. In a safe prime's group every other value
        # generates at least the subgroup of order (p-1)/2.
        if not 1 < y < self._prime - 1:
            raise KexFailed("the peer's Diffie-Hellman value is out of range")
        secret = power(y, self._x, self._prime)
        # Only possible in a server's own group, whose prime has passed a cheap test only.
        if not 1 < secret < self._prime - 1:
            raise KexFailed("the peer's Diffie-Hellman value gives a trivial secret")
        return mpint(secret)


class DhMethod(KexMethod):
    """Diffie-Hellman in the group of a safe prime.

    :param group: returns the prime and the generator; called for each exchange.
    """

    slow = True

    def __init__(
        self,
        name: str,
        tier: Tier,
        hash_name: str,
        family: Family,
        group: Callable[[], tuple[int, int]],
    ) -> None:
        super().__init__(name, tier, hash_name, family)
        self._group = group

    def initiate(self, random: Random) -> Initiator:
        """See :meth:`~nacre.crypto.kex.method.KexMethod.initiate`."""
        return _DhInitiator(*self._group(), random)

    def respond(self, public: bytes, random: Random) -> tuple[bytes, bytes]:
        """See :meth:`~nacre.crypto.kex.method.KexMethod.respond`."""
        own = self.initiate(random)
        return own.public, own.finish(public)


def dh_gex(name: str, prime: int, generator: int) -> KexMethod:
    """Return the group exchange method ``name`` for the group that was agreed on.

    A client has to check the group with :func:`nacre.crypto.kex.groups.check_group` first; a server
    gets it from :func:`nacre.crypto.kex.groups.choose_group`.
    """
    method = METHODS[name]
    return DhMethod(name, method.tier, method.hash_name, "dh-gex", lambda: (prime, generator))


def _no_group() -> tuple[int, int]:
    raise LocalProtocolError("group exchange needs a group first: see dh_gex")


def _modp_group(bits: int) -> tuple[int, int]:
    return modp(bits), GENERATOR


def _fixed(number: int, hash_name: str, bits: int, tier: Tier) -> DhMethod:
    name = f"diffie-hellman-group{number}-{hash_name}"
    return DhMethod(name, tier, hash_name, "dh", partial(_modp_group, bits))


METHODS: dict[str, KexMethod] = {
    method.name: method
    for method in (
        DhMethod(_GEX_SHA256, Tier.DEFAULT, "sha256", "dh-gex", _no_group),
        _fixed(16, "sha512", 4096, Tier.DEFAULT),
        _fixed(18, "sha512", 8192, Tier.ALLOWED),
        _fixed(14, "sha256", 2048, Tier.DEFAULT),
        DhMethod(_GEX_SHA1, Tier.LEGACY, "sha1", "dh-gex", _no_group),
        _fixed(14, "sha1", 2048, Tier.LEGACY),
        _fixed(1, "sha1", 1024, Tier.LEGACY),
    )
}
