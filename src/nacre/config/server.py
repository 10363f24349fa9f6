"""The words of sshd_config(5) that ``nacre serve -o`` takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nacre.config import values
from nacre.config.values import LogLevel, RekeyLimit
from nacre.errors import KeyFormatError
from nacre.limits import DEFAULT_LIMITS, Limits
from nacre.protocol.options import Algorithms, Profile, algorithms

if TYPE_CHECKING:
    from nacre.keys.key_options import HostPort

_MOST = 100_000


_FORWARDING = {
    "yes": frozenset({"local", "remote"}),
    "all": frozenset({"local", "remote"}),
    "no": frozenset[str](),
    "local": frozenset({"local"}),
    "remote": frozenset({"remote"}),
}
_GATEWAY = {"no": "no", "yes": "yes", "clientspecified": "clientspecified"}
_COMPRESSIONS = {
    # As OpenSSH has it since 7.4: no compression before authentication, whatever the word.
    "yes": "none,zlib@openssh.com",
    "delayed": "none,zlib@openssh.com",
    "no": "none",
}


def _algorithms(kind: str) -> Callable[[str, str], str]:
    return lambda keyword, value: values.algorithms(keyword, value, kind)


def _one_of(meanings: Mapping[str, Any]) -> Callable[[str, str], Any]:
    return lambda keyword, value: values.word(keyword, value, meanings)


def _number(low: int) -> Callable[[str, str], int]:
    return lambda keyword, value: values.integer(keyword, value, low, _MOST)


def _max_startups(keyword: str, value: str) -> str:
    parts = value.split(":")
    allowed = "a number, or start:rate:full such as 10:30:100"
    if len(parts) not in (1, 3):
        raise values.bad(keyword, value, allowed)
    numbers = [values.integer(keyword, part, 1, _MOST) for part in parts]
    if len(numbers) == 3 and (numbers[1] > 100 or numbers[0] > numbers[2]):
        raise values.bad(keyword, value, allowed)
    return value


def _places(default_host: str | None) -> Callable[[str, str], tuple[HostPort, ...] | None]:
    """Take ``any`` (None), ``none``, or hosts with ports, either of them perhaps ``*``."""

    def take(keyword: str, value: str) -> tuple[HostPort, ...] | None:
        from nacre.keys.key_options import host_port

        if value.lower() in ("any", "none"):
            return None if value.lower() == "any" else ()
        try:
            return tuple(host_port(word, default_host) for word in values.words(keyword, value))
        except KeyFormatError:
            shown = "host:port" if default_host is None else "port or host:port"
            raise values.bad(keyword, value, f"any, none, or {shown}, once or more") from None

    return take


def _banner(keyword: str, value: str) -> Path | None:
    path = values.one_word(keyword, value)
    return None if path.lower() == "none" else Path(path)


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """What the words say; each default is OpenSSH's, but for the algorithms, which are nacre's.

    :ivar host_key_algorithms: a list with ``+``, ``-`` or ``^`` in front or nothing, or None; the
        other algorithms likewise.
    :ivar compression: a list of algorithms, or None.
    :ivar max_startups: ``start:rate:full``, or one number.
    :ivar login_grace_time: seconds; 0 is no limit.
    :ivar accept_env: patterns of environment variables' names.
    :ivar banner: the file whose text is shown before login, or None.
    :ivar client_alive_interval: seconds of silence before a keepalive; 0 is never.
    :ivar allow_tcp_forwarding: of ``local`` and ``remote``, what is allowed.
    :ivar gateway_ports: who can reach ports that the server listens on for clients: ``no`` is this
        host alone, ``yes`` everybody, ``clientspecified`` whom the client says.
    :ivar permit_open: where clients may connect to; None is anywhere, and a port of None any port.
    :ivar permit_listen: where clients may have the server listen, likewise.
    """

    host_key_algorithms: str | None = None
    kex_algorithms: str | None = None
    ciphers: str | None = None
    macs: str | None = None
    protocol: tuple[int, ...] = (2,)
    pubkey_accepted_algorithms: str | None = None
    compression: str | None = None
    rekey_limit: RekeyLimit = field(default_factory=RekeyLimit)
    max_auth_tries: int = 6
    max_sessions: int = 10
    max_startups: str = "10:30:100"
    login_grace_time: int = 120
    accept_env: tuple[str, ...] = ()
    banner: Path | None = None
    client_alive_interval: int = 0
    client_alive_count_max: int = 3
    log_level: LogLevel = LogLevel.INFO
    allow_tcp_forwarding: frozenset[str] = _FORWARDING["yes"]
    allow_agent_forwarding: bool = True
    disable_forwarding: bool = False
    gateway_ports: str = "no"
    permit_open: tuple[HostPort, ...] | None = None
    permit_listen: tuple[HostPort, ...] | None = None

    def algorithms(self, profile: Profile = "default") -> Algorithms:
        """Return what to offer."""
        return algorithms(
            profile=profile,
            kex=self.kex_algorithms,
            host_key=self.host_key_algorithms,
            ciphers=self.ciphers,
            macs=self.macs,
            compression=self.compression,
            signatures=self.pubkey_accepted_algorithms,
        )

    @property
    def keepalive(self) -> float | None:
        """Seconds of silence before a client is asked for a sign of life; None is never.

        With a ``ClientAliveCountMax`` of 0 nobody is ever disconnected, so nobody is asked.
        """
        return self.client_alive_interval or None if self.client_alive_count_max else None

    def limits(self) -> Limits:
        """Return the bounds of a connection."""
        limits = replace(
            DEFAULT_LIMITS, auth_attempts=self.max_auth_tries, sessions=self.max_sessions
        )
        if self.rekey_limit.size is not None:
            limits = replace(limits, rekey_bytes=self.rekey_limit.size)
        if self.rekey_limit.seconds is not None:
            limits = replace(limits, rekey_seconds=float(self.rekey_limit.seconds))
        return limits


_WORDS: dict[str, tuple[str, Callable[[str, str], Any]]] = {
    "HostKeyAlgorithms": ("host_key_algorithms", _algorithms("host key")),
    "KexAlgorithms": ("kex_algorithms", _algorithms("kex")),
    "Ciphers": ("ciphers", _algorithms("cipher")),
    "MACs": ("macs", _algorithms("MAC")),
    "Protocol": ("protocol", values.protocols),
    "PubkeyAcceptedAlgorithms": ("pubkey_accepted_algorithms", _algorithms("signature")),
    "Compression": ("compression", _one_of(_COMPRESSIONS)),
    "RekeyLimit": ("rekey_limit", values.rekey_limit),
    "MaxAuthTries": ("max_auth_tries", _number(1)),
    "MaxSessions": ("max_sessions", _number(0)),
    "MaxStartups": ("max_startups", _max_startups),
    "LoginGraceTime": ("login_grace_time", values.seconds),
    "AcceptEnv": ("accept_env", values.some_words),
    "Banner": ("banner", _banner),
    "ClientAliveInterval": ("client_alive_interval", values.seconds),
    "ClientAliveCountMax": ("client_alive_count_max", _number(0)),
    "LogLevel": ("log_level", _one_of(values.LOG_LEVELS)),
    "AllowTcpForwarding": ("allow_tcp_forwarding", _one_of(_FORWARDING)),
    "AllowAgentForwarding": ("allow_agent_forwarding", values.boolean),
    "DisableForwarding": ("disable_forwarding", values.boolean),
    "GatewayPorts": ("gateway_ports", _one_of(_GATEWAY)),
    "PermitOpen": ("permit_open", _places(None)),
    "PermitListen": ("permit_listen", _places("*")),
}
"""Which field of :class:`ServerConfig` each word fills, and how its value is taken."""

KEYWORDS = tuple(_WORDS)
_BY_LOWER = {keyword.lower(): keyword for keyword in KEYWORDS}


def parse(options: Iterable[str]) -> ServerConfig:
    """Return what ``options``, each ``Keyword=Value``, say.

    Of a word that comes twice the first counts, as in sshd_config; ``AcceptEnv`` adds up.

    :raises ConfigurationError: for a word that does not exist, or a value it does not take.
    """
    said: dict[str, Any] = {}
    for option in options:
        typed, value = values.split(option)
        keyword = _BY_LOWER.get(typed.lower())
        if keyword is None:
            raise values.unknown(typed, KEYWORDS)
        name, take = _WORDS[keyword]
        taken = take(keyword, value)
        if name == "accept_env":
            taken = (*said.pop(name, ()), *taken)
        said.setdefault(name, taken)
    return ServerConfig(**said)
