"""Keywords of ssh_config(5), as the client programs take them with ``-o``.

As in OpenSSH, the first value of a keyword counts. The values of ``IdentityFile``, ``SendEnv``,
``SetEnv`` and the forwardings add up. Configuration files are not read yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal

from nacre.config import values
from nacre.config.values import LogLevel, Parser, RekeyLimit, algorithms_of, number, one_of
from nacre.errors import ConfigurationError
from nacre.protocol.options import Algorithms, Profile, algorithms
from nacre.value import value
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.config.tunnels import Forward

Strict = Literal["yes", "no", "accept-new", "ask"]
Tty = Literal["auto", "no", "yes", "force"]
SessionKind = Literal["default", "none", "subsystem"]


@value(kw_only=True)
class ClientConfig:
    """A client's configuration, with OpenSSH's defaults. A field has the name of its keyword.

    Texts with ``%`` tokens or ``~`` are not expanded here.

    :ivar cipher: the ciphers of SSH-1 to offer, or None for the default ones.
    :ivar connect_timeout: seconds, or None for the system's own time.
    :ivar server_alive_interval: seconds between keepalives; 0 for none.
    :ivar escape_char: one byte, or None for no escapes.
    :ivar forward_agent: None for no forwarding. ``SSH_AUTH_SOCK`` is the socket that this variable
        names; any other text is a path, or ``$`` and the name of a variable.
    :ivar proxy_command: None for no command; so is ``proxy_jump``. At most one of both is there.
    :ivar profile: ``legacy`` adds the legacy algorithms behind the default ones.
    :ivar identity_files: empty for the default ones. ``none`` does not appear in it.
    :ivar no_identity_files: whether ``none`` was the only identity file.
    :ivar send_env: patterns; a ``-`` in front removes the variables that match.
    """

    address_family: Literal["any", "inet", "inet6"] = "any"
    batch_mode: bool = False
    bind_address: str | None = None
    cipher: tuple[str, ...] | None = None
    ciphers: str | None = None
    compression: bool = False
    clear_all_forwardings: bool = False
    connect_timeout: int | None = None
    connection_attempts: int = 1
    dynamic_forwards: tuple[Forward, ...] = ()
    escape_char: bytes | None = b"~"
    exit_on_forward_failure: bool = False
    forward_agent: str | None = None
    gateway_ports: bool = False
    global_known_hosts_files: tuple[str, ...] = (
        "/etc/ssh/ssh_known_hosts",
        "/etc/ssh/ssh_known_hosts2",
    )
    hash_known_hosts: bool = False
    host_key_algorithms: str | None = None
    host_key_alias: str | None = None
    host_name: str | None = None
    identities_only: bool = False
    identity_agent: str = "SSH_AUTH_SOCK"
    identity_files: tuple[str, ...] = ()
    no_identity_files: bool = False
    kbd_interactive: bool = True
    kbd_interactive_devices: str = ""
    kex_algorithms: str | None = None
    local_forwards: tuple[Forward, ...] = ()
    log_level: LogLevel = LogLevel.INFO
    macs: str | None = None
    password_prompts: int = 3
    password_authentication: bool = True
    port: int = 22
    profile: Profile = "default"
    preferred_authentications: tuple[str, ...] = ("publickey", "keyboard-interactive", "password")
    protocol: tuple[int, ...] = (2,)
    proxy_command: str | None = None
    proxy_jump: str | None = None
    proxy_use_fdpass: bool = False
    pubkey_accepted_algorithms: str | None = None
    pubkey_authentication: bool = True
    rekey_limit: RekeyLimit = RekeyLimit()
    remote_command: str | None = None
    remote_forwards: tuple[Forward, ...] = ()
    request_tty: Tty = "auto"
    send_env: tuple[str, ...] = ()
    server_alive_count_max: int = 3
    server_alive_interval: int = 0
    session_type: SessionKind = "default"
    set_env: tuple[tuple[str, str], ...] = ()
    stdin_null: bool = False
    strict_host_key_checking: Strict = "ask"
    tcp_keep_alive: bool = True
    user: str | None = None
    warn_weak_crypto: bool = True
    user_known_hosts_files: tuple[str, ...] = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")

    @property
    def forwards(self) -> bool:
        """Whether to forward a port or the agent."""
        ports = self.local_forwards or self.remote_forwards or self.dynamic_forwards
        return bool(ports) or self.forward_agent is not None

    def algorithms(self) -> Algorithms:
        """Return the algorithms to offer: legacy ones only if a keyword or the profile says so."""
        return algorithms(
            profile=self.profile,
            kex=self.kex_algorithms,
            host_key=self.host_key_algorithms,
            ciphers=self.ciphers,
            macs=self.macs,
            compression=("zlib@openssh.com", "zlib", "none")
            if self.compression
            else ("none", "zlib@openssh.com"),
            signatures=self.pubkey_accepted_algorithms,
        )


_MOST = (1 << 31) - 1


def _words_of(*allowed: str) -> Parser:
    return one_of({name: name for name in allowed})


def _files(keyword: str, value: str) -> tuple[str, ...]:
    found = values.some_words(keyword, value)
    return () if found == ("none",) else found


def _gather(keyword: str, value: str) -> tuple[str, ...]:
    return (values.one_word(keyword, value),)


def _timeout(keyword: str, value: str) -> int | None:
    return (None if value.lower() == "none" else values.seconds(keyword, value)) or None


def _escape(keyword: str, value: str) -> bytes | None:
    if value.lower() == "none":
        return None
    if len(value) == 1 and "\0" < value <= "\x7f":
        return value.encode()
    if len(value) == 2 and value[0] == "^" and "@" <= value[1] <= "\x7f":
        return bytes((ord(value[1]) & 0x1F,))
    raise values.bad(keyword, value, "one ASCII character, ^ and a letter, or none")


def _ssh1_cipher(keyword: str, value: str) -> tuple[str, ...]:
    """Parse the cipher of SSH-1, with the names of old versions of ssh(1)."""
    return (_words_of("3des", "blowfish", "des")(keyword, value),)


def _local_forward(keyword: str, value: str) -> tuple[Forward, ...]:
    from nacre.config.tunnels import local

    return local(keyword, value)


def _remote_forward(keyword: str, value: str) -> tuple[Forward, ...]:
    from nacre.config.tunnels import remote

    return remote(keyword, value)


def _dynamic_forward(keyword: str, value: str) -> tuple[Forward, ...]:
    from nacre.config.tunnels import dynamic

    return dynamic(keyword, value)


def _forwarded_agent(keyword: str, value: str) -> str | None:
    meaning = {"yes": "SSH_AUTH_SOCK", "true": "SSH_AUTH_SOCK", "no": None, "false": None}
    found = values.one_word(keyword, value)
    return meaning.get(found.lower(), found)


def _text(keyword: str, value: str) -> str:
    if not value:
        raise values.bad(keyword, value, "a text that is not empty")
    return value


def _command(keyword: str, value: str) -> str | None:
    return None if value.lower() == "none" else _text(keyword, value)


def _jumps(keyword: str, value: str) -> str | None:
    from nacre.config.destination import parse_jumps

    if value.lower() != "none" and "%" not in value:
        parse_jumps(keyword, value)
    return _command(keyword, value)


def _persist(keyword: str, value: str) -> int | bool:
    known = values.BOOLEAN.get(value.lower())
    return values.seconds(keyword, value) if known is None else known


_TTY = {"auto": "auto", "no": "no", "false": "no", "yes": "yes", "true": "yes", "force": "force"}
_STRICT = {
    "yes": "yes",
    "true": "yes",
    "no": "no",
    "false": "no",
    "off": "no",
    "accept-new": "accept-new",
    "ask": "ask",
}

_SUPPORTED: dict[str, tuple[str, Parser]] = {
    "AddressFamily": ("address_family", _words_of("any", "inet", "inet6")),
    "BatchMode": ("batch_mode", values.boolean),
    "BindAddress": ("bind_address", values.one_word),
    "ChallengeResponseAuthentication": ("kbd_interactive", values.boolean),
    "Cipher": ("cipher", _ssh1_cipher),
    "Ciphers": ("ciphers", algorithms_of("cipher")),
    "ClearAllForwardings": ("clear_all_forwardings", values.boolean),
    "Compression": ("compression", values.boolean),
    "ConnectionAttempts": ("connection_attempts", number(1, _MOST)),
    "ConnectTimeout": ("connect_timeout", _timeout),
    "DynamicForward": ("dynamic_forwards", _dynamic_forward),
    "EscapeChar": ("escape_char", _escape),
    "ExitOnForwardFailure": ("exit_on_forward_failure", values.boolean),
    "ForwardAgent": ("forward_agent", _forwarded_agent),
    "GatewayPorts": ("gateway_ports", values.boolean),
    "GlobalKnownHostsFile": ("global_known_hosts_files", _files),
    "HashKnownHosts": ("hash_known_hosts", values.boolean),
    "HostKeyAlgorithms": ("host_key_algorithms", algorithms_of("host key")),
    "HostKeyAlias": ("host_key_alias", values.one_word),
    "HostName": ("host_name", values.one_word),
    "IdentitiesOnly": ("identities_only", values.boolean),
    "IdentityAgent": ("identity_agent", values.one_word),
    "IdentityFile": ("identity_files", _gather),
    "KbdInteractiveAuthentication": ("kbd_interactive", values.boolean),
    "KbdInteractiveDevices": ("kbd_interactive_devices", values.one_word),
    "KexAlgorithms": ("kex_algorithms", algorithms_of("kex")),
    "LocalForward": ("local_forwards", _local_forward),
    "LogLevel": ("log_level", one_of(values.LOG_LEVELS)),
    "MACs": ("macs", algorithms_of("MAC")),
    "NumberOfPasswordPrompts": ("password_prompts", number(1, _MOST)),
    "PasswordAuthentication": ("password_authentication", values.boolean),
    "Port": ("port", values.port),
    # nacre's own, for --profile.
    "Profile": ("profile", _words_of("default", "legacy")),
    "PreferredAuthentications": ("preferred_authentications", values.names),
    "Protocol": ("protocol", values.protocols),
    "ProxyCommand": ("proxy_command", _command),
    "ProxyJump": ("proxy_jump", _jumps),
    "ProxyUseFdpass": ("proxy_use_fdpass", values.boolean),
    "PubkeyAcceptedAlgorithms": ("pubkey_accepted_algorithms", algorithms_of("signature")),
    "PubkeyAcceptedKeyTypes": ("pubkey_accepted_algorithms", algorithms_of("signature")),
    "PubkeyAuthentication": ("pubkey_authentication", values.boolean),
    "RekeyLimit": ("rekey_limit", values.rekey_limit),
    "RemoteCommand": ("remote_command", _command),
    "RemoteForward": ("remote_forwards", _remote_forward),
    "RequestTTY": ("request_tty", one_of(_TTY)),
    "SendEnv": ("send_env", values.some_words),
    "ServerAliveCountMax": ("server_alive_count_max", number(1, _MOST)),
    "ServerAliveInterval": ("server_alive_interval", values.seconds),
    "SessionType": ("session_type", _words_of("default", "none", "subsystem")),
    "SetEnv": ("set_env", values.assignments),
    "StdinNull": ("stdin_null", values.boolean),
    "StrictHostKeyChecking": ("strict_host_key_checking", one_of(_STRICT)),
    "TCPKeepAlive": ("tcp_keep_alive", values.boolean),
    "User": ("user", values.one_word),
    "UserKnownHostsFile": ("user_known_hosts_files", _files),
    "WarnWeakCrypto": ("warn_weak_crypto", one_of({**values.BOOLEAN, "no-pq-kex": False})),
}
"""For each keyword, its field of :class:`ClientConfig` and the parser of its value."""

_FORWARDS = ("local_forwards", "remote_forwards", "dynamic_forwards")
_GATHERED = frozenset({"identity_files", "send_env", "set_env", *_FORWARDS})

_OFF = {
    "AddKeysToAgent": ("no", "false"),
    "CanonicalizeHostname": ("no", "false"),
    "CertificateFile": ("none",),
    # nacre does not check addresses in known_hosts, as OpenSSH does not with `no`.
    "CheckHostIP": ("no", "false", "yes", "true"),
    "ForkAfterAuthentication": ("no", "false"),
    "ForwardX11": ("no", "false"),
    "ForwardX11Trusted": ("no", "false"),
    "GSSAPIAuthentication": ("no", "false"),
    "GSSAPIDelegateCredentials": ("no", "false"),
    "HostbasedAuthentication": ("no", "false"),
    "KnownHostsCommand": ("none",),
    "PermitLocalCommand": ("no", "false"),
    "PKCS11Provider": ("none",),
    "Tunnel": ("no", "false"),
    "UpdateHostKeys": ("no", "false"),
    "VerifyHostKeyDNS": ("no", "false"),
    "VisualHostKey": ("no", "false"),
}
"""Keywords of features that the client lacks, with the values that turn these off."""

_SHARING = ("yes", "no", "true", "false", "ask", "auto", "autoask")
_TAKEN_AS_OFF: dict[str, Parser] = {
    "ControlMaster": _words_of(*_SHARING),
    "ControlPath": values.one_word,
    "ControlPersist": _persist,
}
"""Keywords of features that the client lacks and works without: sharing only saves time.
Programs such as Ansible always give them."""

# fmt: off
_ABSENT = (
    "BindInterface", "CanonicalDomains", "CanonicalizeFallbackLocal", "CanonicalizeMaxDots",
    "CanonicalizePermittedCNAMEs", "CASignatureAlgorithms", "ChannelTimeout",
    "EnableEscapeCommandline", "EnableSSHKeysign", "FingerprintHash", "ForwardX11Timeout",
    "Host", "HostbasedAcceptedAlgorithms", "IgnoreUnknown", "Include", "IPQoS",
    "LocalCommand", "LogVerbose", "Match", "NoHostAuthenticationForLocalhost",
    "ObscureKeystrokeTiming", "PermitRemoteOpen", "RefuseConnection",
    "RequiredRSASize", "RevokedHostKeys", "SecurityKeyProvider",
    "StreamLocalBindMask", "StreamLocalBindUnlink", "SyslogFacility", "Tag", "TunnelDevice",
    "VersionAddendum", "XAuthLocation",
)
# fmt: on

KEYWORDS = (*_SUPPORTED, *_OFF, *_TAKEN_AS_OFF, *_ABSENT)
"""Every known keyword, whether or not nacre supports it."""

_BY_LOWER = {name.lower(): name for name in KEYWORDS}


def parse(options: Iterable[str]) -> ClientConfig:
    """Return the configuration of ``Keyword=Value`` or ``Keyword Value`` texts, in their order.

    :raises ConfigurationError: a keyword is unknown or not supported, or a value is bad.
    """
    found: dict[str, Any] = {}
    for option in options:
        written, value = values.split(option)
        keyword = _BY_LOWER.get(written.lower())
        if keyword is None:
            raise values.unknown(written or option, KEYWORDS)
        if not value:
            raise ConfigurationError(f"{keyword}: the value is missing: give {keyword}=VALUE")
        if keyword in _SUPPORTED:
            _take(found, keyword, value)
        elif keyword in _TAKEN_AS_OFF:
            _TAKEN_AS_OFF[keyword](keyword, value)
        else:
            _check_off(keyword, value)
    _name_identities(found)
    if found.get("clear_all_forwardings"):
        for name in _FORWARDS:
            found.pop(name, None)
    return ClientConfig(**found)


def described(options: Iterable[str]) -> Iterator[tuple[LogLevel, str]]:
    """Yield what to log of options that :func:`parse` took, with its level, without secrets."""
    seen: set[str] = set()
    for option in options:
        written, value = values.split(option)
        keyword = _BY_LOWER[written.lower()]
        if keyword == "SetEnv":
            value = " ".join(f"{name}=..." for name, _ in values.assignments(keyword, value))
        text = f"{keyword}={safe(value, 1000)}"
        field = _SUPPORTED[keyword][0] if keyword in _SUPPORTED else keyword
        used = field in _GATHERED or field not in seen
        seen.add(field)
        if keyword in _TAKEN_AS_OFF and value.lower() not in ("no", "false", "none"):
            yield LogLevel.DEBUG1, f"{text}: nacre does not share connections yet; taken as off"
        else:
            counts = "" if used else " (not used: the first one counts)"
            yield LogLevel.DEBUG2, f"command line: {text}{counts}"


def _take(found: dict[str, Any], keyword: str, value: str) -> None:
    name, parse_value = _SUPPORTED[keyword]
    taken = parse_value(keyword, value)
    if (name == "proxy_jump" and "proxy_command" in found) or (
        name == "proxy_command" and found.get("proxy_jump") is not None
    ):
        return  # the first of both counts; OpenSSH passes over a ProxyJump that is none
    if name in _GATHERED:
        found[name] = found.get(name, ()) + taken
    else:
        found.setdefault(name, taken)


def _check_off(keyword: str, value: str) -> None:
    allowed = _OFF.get(keyword)
    if allowed is None:
        raise ConfigurationError(f"{keyword} is not supported by nacre yet: leave it out")
    if value.lower() not in allowed:
        raise values.bad(
            keyword, value, f"{', '.join(allowed)} (nacre does not support other values yet)"
        )


def _name_identities(found: dict[str, Any]) -> None:
    named = found.pop("identity_files", ())
    files = tuple(name for name in named if name.lower() != "none")
    found.update(identity_files=files, no_identity_files=bool(named) and not files)
