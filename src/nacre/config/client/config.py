"""What a client's configuration says for one host."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from nacre.config.schema import Setting, Support, joined
from nacre.config.values import LogLevel, RekeyLimit, own_algorithms
from nacre.errors import ConfigurationError
from nacre.keys.patterns import matches
from nacre.value import value
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.config.tunnels import Forward
    from nacre.protocol.options import Algorithms, Profile

Strict = Literal["yes", "no", "accept-new", "ask"]
Tty = Literal["auto", "no", "yes", "force"]
Sharing = Literal["false", "true", "ask", "auto", "autoask"]
SessionKind = Literal["default", "none", "subsystem"]

USER_KNOWN_HOSTS = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")
"""The user's files of host keys by default."""

_PROXIES = ("ProxyCommand", "ProxyJump")

BATCH_ALIVE_INTERVAL = 300
"""Seconds between keepalives with BatchMode, where ServerAliveInterval is not set."""

UNBOUND = 2
"""PubkeyAuthentication without the server's host key in its requests; as true as True."""

NO_SETTINGS: Mapping[str, tuple[Setting, ...]] = {}


@value(kw_only=True)
class ClientConfig:
    """A client's configuration for one host, with OpenSSH's defaults.

    A field has the name of its keyword. Texts with ``%`` tokens or ``~`` are not expanded here.

    :ivar add_keys_to_agent: ``false``, ``true``, ``ask``, ``confirm``, seconds, or both of these.
    :ivar cipher: the ciphers of SSH-1 to offer, or None for the default ones.
    :ivar connect_timeout: seconds, or None for the system's own time.
    :ivar control_path: None for no shared connection.
    :ivar control_persist: whether a shared connection stays in the background after its session;
        a number that is no bool is the seconds without a client after which it ends.
    :ivar server_alive_interval: seconds between keepalives; 0 for none.
    :ivar escape_char: one byte, or None for no escapes.
    :ivar forward_agent: None for no forwarding. ``SSH_AUTH_SOCK`` is the socket that this variable
        names; any other text is a path, or ``$`` and the name of a variable.
    :ivar proxy_command: None for no command; so is ``proxy_jump``. At most one of both is there.
    :ivar profile: ``legacy`` adds the legacy algorithms behind the default ones.
    :ivar channel_timeouts: patterns of types of channels, with seconds without traffic.
    :ivar obscure_keystroke_timing: milliseconds between packets while the user types; 0 for none.
    :ivar ip_qos: bytes for TOS or the traffic class: of interactive sessions, and of others; None
        leaves it to the system.
    :ivar gssapi_client_identity: the user's principal, or None for the default one.
    :ivar gssapi_kex_algorithms: names without their mechanism; None for all that nacre has.
    :ivar gssapi_server_identity: the server's name for GSSAPI, or None for the host's.
    :ivar identity_files: empty for the default ones. ``none`` does not appear in it.
    :ivar no_identity_files: whether ``none`` was the only identity file.
    :ivar refuse_connection: the message with which to refuse to connect, or None.
    :ivar forward_x11_timeout: seconds for which programs that are not trusted may connect; 0 for no
        limit.
    :ivar tunnel_device: the number of this host's device and of the server's, or ``any``.
    :ivar send_env: patterns of variables.
    :ivar update_host_keys: None for what :attr:`updates_host_keys` says then.
    :ivar settings: each keyword that was set, with its values and where they were written.
    """

    add_keys_to_agent: str = "false"
    address_family: Literal["any", "inet", "inet6"] = "any"
    batch_mode: bool = False
    bind_address: str | None = None
    bind_interface: str | None = None
    certificate_files: tuple[str, ...] = ()
    channel_timeouts: tuple[tuple[str, int], ...] = ()
    check_host_ip: bool = False
    cipher: tuple[str, ...] | None = None
    ciphers: str | None = None
    compression: bool = False
    clear_all_forwardings: bool = False
    connect_timeout: int | None = None
    connection_attempts: int = 1
    control_master: Sharing = "false"
    control_path: str | None = None
    control_persist: int | bool = False
    dynamic_forwards: tuple[Forward, ...] = ()
    enable_escape_commandline: bool = False
    escape_char: bytes | None = b"~"
    exit_on_forward_failure: bool = False
    fingerprint_hash: Literal["MD5", "SHA256"] = "SHA256"
    fork_after_authentication: bool = False
    forward_agent: str | None = None
    forward_x11: bool = False
    forward_x11_timeout: int = 1200
    forward_x11_trusted: bool = True
    gateway_ports: bool = False
    global_known_hosts_files: tuple[str, ...] = (
        "/etc/ssh/ssh_known_hosts",
        "/etc/ssh/ssh_known_hosts2",
    )
    gssapi_authentication: bool = False
    gssapi_client_identity: str | None = None
    gssapi_delegate_credentials: bool = False
    gssapi_kex_algorithms: tuple[str, ...] | None = None
    gssapi_key_exchange: bool = False
    gssapi_server_identity: str | None = None
    gssapi_trust_dns: bool = False
    hash_known_hosts: bool = False
    host_key_algorithms: str | None = None
    host_key_alias: str | None = None
    host_name: str | None = None
    identities_only: bool = False
    identity_agent: str = "SSH_AUTH_SOCK"
    identity_files: tuple[str, ...] = ()
    no_identity_files: bool = False
    ip_qos: tuple[int | None, int | None] = (0x10, 0x08)
    kbd_interactive: bool = True
    kbd_interactive_devices: str = ""
    kex_algorithms: str | None = None
    known_hosts_command: str | None = None
    local_command: str | None = None
    local_forwards: tuple[Forward, ...] = ()
    log_level: LogLevel = LogLevel.INFO
    macs: str | None = None
    no_host_authentication_for_localhost: bool = False
    obscure_keystroke_timing: int = 20
    password_prompts: int = 3
    password_authentication: bool = True
    permit_local_command: bool = False
    permit_remote_open: tuple[str, ...] | None = None
    port: int = 22
    profile: Profile = "default"
    preferred_authentications: tuple[str, ...] = (
        *("gssapi-keyex", "gssapi-with-mic"),
        *("hostbased", "publickey", "keyboard-interactive", "password"),
    )
    protocol: tuple[int, ...] = (2,)
    proxy_command: str | None = None
    proxy_jump: str | None = None
    proxy_use_fdpass: bool = False
    pubkey_accepted_algorithms: str | None = None
    enable_ssh_keysign: bool = False
    hostbased_accepted_algorithms: str | None = None
    hostbased_authentication: bool = False
    ca_signature_algorithms: str | None = None
    pubkey_authentication: bool = True
    refuse_connection: str | None = None
    rekey_limit: RekeyLimit = RekeyLimit()
    remote_command: str | None = None
    remote_forwards: tuple[Forward, ...] = ()
    request_tty: Tty = "auto"
    required_rsa_size: int = 1024
    revoked_host_keys: str | None = None
    security_key_provider: str | None = None
    send_env: tuple[str, ...] = ()
    server_alive_count_max: int = 3
    server_alive_interval: int = 0
    session_type: SessionKind = "default"
    set_env: tuple[tuple[str, str], ...] = ()
    stdin_null: bool = False
    stream_local_bind_mask: int = 0o177
    stream_local_bind_unlink: bool = False
    syslog_facility: str = "USER"
    strict_host_key_checking: Strict = "ask"
    tcp_keep_alive: bool = True
    tunnel: Literal["false", "point-to-point", "ethernet"] = "false"
    tunnel_device: str = "any:any"
    update_host_keys: Literal["yes", "no", "ask"] | None = None
    user: str | None = None
    version_addendum: str | None = None
    visual_host_key: bool = False
    xauth_location: str = "/usr/bin/xauth"
    warn_weak_crypto: bool = True
    user_known_hosts_files: tuple[str, ...] = USER_KNOWN_HOSTS
    verify_host_key_dns: Literal["yes", "no", "ask"] = "no"
    settings: Mapping[str, tuple[Setting, ...]] = NO_SETTINGS

    @property
    def forwards(self) -> bool:
        """Whether to forward a port, the agent, X11 or a tunnel device."""
        ports = self.local_forwards or self.remote_forwards or self.dynamic_forwards
        return (
            bool(ports)
            or self.forward_agent is not None
            or self.forward_x11
            or self.tunnel != "false"
        )

    @property
    def shares(self) -> bool:
        """Whether the connection is for other programs too."""
        return self.control_path is not None and self.control_master != "false"

    @property
    def persists(self) -> bool:
        """Whether a shared connection stays in the background after its session."""
        return self.shares and self.control_persist is not False

    @property
    def updates_host_keys(self) -> Literal["yes", "no", "ask"]:
        """Whether known_hosts follows the host: by default the usual file alone, without DNS."""
        if self.update_host_keys is not None:
            return self.update_host_keys
        files = self.user_known_hosts_files
        unset = files == USER_KNOWN_HOSTS and "UserKnownHostsFile" not in self.settings
        usual = unset or files == USER_KNOWN_HOSTS[:1]
        return "yes" if usual and self.verify_host_key_dns == "no" else "no"

    def algorithms(self) -> Algorithms:
        """Return the algorithms to offer: legacy ones only if a keyword or the profile says so.

        :raises ConfigurationError: nacre has none of those that are configured.
        """
        from nacre.protocol.options import algorithms

        return algorithms(
            profile=self.profile,
            kex=own_algorithms("kex", self.kex_algorithms),
            host_key=own_algorithms("host key", self.host_key_algorithms),
            ciphers=own_algorithms("cipher", self.ciphers),
            macs=own_algorithms("MAC", self.macs),
            compression=("zlib@openssh.com", "zlib", "none")
            if self.compression
            else ("none", "zlib@openssh.com"),
            signatures=own_algorithms("signature", self.pubkey_accepted_algorithms),
            ca_signatures=own_algorithms("CA signature", self.ca_signature_algorithms),
        )

    def host_signatures(self) -> tuple[str, ...]:
        """Return the algorithms with which this host may vouch for its users."""
        from nacre.protocol.options import choose

        names = own_algorithms("signature", self.hostbased_accepted_algorithms)
        return choose("signature", names, self.profile)

    def check(self) -> None:
        """Check that a connection may be made.

        :raises ConfigurationError: RefuseConnection says no.
        """
        if self.refuse_connection is not None:
            origin = self.settings["RefuseConnection"][0].origin
            raise ConfigurationError(f"{origin}: {safe(self.refuse_connection)}")

    def described(self) -> Iterator[tuple[LogLevel, str]]:
        """Yield what to log of the settings, with its level, without secrets."""
        if not self.settings:
            return
        from nacre.config.client.words import SCHEMA

        if texts := list(unhonoured(self, Support.NO_EFFECT)):
            yield LogLevel.VERBOSE, f"Without effect: {'; '.join(texts)}"
        for name, settings in self.settings.items():
            kind = SCHEMA[name].kind
            for setting in settings:
                shown = kind.show(setting.value)
                if name == "SetEnv":
                    shown = [f"{variable}=..." for variable, _ in setting.value]
                text = shown if isinstance(shown, str) else " ".join(shown or ("none",))
                yield LogLevel.DEBUG2, f"{setting.origin}: {name} {safe(text, 1000)}"


