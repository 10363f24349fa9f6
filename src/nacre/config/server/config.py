"""The keywords of sshd_config(5) that ``nacre serve -o`` takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nacre.config import values
from nacre.config.syntax.lexer import split, words
from nacre.config.values import LogLevel, Parser, RekeyLimit, algorithms_of, number, one_of
from nacre.errors import ConfigurationError, KeyFormatError
from nacre.limits import DEFAULT_LIMITS, Limits
from nacre.protocol.options import Algorithms, Profile, algorithms
from nacre.value import replace
from nacre.wire.text import safe

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
_ROOT_LOGIN = {
    "yes": "yes",
    "no": "no",
    "prohibit-password": "prohibit-password",
    "without-password": "prohibit-password",
    "forced-commands-only": "forced-commands-only",
}
_COMPRESSIONS = {
    # As in OpenSSH since 7.4: no compression before authentication, with either value.
    "yes": "none,zlib@openssh.com",
    "delayed": "none,zlib@openssh.com",
    "no": "none",
}


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
    """Return a parser of ``any`` (None), ``none`` (empty), or hosts with ports, which may be ``*``.

    :param default_host: the host of a port alone, or None if a host is required.
    """

    def take(keyword: str, value: str) -> tuple[HostPort, ...] | None:
        from nacre.keys.key_options import host_port

        if value.lower() in ("any", "none"):
            return None if value.lower() == "any" else ()
        try:
            return tuple(host_port(word, default_host) for word in words(value))
        except KeyFormatError:
            shown = "host:port" if default_host is None else "port or host:port"
            raise values.bad(keyword, value, f"any, none, or {shown}, once or more") from None

    return take


def _patterns(keyword: str, value: str) -> tuple[str, ...]:
    """Parse names of users or groups with ``*`` and ``?``; there is no negation, as in sshd."""
    found = tuple(words(value))
    if any(pattern.startswith("!") for pattern in found):
        raise values.bad(keyword, value, "patterns without !; DenyUsers and DenyGroups exclude")
    return found


def _banner(keyword: str, value: str) -> Path | None:
    path = words(value)[0]
    return None if path.lower() == "none" else Path(path)


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """A server's configuration. A field has the name of its keyword.

    The defaults are OpenSSH's, except those of algorithms and of ``RequiredRSASize``, which are
    nacre's.

    :ivar host_key_algorithms: names with commas between them, perhaps with ``+``, ``-`` or ``^`` in
        front; None for the default ones. The other lists of algorithms have the same form.
    :ivar compression: a list of algorithms, or None.
    :ivar max_startups: ``start:rate:full``, or one number.
    :ivar login_grace_time: seconds; 0 for no limit.
    :ivar accept_env: patterns for names of environment variables.
    :ivar banner: the file of the text to show before login, or None.
    :ivar client_alive_interval: seconds of silence before a keepalive; 0 for none.
    :ivar allow_tcp_forwarding: the allowed directions, of ``local`` and ``remote``.
    :ivar gateway_ports: the addresses of ports that the server listens on for clients: ``no`` for
        the loopback address, ``yes`` for all, ``clientspecified`` for the one the client requests.
    :ivar permit_open: the destinations of clients' connections; None for all, and a port of None
        for all ports.
    :ivar permit_root_login: how an account with uid 0 may log in: ``yes``, ``no``,
        ``prohibit-password`` or ``forced-commands-only``.
    :ivar allow_users: patterns of names, or of ``name@address``, of users who may log in; empty for
        all. The other three lists have patterns too, and those of groups no address.
    :ivar authentication_methods: lists of methods, such as ``(("publickey", "password"),)``. One
        list must be completed in its order. A method may have a device behind a colon. Empty for
        any one method.
    :ivar authorized_keys_files: files of keys, relative to the home directory; with tokens.
    :ivar force_command: the command that runs in place of the client's, or None; ``internal-sftp``
        with its options serves files.
    :ivar chroot_directory: the root directory of sessions, with tokens, or None.
    :ivar subsystems: names of subsystems with their commands; None for ``internal-sftp`` as
        ``sftp``, for users with a shell.
    :ivar permit_user_environment: whether ``~/.ssh/environment`` and the option ``environment`` of
        keys count: ``yes``, ``no``, or patterns of names.
    :ivar ports: the ports of addresses without one.
    :ivar listen_addresses: hosts, ports (None for ``ports``) and routing domains (None for none);
        empty for every address.
    :ivar host_keys: files of host keys; empty for the default ones.
    :ivar host_key_agent: the socket of an agent with host keys, or None.
    :ivar channel_timeouts: seconds after which channels without traffic are closed, for patterns of
        their types.
    :ivar unused_connection_timeout: seconds after which a connection without channels is closed.
    :ivar per_source_max_startups: connections from one network that may wait for a login at once;
        None for no limit.
    :ivar per_source_net_block_size: the bits of an IPv4 and of an IPv6 network.
    :ivar per_source_penalties: what PerSourcePenalties says, as it was written; "" for the default.
    :ivar refuse_connection: whether to close the connection after the login was attempted.
    :ivar ip_qos: the class of service of interactive and of other sessions; None is the system's.
    :ivar syslog_facility: the facility of messages in the system's log.
    :ivar permit_listen: the addresses that clients may have the server listen on, in that form.
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
    required_rsa_size: int = 2048
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
    tcp_keep_alive: bool = True
    pubkey_authentication: bool = True
    password_authentication: bool = True
    kbd_interactive_authentication: bool = True
    permit_root_login: str = "prohibit-password"
    allow_users: tuple[str, ...] = ()
    deny_users: tuple[str, ...] = ()
    allow_groups: tuple[str, ...] = ()
    deny_groups: tuple[str, ...] = ()
    authentication_methods: tuple[tuple[str, ...], ...] = ()
    authorized_keys_files: tuple[str, ...] = (".ssh/authorized_keys", ".ssh/authorized_keys2")
    strict_modes: bool = True
    permit_empty_passwords: bool = False
    force_command: str | None = None
    chroot_directory: str | None = None
    subsystems: tuple[tuple[str, str], ...] | None = None
    set_env: tuple[tuple[str, str], ...] = ()
    permit_user_environment: str = "no"
    permit_user_rc: bool = True
    permit_tty: bool = True
    print_motd: bool = True
    print_last_log: bool = True
    expose_auth_info: bool = False
    version_addendum: str | None = None
    ports: tuple[int, ...] = (22,)
    listen_addresses: tuple[tuple[str, int | None, str | None], ...] = ()
    address_family: str = "any"
    rdomain: str | None = None
    host_keys: tuple[str, ...] = ()
    host_key_agent: str | None = None
    pid_file: str | None = None
    use_dns: bool = False
    ip_qos: tuple[int | None, int | None] = (0x10, 0x08)
    channel_timeouts: tuple[tuple[str, int], ...] = ()
    unused_connection_timeout: int | None = None
    per_source_max_startups: int | None = None
    per_source_net_block_size: tuple[int, int] = (32, 128)
    per_source_penalties: str = ""
    per_source_penalty_exempt_list: tuple[str, ...] = ()
    refuse_connection: bool = False
    syslog_facility: str = "AUTH"

    def algorithms(self, profile: Profile = "default") -> Algorithms:
        """Return the algorithms to offer.

        :param profile: the default ones, which lists with ``+``, ``-`` or ``^`` change.
        """
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
        """Seconds of silence before a keepalive; None for none.

        A ``ClientAliveCountMax`` of 0 never disconnects a client, so it needs no keepalives.
        """
        if not self.client_alive_count_max or not self.client_alive_interval:
            return None
        return self.client_alive_interval

    def limits(self) -> Limits:
        """Return the bounds of a connection."""
        limits = replace(
            DEFAULT_LIMITS,
            auth_attempts=self.max_auth_tries,
            sessions=self.max_sessions,
            user_rsa_bits=self.required_rsa_size,
        )
        return self.rekey_limit.apply(limits)


