"""What a server's configuration says for one connection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from nacre.config.schema import Setting, joined
from nacre.config.server.kinds import joined_penalties
from nacre.config.server.penalties import DEFAULT_PENALTIES, PenaltyRules
from nacre.config.server.words import SCHEMA
from nacre.config.values import LogLevel, RekeyLimit, own_algorithms
from nacre.crypto.kex.gss import methods as gss_methods
from nacre.limits import DEFAULT_LIMITS, Limits
from nacre.protocol.options import Algorithms, Profile, algorithms, choose
from nacre.value import replace

if TYPE_CHECKING:
    from nacre.config.server.kinds import Permitted

Settings: TypeAlias = "Mapping[str, tuple[Setting, ...]]"
"""Keywords that were set, with their values and where these were written."""

_SMALLEST_RSA = 1024
"""The fewest bits of an RSA key, whatever RequiredRSASize says; as in OpenSSH."""


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """A server's configuration. A field has the name of its keyword.

    The defaults are OpenSSH's, except those of algorithms, which are nacre's.

    :ivar host_key_algorithms: names with commas between them, perhaps with ``+``, ``-`` or ``^`` in
        front; None for the default ones. The other lists of algorithms have the same form.
    :ivar compression: a list of algorithms, or None.
    :ivar max_startups: ``start:rate:full``, or one number.
    :ivar login_grace_time: seconds; 0 for no limit.
    :ivar accept_env: patterns for names of environment variables.
    :ivar banner: the file of the text to show before login, or None.
    :ivar client_alive_interval: seconds of silence before a keepalive; 0 for none.
    :ivar allow_tcp_forwarding: the allowed directions, of ``local`` and ``remote``.
    :ivar allow_stream_local_forwarding: the same for Unix sockets.
    :ivar gateway_ports: the addresses of ports that the server listens on for clients: ``no`` for
        the loopback address, ``yes`` for all, ``clientspecified`` for the one the client requests.
    :ivar permit_open: the destinations of clients' connections; None for all, and a port of None
        for all ports.
    :ivar gssapi_delegate_credentials: whether to take tickets; None is yes, as in OpenSSH, whose
        older versions lack the keyword.
    :ivar gssapi_kex_algorithms: names without their mechanism; None for all that nacre has.
    :ivar permit_root_login: how an account with uid 0 may log in: ``yes``, ``no``,
        ``prohibit-password`` or ``forced-commands-only``.
    :ivar allow_users: patterns of names, or of ``name@address``, of users who may log in; empty for
        all. The other three lists have patterns too, and those of groups no address.
    :ivar authentication_methods: lists of methods, such as ``(("publickey", "password"),)``. One
        list must be completed in its order. A method may have a device behind a colon. Empty for
        any one method.
    :ivar authorized_keys_files: files of keys, relative to the home directory; with tokens.
    :ivar authorized_keys_command: a command line whose program prints lines of keys, with tokens,
        or None; it runs as the account ``authorized_keys_command_user``, in which ``%u`` is the
        user. ``authorized_principals_command`` has the same form.
    :ivar trusted_user_ca_keys: the file of the authorities whose certificates log in, or None.
    :ivar authorized_principals_file: the file of the principals that count for a user, relative to
        the home directory, with tokens; None for the user's name.
    :ivar revoked_keys: the file of the keys that are refused, or None.
    :ivar pubkey_auth_options: what security keys must attest: ``touch-required``,
        ``verify-required``.
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
    :ivar host_certificates: files of certificates of these keys.
    :ivar host_key_agent: the socket of an agent with host keys, or None.
    :ivar security_key_provider: the library that signs with host keys on security keys;
        ``internal`` or ``none`` for no library.
    :ivar channel_timeouts: seconds after which channels without traffic are closed, for patterns of
        their types.
    :ivar unused_connection_timeout: seconds after which a connection without channels is closed.
    :ivar per_source_max_startups: connections from one network that may wait for a login at once;
        None for no limit.
    :ivar per_source_net_block_size: the bits of an IPv4 and of an IPv6 network.
    :ivar per_source_penalties: what failed connections cost their network, or None.
    :ivar refuse_connection: whether to close the connection after the login was attempted.
    :ivar ip_qos: the class of service of interactive and of other sessions; None is the system's.
    :ivar syslog_facility: the facility of messages in the system's log.
    :ivar x11_display_offset: the first number of a display that is forwarded to a client.
    :ivar x11_use_localhost: whether these displays are for programs of this host alone.
    :ivar xauth_location: the program xauth, or None.
    :ivar permit_tunnel: the tunnel devices that clients may use: ``no``, ``yes``,
        ``point-to-point`` or ``ethernet``.
    :ivar permit_listen: the addresses that clients may have the server listen on, in that form.
    :ivar settings: each keyword that was set, with its values and where they were written.
    """

    host_key_algorithms: str | None = None
    kex_algorithms: str | None = None
    ciphers: str | None = None
    macs: str | None = None
    protocol: tuple[int, ...] = (2,)
    pubkey_accepted_algorithms: str | None = None
    hostbased_accepted_algorithms: str | None = None
    ca_signature_algorithms: str | None = None
    compression: str | None = None
    rekey_limit: RekeyLimit = field(default_factory=RekeyLimit)
    max_auth_tries: int = 6
    required_rsa_size: int = 1024
    max_sessions: int = 10
    max_startups: str = "10:30:100"
    login_grace_time: int = 120
    accept_env: tuple[str, ...] = ()
    banner: Path | None = None
    client_alive_interval: int = 300
    client_alive_count_max: int = 3
    log_level: LogLevel = LogLevel.INFO
    allow_tcp_forwarding: frozenset[str] = frozenset({"local", "remote"})
    allow_stream_local_forwarding: frozenset[str] = frozenset({"local", "remote"})
    allow_agent_forwarding: bool = True
    disable_forwarding: bool = False
    gateway_ports: str = "no"
    permit_open: tuple[Permitted, ...] | None = None
    permit_listen: tuple[Permitted, ...] | None = None
    stream_local_bind_mask: int = 0o177
    stream_local_bind_unlink: bool = False
    tcp_keep_alive: bool = True
    pubkey_authentication: bool = True
    hostbased_authentication: bool = False
    hostbased_uses_name_from_packet_only: bool = False
    ignore_rhosts: str = "yes"
    ignore_user_known_hosts: bool = False
    gssapi_authentication: bool = False
    gssapi_cleanup_credentials: bool = True
    gssapi_delegate_credentials: bool | None = None
    gssapi_key_exchange: bool = False
    gssapi_strict_acceptor_check: bool = True
    gssapi_kex_algorithms: tuple[str, ...] | None = None
    use_pam: bool = True
    pam_service_name: str = "sshd"
    password_authentication: bool = True
    kbd_interactive_authentication: bool = True
    permit_root_login: str = "prohibit-password"
    allow_users: tuple[str, ...] = ()
    deny_users: tuple[str, ...] = ()
    allow_groups: tuple[str, ...] = ()
    deny_groups: tuple[str, ...] = ()
    authentication_methods: tuple[tuple[str, ...], ...] = ()
    authorized_keys_files: tuple[str, ...] = (".ssh/authorized_keys", ".ssh/authorized_keys2")
    authorized_keys_command: str | None = None
    authorized_keys_command_user: str | None = None
    trusted_user_ca_keys: str | None = None
    authorized_principals_file: str | None = None
    authorized_principals_command: str | None = None
    authorized_principals_command_user: str | None = None
    revoked_keys: str | None = None
    pubkey_auth_options: tuple[str, ...] = ()
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
    host_keys: tuple[str, ...] = ()
    host_certificates: tuple[str, ...] = ()
    host_key_agent: str | None = None
    security_key_provider: str = "internal"
    pid_file: str | None = None
    use_dns: bool = False
    ip_qos: tuple[int | None, int | None] = (0x10, 0x08)
    channel_timeouts: tuple[tuple[str, int], ...] = ()
    unused_connection_timeout: int | None = None
    per_source_max_startups: int | None = None
    per_source_net_block_size: tuple[int, int] = (32, 128)
    per_source_penalties: PenaltyRules | None = None
    per_source_penalty_exempt_list: tuple[str, ...] = ()
    refuse_connection: bool = False
    x11_forwarding: bool = False
    x11_display_offset: int = 10
    x11_use_localhost: bool = True
    xauth_location: str | None = "/usr/bin/xauth"
    permit_tunnel: str = "no"
    syslog_facility: str = "AUTH"
    settings: Settings = field(default_factory=dict, compare=False, repr=False)

    def algorithms(self, profile: Profile = "default") -> Algorithms:
        """Return the algorithms to offer.

        :param profile: the default ones, which lists with ``+``, ``-`` or ``^`` change.
        """
        return algorithms(
            profile=profile,
            kex=own_algorithms("kex", self.kex_algorithms),
            host_key=own_algorithms("host key", self.host_key_algorithms),
            ciphers=own_algorithms("cipher", self.ciphers),
            macs=own_algorithms("MAC", self.macs),
            compression=self.compression,
            signatures=own_algorithms("signature", self.pubkey_accepted_algorithms),
            ca_signatures=own_algorithms("CA signature", self.ca_signature_algorithms),
        )

    def gss_kex(self) -> tuple[str, ...]:
        """Return the key exchange methods of GSSAPI to offer."""
        return gss_methods(self.gssapi_kex_algorithms) if self.gssapi_key_exchange else ()

    def accepted(self, profile: Profile = "default") -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the algorithms of users' signatures, and of those of their authorities."""
        return (
            choose(
                "signature", own_algorithms("signature", self.pubkey_accepted_algorithms), profile
            ),
            choose(
                "CA signature",
                own_algorithms("CA signature", self.ca_signature_algorithms),
                profile,
            ),
        )

    def host_signatures(self, profile: Profile = "default") -> tuple[str, ...]:
        """Return the algorithms of signatures of hosts that vouch for their users."""
        names = own_algorithms("signature", self.hostbased_accepted_algorithms)
        return choose("signature", names, profile)

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
            user_rsa_bits=max(self.required_rsa_size, _SMALLEST_RSA),
        )
        return self.rekey_limit.apply(limits)