def unhonoured(config: ClientConfig, support: Support) -> Iterator[str]:
    """Yield a text for the settings of keywords of ``support`` whose values ask for something.

    Keywords with the same reason share a text.
    """
    if not config.settings:
        return
    from nacre.config.client.words import SCHEMA

    names: dict[str, list[str]] = {}
    for name, settings in config.settings.items():
        word = SCHEMA[name]
        shown = word.kind.show(settings[0].value)
        idle = ("no", "false", "none", word.default, *word.harmless)
        if word.support is support and shown is not None and shown not in idle:
            names.setdefault(word.why, []).append(f"{name} ({settings[0].origin})")
    for why, found in names.items():
        yield f"{', '.join(found)}: {why}"


def fields_of(settings: Mapping[str, tuple[Setting, ...]]) -> dict[str, Any]:
    """Return the fields of :class:`ClientConfig` that settings give."""
    from nacre.config.client.words import SCHEMA

    found: dict[str, Any] = {}
    # The first of both counts; as in OpenSSH, a ProxyJump that is none does not.
    proxy = next(
        (name for name in settings if name in _PROXIES and _names_a_way(settings[name])), None
    )
    for name, values in settings.items():
        if name in _PROXIES and name != proxy:
            continue
        word = SCHEMA[name]
        if word.field:
            first = values[0].value
            found[word.field] = joined(values) if word.gathers else first
    found["send_env"] = _without_removed(found.get("send_env", ()))
    if found.get("proxy_jump") == "none":
        found["proxy_jump"] = None
    named = found.pop("identity_files", ())
    files = tuple(name for name in named if name.lower() != "none")
    found.update(identity_files=files, no_identity_files=bool(named) and not files)
    certificates = found.pop("certificate_files", ())
    found["certificate_files"] = tuple(name for name in certificates if name.lower() != "none")
    if found.get("batch_mode"):  # as in Debian's OpenSSH: nobody would see that it hangs
        found.setdefault("server_alive_interval", BATCH_ALIVE_INTERVAL)
    if found.get("clear_all_forwardings"):
        for name in ("local_forwards", "remote_forwards", "dynamic_forwards"):
            found.pop(name, None)
    return found


def _names_a_way(settings: tuple[Setting, ...]) -> bool:
    """Return whether a value of ProxyCommand or ProxyJump switches the other one off."""
    return bool(settings[0].value != "none")


def _without_removed(patterns: Iterable[str]) -> tuple[str, ...]:
    """Return the patterns of SendEnv; ``-pattern`` removes those before it that match."""
    found: list[str] = []
    for pattern in patterns:
        if pattern.startswith("-"):
            found = [name for name in found if not matches(name, pattern[1:])]
        else:
            found.append(pattern)
    return tuple(found)