_SUPPORTED: dict[str, tuple[str, Parser]] = {
    "HostKeyAlgorithms": ("host_key_algorithms", algorithms_of("host key")),
    "KexAlgorithms": ("kex_algorithms", algorithms_of("kex")),
    "Ciphers": ("ciphers", algorithms_of("cipher")),
    "MACs": ("macs", algorithms_of("MAC")),
    "Protocol": ("protocol", values.protocols),
    "PubkeyAcceptedAlgorithms": ("pubkey_accepted_algorithms", algorithms_of("signature")),
    "Compression": ("compression", one_of(_COMPRESSIONS)),
    "RekeyLimit": ("rekey_limit", lambda k, v: values.rekey_limit(k, words(v))),
    "MaxAuthTries": ("max_auth_tries", number(1, _MOST)),
    "RequiredRSASize": ("required_rsa_size", number(1024, 16384)),
    "MaxSessions": ("max_sessions", number(0, _MOST)),
    "MaxStartups": ("max_startups", _max_startups),
    "LoginGraceTime": ("login_grace_time", values.seconds),
    "AcceptEnv": ("accept_env", lambda k, v: tuple(words(v))),
    "Banner": ("banner", _banner),
    "ClientAliveInterval": ("client_alive_interval", values.seconds),
    "ClientAliveCountMax": ("client_alive_count_max", number(0, _MOST)),
    "LogLevel": ("log_level", one_of(values.LOG_LEVELS)),
    "AllowTcpForwarding": ("allow_tcp_forwarding", one_of(_FORWARDING)),
    "AllowAgentForwarding": ("allow_agent_forwarding", values.boolean),
    "DisableForwarding": ("disable_forwarding", values.boolean),
    "GatewayPorts": ("gateway_ports", one_of(_GATEWAY)),
    "PermitOpen": ("permit_open", _places(None)),
    "PermitListen": ("permit_listen", _places("*")),
    "TCPKeepAlive": ("tcp_keep_alive", values.boolean),
    "PubkeyAuthentication": ("pubkey_authentication", values.boolean),
    "PasswordAuthentication": ("password_authentication", values.boolean),
    "KbdInteractiveAuthentication": ("kbd_interactive_authentication", values.boolean),
    "PermitRootLogin": ("permit_root_login", one_of(_ROOT_LOGIN)),
    "AllowUsers": ("allow_users", _patterns),
    "DenyUsers": ("deny_users", _patterns),
    "AllowGroups": ("allow_groups", _patterns),
    "DenyGroups": ("deny_groups", _patterns),
}
"""For each keyword, its field of :class:`ServerConfig` and the parser of its value."""