AS_SSHD = ServerConfig(
    per_source_penalties=DEFAULT_PENALTIES,
    client_alive_interval=0,
    use_pam=False,
    subsystems=(),
    pid_file="/run/sshd.pid",
    host_keys=tuple(f"/etc/ssh/ssh_host_{name}_key" for name in ("rsa", "ecdsa", "ed25519")),
)
"""The defaults of sshd(8), where those of ``nacre serve`` are others."""


def fields_of(settings: Settings) -> dict[str, Any]:
    """Return the fields of :class:`ServerConfig` that settings give."""
    found: dict[str, Any] = {}
    for name, values in settings.items():
        word = SCHEMA[name]
        if not word.field:
            continue
        first = values[0].value
        found[word.field] = joined(values) if word.gathers else first
        if name == "RekeyLimit":
            found[word.field] = _first_limits(setting.value for setting in values)
    if "subsystems" in found:
        commands: dict[str, str] = {}
        for name, command in found["subsystems"]:
            commands.setdefault(name, command)
        found["subsystems"] = tuple(commands.items())
    if "per_source_penalties" in found:
        found["per_source_penalties"] = joined_penalties(found["per_source_penalties"])
    return found


def _first_limits(found: Iterable[RekeyLimit]) -> RekeyLimit:
    """Return the first size and the first time."""
    limits = list(found)
    times = [limit.seconds for limit in limits if limit.seconds is not None]
    return RekeyLimit(limits[0].size, next(filter(None, times), 0) if times else None)
