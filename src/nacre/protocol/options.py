"""The options of an engine: given when it is made, never changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal

from nacre._version import __version__
from nacre.crypto import registry
from nacre.crypto.kex.pq import missing
from nacre.crypto.registry import Tier
from nacre.crypto.signatures.certified import plain
from nacre.errors import ConfigurationError
from nacre.limits import DEFAULT_LIMITS, Limits
from nacre.value import value
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.keys import PrivateKey, PublicKey

Profile = Literal["default", "legacy"]
Choice = str | Sequence[str] | None
"""Names, or a string ``a,b`` that may begin with ``+`` (append to the default list), ``-`` (remove
from it; patterns are allowed) or ``^`` (put in front of it)."""

SOFTWARE = f"nacre_{__version__}"

_MOST_OF_LINE = 255 - len("SSH-1.99-\r\n")

SSH1_CIPHERS = ("3des", "blowfish")
"""The ciphers of SSH-1 by default. DES, with its key of 56 bits, is used only if it is named."""


@value
class Algorithms:
    """The algorithms that this side offers, best first. Call :func:`algorithms` to make one.

    :ivar host_key: host key algorithms that a client accepts, or that a server signs with.
    :ivar signatures: signature algorithms of users' keys.
    :ivar ca_signatures: the algorithms with which certificates may be signed.
    """

    kex: tuple[str, ...]
    host_key: tuple[str, ...]
    ciphers: tuple[str, ...]
    macs: tuple[str, ...]
    compression: tuple[str, ...]
    signatures: tuple[str, ...]
    ca_signatures: tuple[str, ...] = ()


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
    "CA signature": _tiers(registry.CA_SIGNATURES),
}


_MISSING = {name: package for name, m in registry.KEX.items() if (package := missing(m))}
"""Names that are not offered because a package is not installed, with the package."""


def known(kind: str) -> tuple[str, ...]:
    """Return the names of all algorithms of a kind, best first; see :class:`NoCommonAlgorithm`."""
    return tuple(_TIERS[kind])


def offered(kind: str) -> tuple[str, ...]:
    """Return the names of the algorithms of a kind that are offered by default, best first."""
    return _base(kind, "default")


def _base(kind: str, profile: Profile) -> tuple[str, ...]:
    tiers = {Tier.DEFAULT} if profile == "default" else {Tier.DEFAULT, Tier.LEGACY}
    table = _TIERS[kind].items()
    return tuple(name for name, tier in table if tier in tiers and name not in _MISSING)


def _check(kind: str, names: Iterable[str]) -> tuple[str, ...]:
    table = _TIERS[kind]
    unique = tuple(dict.fromkeys(names))
    for name in unique:
        if name not in table:
            raise ConfigurationError(
                f"{name!r} is not a supported {kind} algorithm; supported are {', '.join(table)}"
            )
        if (package := _MISSING.get(name)) is not None:
            raise ConfigurationError(
                f"{name} needs the package {package}, which is not installed: "
                "pip install 'nacre[pq]'"
            )
    if not unique:
        raise ConfigurationError(f"the list of {kind} algorithms is empty; name at least one")
    return unique


def choose(kind: str, choice: Choice, profile: Profile = "default") -> tuple[str, ...]:
    """Return the names that ``choice`` selects, relative to the default list of ``kind``.

    :raises ConfigurationError: a name is unknown, or the list is empty.
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
    ca_signatures: Choice = None,
) -> Algorithms:
    """Return the algorithms to offer. Legacy ones must be named, or asked for by the profile.

    :param profile: ``legacy`` adds the legacy algorithms behind the default ones.
    :raises ConfigurationError: a name is unknown, or a list is empty.
    """
    return Algorithms(
        kex=choose("kex", kex, profile),
        host_key=choose("host key", host_key, profile),
        ciphers=choose("cipher", ciphers, profile),
        macs=choose("MAC", macs, profile),
        compression=choose("compression", compression, profile),
        signatures=choose("signature", signatures, profile),
        ca_signatures=choose("CA signature", ca_signatures, profile),
    )


DEFAULT_ALGORITHMS = algorithms()


def usable_with(
    server: tuple[str, ...] | None, key: PublicKey, algorithms: tuple[str, ...]
) -> tuple[str, ...]:
    """Return those of a key's signature algorithms to use with a server.

    :param server: its ``server-sig-algs`` (RFC 8308 section 3.1), or None. They are heeded for RSA
        keys alone, as OpenSSH does: a key of another type has one algorithm, and there are servers
        that take ECDSA and do not list it.
    """
    if server is None or not key.rsa:
        return algorithms
    # A server that takes certificates need not list their names: the plain ones count.
    return tuple(name for name in algorithms if plain(name) in server)


def software(addendum: str | None = None) -> str:
    """Return our software version, with the text of VersionAddendum behind it.

    :raises ConfigurationError: the text does not fit into the line (RFC 4253 section 4.2).
    """
    text = f"{SOFTWARE} {addendum or ''}".rstrip()
    if len(text) > _MOST_OF_LINE or not (text.isascii() and text.isprintable()):
        raise ConfigurationError(
            f"VersionAddendum {safe(addendum or '', 64)}: give printable US-ASCII, "
            f"at most {_MOST_OF_LINE - len(SOFTWARE) - 1} characters"
        )
    return text


@value(kw_only=True)
class EngineOptions:
    """The options of both roles.

    :ivar software: the software version in our identification line: printable US-ASCII without
        ``-``, and perhaps comments behind a space (RFC 4253 section 4.2).
    :ivar trace: report every message as a ``MessageSeen`` event.
    :ivar key_log: report the shared secret of each key exchange as a ``SecretAgreed`` event.
    :ivar announce: the protocol version in our identification line; a server that speaks SSH-1 as
        well names 1.99 (RFC 4253 section 5.1).
    :ivar ssh1_ciphers: the ciphers for SSH-1, best first: ``3des``, ``blowfish`` or ``des``.
    :ivar gss_kex: the key exchange methods of GSSAPI to offer before all others;
        ``AskSecurityStep`` follows when one is chosen.
    """

    algorithms: Algorithms = DEFAULT_ALGORITHMS
    limits: Limits = DEFAULT_LIMITS
    software: str = SOFTWARE
    trace: bool = False
    key_log: bool = False
    announce: str = "2.0"
    ssh1_ciphers: tuple[str, ...] = SSH1_CIPHERS
    gss_kex: tuple[str, ...] = ()


@value(kw_only=True)
class ClientOptions(EngineOptions):
    """The options of a client.

    :ivar user: the user name to log in with.
    :ivar host_bound: name the server's host key in requests of ``publickey``, as agents with
        restricted keys need it, where the server has ``publickey-hostbound-v00@openssh.com``.
    """

    user: str
    host_bound: bool = True


@value(kw_only=True)
class ServerOptions(EngineOptions):
    """The options of a server.

    :ivar host_keys: at least one; keys without an algorithm in ``algorithms.host_key`` are unused.
    :ivar handover: ask ``AskHandover`` at the login, so that another process can go on with the
        connection. ``zlib`` can't be offered then: its state can't be moved.
    :ivar verify: whether the engine verifies the signatures of users' keys. Where it does not,
        who answers ``AskPublicKey`` must verify them, from the request's fields.
    """

    host_keys: tuple[PrivateKey, ...]
    handover: bool = False
    verify: bool = True