KEYWORDS = tuple(_SUPPORTED)
_BY_LOWER = {keyword.lower(): keyword for keyword in KEYWORDS}
_BY_LOWER["challengeresponseauthentication"] = "KbdInteractiveAuthentication"  # its former name
_ADD_UP = {"accept_env", "allow_users", "deny_users", "allow_groups", "deny_groups"}


def parse(options: Iterable[str]) -> ServerConfig:
    """Return the configuration of ``Keyword=Value`` texts.

    The first value of a keyword counts, as in sshd_config; lists of patterns add up.

    :raises ConfigurationError: a keyword is unknown, or a value is bad.
    """
    found: dict[str, Any] = {}
    for option in options:
        typed, value = split(option)
        keyword = _BY_LOWER.get(typed.lower())
        if keyword is None:
            from difflib import get_close_matches

            near = get_close_matches(typed.lower()[:64], _BY_LOWER, 1)
            hint = f"; did you mean {_BY_LOWER[near[0]]}?" if near else ""
            raise ConfigurationError(f"Bad configuration option: {safe(typed, 100)}{hint}")
        if not words(value):
            raise ConfigurationError(f"{keyword}: the value is missing: give {keyword}=VALUE")
        name, parse_value = _SUPPORTED[keyword]
        taken = parse_value(keyword, value)
        if name in _ADD_UP:
            taken = (*found.pop(name, ()), *taken)
        found.setdefault(name, taken)
    config = ServerConfig(**found)
    methods = (
        config.pubkey_authentication,
        config.password_authentication,
        config.kbd_interactive_authentication,
    )
    if not any(methods):
        raise ConfigurationError(
            "PubkeyAuthentication, PasswordAuthentication and KbdInteractiveAuthentication are all "
            "no: nobody could log in; leave one of them on"
        )
    return config
