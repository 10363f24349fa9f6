"""What an engine is told at its start, and never changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal

from nacre._version import __version__
from nacre.crypto import registry
from nacre.crypto.registry import Tier
from nacre.errors import ConfigurationError
from nacre.limits import DEFAULT_LIMITS, Limits
from nacre.value import value

if TYPE_CHECKING:
    from nacre.keys import PrivateKey

Profile = Literal["default", "legacy"]
Choice = str | Sequence[str] | None
"""Names, or one text ``a,b``; a text may begin with ``+`` (add), ``-`` (remove), ``^`` (prefer)."""

SOFTWARE = f"nacre_{__version__}"

SSH1_CIPHERS = ("3des", "blowfish")
"""What SSH-1 uses when nothing else was said: DES, with its 56 bits, has to be named."""


@value
class Algorithms:
    """What this side offers, best first. Made by :func:`algorithms`.

    :ivar host_key: host key algorithms: what a client accepts, and what a server signs with.
    :ivar signatures: algorithms of users' keys.
    """

    kex: tuple[str, ...]
    host_key: tuple[str, ...]
    ciphers: tuple[str, ...]
    macs: tuple[str, ...]
    compression: tuple[str, ...]
    signatures: tuple[str, ...]


def _tiers(table: Mapping[str, object]) -> dict[str, Tier]:
    return {
        name: entry if isinstance(entry, Tier) else entry.tier  # type: ignore[attr-defined]
        for name, entry in table.items()
    }


_TIERS: dict[str, dict[str, Tier]] = {
    "kex": _tiers(registry.KEX),
    "host key": _tiers(registry.SIGNATURES),
    "cipher": _tiers(registry.CIPHERS),
    "MAC": _tiers(registry.MACS),
    "compression": _tiers(registry.COMPRESSIONS),
    "signature": _tiers(registry.SIGNATURES),
}


def known(kind: str) -> tuple[str, ...]:
    """Return every name of a kind, best first; kinds as in :class:`NoCommonAlgorithm`."""
    return tuple(_TIERS[kind])


def _base(kind: str, profile: Profile) -> tuple[str, ...]:
    tiers = {Tier.DEFAULT} if profile == "default" else {Tier.DEFAULT, Tier.LEGACY}
    return tuple(name for name, tier in _TIERS[kind].items() if tier in tiers)


def _check(kind: str, names: Iterable[str]) -> tuple[str, ...]:
    table = _TIERS[kind]
    unique = tuple(dict.fromkeys(names))
    for name in unique:
        if name not in table:
            raise ConfigurationError(
                f"{name!r} is no {kind} algorithm nacre has; it has {', '.join(table)}"
            )
    if not unique:
        raise ConfigurationError(f"the list of {kind} algorithms is empty")
    return unique


def choose(kind: str, choice: Choice, profile: Profile = "default") -> tuple[str, ...]:
    """Return the names that ``choice`` makes of a kind's default list.

    :raises ConfigurationError: for a name nacre does not have, or when nothing is left.
    """
    base = _base(kind, profile)
    if choice is None:
        return base
    if not isinstance(choice, str):
        return _check(kind, choice)
    sign, names = choice[:1], [n for n in choice.lstrip("+-^").split(",") if n]
    if sign == "-":
        return _check(
            kind, (n for n in base if not any(fnmatchcase(n, pattern) for pattern in names))
        )
    if sign == "+":
        return _check(kind, (*base, *names))
    if sign == "^":
        return _check(kind, (*names, *base))
    return _check(kind, names)


def algorithms(
    *,
    profile: Profile = "default",
    kex: Choice = None,
    host_key: Choice = None,
    ciphers: Choice = None,
    macs: Choice = None,
    compression: Choice = None,
    signatures: Choice = None,
) -> Algorithms:
    """Return what to offer. Legacy algorithms are in only when named, or with ``profile="legacy"``.

    :raises ConfigurationError: for a name nacre does not have, or an empty list.
    """
    return Algorithms(
        kex=choose("kex", kex, profile),
        host_key=choose("host key", host_key, profile),
        ciphers=choose("cipher", ciphers, profile),
        macs=choose("MAC", macs, profile),
        compression=choose("compression", compression, profile),
        signatures=choose("signature", signatures, profile),
    )


DEFAULT_ALGORITHMS = algorithms()


@value(kw_only=True)
class EngineOptions:
    """What both roles are told.

    :ivar software: the software version of our identification line: printable US-ASCII without
        spaces or ``-``.
    :ivar trace: report every message as a ``MessageSeen`` event.
    :ivar announce: the protocol version that our identification line names; a server that speaks
        SSH-1 as well names 1.99 (RFC 4253 section 5.1).
    :ivar ssh1_ciphers: what SSH-1 may use, best first, of ``3des``, ``blowfish`` and ``des``.
    """

    algorithms: Algorithms = DEFAULT_ALGORITHMS
    limits: Limits = DEFAULT_LIMITS
    software: str = SOFTWARE
    trace: bool = False
    announce: str = "2.0"
    ssh1_ciphers: tuple[str, ...] = SSH1_CIPHERS


@value(kw_only=True)
class ClientOptions(EngineOptions):
    """What a client is told.

    :ivar user: the user name to log in with.
    """

    user: str


@value(kw_only=True)
class ServerOptions(EngineOptions):
    """What a server is told.

    :ivar host_keys: at least one; those whose algorithms are not in ``algorithms.host_key`` stay
        unused.
    """

    host_keys: tuple[PrivateKey, ...]
