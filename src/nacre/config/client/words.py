"""The keywords of ssh_config(5): the schema of clients.

The rows stand in the order in which ``-G`` prints them, which is that of ssh(1).
"""

from __future__ import annotations

from nacre.config.client.former import ALIASES, IGNORED
from nacre.config.client.kinds import (
    ADD_KEYS_TO_AGENT,
    ADDRESS_FAMILY,
    CANONICAL_DOMAINS,
    CANONICALIZE_HOSTNAME,
    CANONICALIZE_PERMITTED_CNAMES,
    CHANNEL_TIMEOUT,
    CIPHER,
    COMPRESSION,
    CONTROL_MASTER,
    CONTROL_PERSIST,
    ESCAPE_CHAR,
    FINGERPRINT_HASH,
    FORWARD_AGENT,
    FORWARD_X11_TIMEOUT,
    HOST_KEY_ALIAS,
    IDENTITY_AGENT,
    IP_QOS,
    LOG_VERBOSE,
    OBSCURE_KEYSTROKE_TIMING,
    PERMIT_REMOTE_OPEN,
    PORT,
    PROFILE,
    PROTOCOL,
    PROXY_JUMP,
    PUBKEY_AUTHENTICATION,
    REKEY_LIMIT,
    REQUEST_TTY,
    SECURITY_KEY_PROVIDER,
    SEND_ENV,
    SERVER_ALIVE_INTERVAL,
    SESSION_TYPE,
    STRICT_HOST_KEY_CHECKING,
    SYSLOG_FACILITY,
    TUNNEL,
    TUNNEL_DEVICE,
    UPDATE_HOST_KEYS,
    VERIFY_HOST_KEY_DNS,
    VERSION_ADDENDUM,
    WARN_WEAK_CRYPTO,
)
from nacre.config.kinds import (
    ASSIGNMENTS,
    FILES,
    GATHERED_FILE,
    GSS_KEX,
    LOG_LEVEL,
    MASK,
    NAMES,
    OPTIONAL_WORD,
    TEXT,
    TIMEOUT,
    WORD,
    WORDS,
    YES_NO,
    algorithms,
    number,
)
from nacre.config.schema import Keyword, Kind, Schema, idle
from nacre.config.tunnels import DYNAMIC_FORWARD, LOCAL_FORWARD, REMOTE_FORWARD

_HOST_TOKENS = "dhijkLlnpruC"
"""The tokens of most keywords; see :mod:`nacre.config.syntax.tokens`."""

_RENEWAL = "tickets are passed on at the login alone"
_PKCS11 = "nacre loads no library of tokens: `nacre add -s LIBRARY` has an agent use its keys"
_CALLS = "it names functions in OpenSSH's source"


def _patched(name: str, kind: Kind, about: str, field: str, default: str = "") -> Keyword:
    """Return the row of a word that the OpenSSH of Debian and Red Hat has."""
    about = f"{about}; a word of Debian's and Red Hat's OpenSSH."
    return Keyword(name, kind, about, field, default, patched=True)


_WORDS = (
    Keyword("Host", WORDS, "Begins a block for hosts whose names match one of the patterns."),
    Keyword("Match", WORDS, "Begins a block for connections that meet all criteria."),
    Keyword("Include", WORDS, "Reads other files here.", tokens="CdhijkLlnpru", environment=True),
    Keyword(
        "User", WORD, "The name to log in with.", "user", tokens="dhijkLlnpu", environment=True
    ),
    Keyword("Hostname", WORD, "The name or address to connect to.", "host_name", tokens="h"),
    Keyword("Port", PORT, "The port to connect to.", "port"),
    Keyword(
        "AddressFamily",
        ADDRESS_FAMILY,
        "Which addresses to use: those of IPv4, of IPv6, or any.",
        "address_family",
    ),
    Keyword("BatchMode", YES_NO, "Never ask the user.", "batch_mode"),
    Keyword(
        "CanonicalizeFallbackLocal",
        YES_NO,
        "Go on with the name as it was given if no canonical one is found.",
        default="yes",
    ),
    Keyword(
        "CanonicalizeHostname",
        CANONICALIZE_HOSTNAME,
        "Search the name in the canonical domains, and read the files again with what was found.",
        default="false",
    ),
    Keyword("CheckHostIP", YES_NO, "Check the host's address in known_hosts too.", "check_host_ip"),
    Keyword("Compression", COMPRESSION, "Compress what is sent.", "compression"),
    Keyword(
        "ControlMaster",
        CONTROL_MASTER,
        "Share this connection with programs that start later.",
        "control_master",
    ),
    Keyword(
        "EnableSSHKeysign",
        YES_NO,
        "Let ssh-keysign sign for host-based authentication.",
        "enable_ssh_keysign",
    ),
    Keyword("ClearAllForwardings", YES_NO, "Forward no ports at all.", "clear_all_forwardings"),
    Keyword(
        "ExitOnForwardFailure",
        YES_NO,
        "End the connection if a port can't be forwarded.",
        "exit_on_forward_failure",
    ),
    Keyword(
        "FingerprintHash",
        FINGERPRINT_HASH,
        "The hash of the fingerprints that are shown.",
        "fingerprint_hash",
    ),
    Keyword("ForwardX11", YES_NO, "Forward X11.", "forward_x11"),
    Keyword(
        "ForwardX11Trusted", YES_NO, "Give remote X11 programs all rights.", "forward_x11_trusted"
    ),
    Keyword("GatewayPorts", YES_NO, "Let other hosts use forwarded ports.", "gateway_ports"),
    Keyword(
        "GSSAPIAuthentication",
        YES_NO,
        "Log in by GSSAPI, with a Kerberos ticket.",
        "gssapi_authentication",
    ),
    _patched(
        "GSSAPIKeyExchange",
        YES_NO,
        "Have Kerberos prove the server's name in the key exchange, in place of a host key",
        "gssapi_key_exchange",
    ),
    Keyword(
        "GSSAPIDelegateCredentials",
        YES_NO,
        "Give the server tickets to act for the user.",
        "gssapi_delegate_credentials",
    ),
    _patched(
        "GSSAPITrustDns",
        YES_NO,
        "Let the DNS tell the host's name for GSSAPI",
        "gssapi_trust_dns",
    ),
    idle(
        "GSSAPIRenewalForcesRekey",
        YES_NO,
        "Exchange keys when tickets are new; a word of Debian's and Red Hat's OpenSSH.",
        _RENEWAL,
        "no",
        patched=True,
    ),
    _patched(
        "GSSAPIKexAlgorithms",
        GSS_KEX,
        "The key exchange methods of GSSAPI",
        "gssapi_kex_algorithms",
        "gss-group14-sha256-,gss-group16-sha512-,gss-nistp256-sha256-,gss-curve25519-sha256-,"
        "gss-group14-sha1-,gss-gex-sha1-",
    ),
    _patched(
        "GSSAPIClientIdentity", WORD, "The principal to log in with", "gssapi_client_identity"
    ),
    _patched(
        "GSSAPIServerIdentity",
        WORD,
        "The server's name for GSSAPI, where it is not the host's",
        "gssapi_server_identity",
    ),
    Keyword(
        "HashKnownHosts",
        YES_NO,
        "Hash the names that are added to known_hosts.",
        "hash_known_hosts",
    ),
    Keyword(
        "HostbasedAuthentication",
        YES_NO,
        "Log in by the key of this host.",
        "hostbased_authentication",
    ),
    Keyword(
        "IdentitiesOnly",
        YES_NO,
        "Use the configured keys only, not all of the agent's.",
        "identities_only",
    ),
    Keyword(
        "KbdInteractiveAuthentication",
        YES_NO,
        "Log in by the server's questions.",
        "kbd_interactive",
    ),
    Keyword(
        "NoHostAuthenticationForLocalhost",
        YES_NO,
        "Don't check the host key of a loopback address.",
        "no_host_authentication_for_localhost",
    ),
    Keyword("PasswordAuthentication", YES_NO, "Log in by a password.", "password_authentication"),
    Keyword("PermitLocalCommand", YES_NO, "Allow LocalCommand.", "permit_local_command"),
    Keyword(
        "ProxyUseFdpass",
        YES_NO,
        "ProxyCommand passes back a connected descriptor.",
        "proxy_use_fdpass",
    ),
    Keyword(
        "PubkeyAuthentication", PUBKEY_AUTHENTICATION, "Log in by a key.", "pubkey_authentication"
    ),
    Keyword("RequestTTY", REQUEST_TTY, "Ask for a terminal.", "request_tty"),
    Keyword(
        "SessionType",
        SESSION_TYPE,
        "What the session is: a shell or command, none at all, or a subsystem.",
        "session_type",
    ),
    Keyword("StdinNull", YES_NO, "Read standard input from nowhere.", "stdin_null"),
    Keyword(
        "ForkAfterAuthentication",
        YES_NO,
        "Go to the background after the login.",
        "fork_after_authentication",
    ),
    Keyword(
        "StreamLocalBindUnlink",
        YES_NO,
        "Remove a Unix socket's file before it is forwarded anew.",
        "stream_local_bind_unlink",
    ),
    Keyword(
        "StrictHostKeyChecking",
        STRICT_HOST_KEY_CHECKING,
        "What to do with a host key that is not known.",
        "strict_host_key_checking",
    ),
    Keyword("TCPKeepAlive", YES_NO, "Let the system probe a silent connection.", "tcp_keep_alive"),
    Keyword("Tunnel", TUNNEL, "Join a tunnel device to one of the server.", "tunnel"),
    Keyword(
        "VerifyHostKeyDNS",
        VERIFY_HOST_KEY_DNS,
        "Look up fingerprints of host keys in the DNS.",
        "verify_host_key_dns",
    ),
    Keyword("VisualHostKey", YES_NO, "Show a picture of the host key.", "visual_host_key"),
    Keyword(
        "UpdateHostKeys",
        UPDATE_HOST_KEYS,
        "Follow the server's changes of its host keys in known_hosts.",
        "update_host_keys",
        "true",
    ),
    Keyword(
        "EnableEscapeCommandline",
        YES_NO,
        "Offer a command line behind ~C.",
        "enable_escape_commandline",
    ),
    Keyword(
        "CanonicalizeMaxDots",
        number(0),
        "How many dots a name may have to be searched in the canonical domains.",
        default="1",
    ),
    Keyword("ConnectionAttempts", number(1), "How often to try to connect.", "connection_attempts"),
    Keyword(
        "ForwardX11Timeout",
        FORWARD_X11_TIMEOUT,
        "For how long untrusted X11 programs may connect.",
        "forward_x11_timeout",
    ),
    Keyword(
        "NumberOfPasswordPrompts", number(0), "How often to ask for a password.", "password_prompts"
    ),
    Keyword(
        "ServerAliveCountMax",
        number(0),
        "How many keepalives may stay unanswered.",
        "server_alive_count_max",
    ),
    Keyword(
        "ServerAliveInterval",
        SERVER_ALIVE_INTERVAL,
        "Seconds of silence before a keepalive; 0 for none.",
        "server_alive_interval",
    ),
    Keyword("RequiredRSASize", number(0), "The fewest bits of an RSA key.", "required_rsa_size"),
    Keyword(
        "ObscureKeystrokeTiming",
        OBSCURE_KEYSTROKE_TIMING,
        "Send keystrokes at fixed intervals, so that their times tell nothing.",
        "obscure_keystroke_timing",
    ),
    Keyword("BindAddress", WORD, "The address to connect from.", "bind_address"),
    Keyword("BindInterface", WORD, "The interface to connect from.", "bind_interface"),
    Keyword("Ciphers", algorithms("cipher"), "The ciphers to offer.", "ciphers"),
    Keyword(
        "ControlPath",
        OPTIONAL_WORD,
        "The socket of a shared connection.",
        "control_path",
        tokens=_HOST_TOKENS,
        environment=True,
    ),
    Keyword(
        "HostKeyAlgorithms",
        algorithms("host key"),
        "The host key algorithms to accept.",
        "host_key_algorithms",
    ),
    Keyword(
        "HostKeyAlias", HOST_KEY_ALIAS, "The name to look for in known_hosts.", "host_key_alias"
    ),
    Keyword(
        "HostbasedAcceptedAlgorithms",
        algorithms("signature"),
        "The signature algorithms of host-based authentication.",
        "hostbased_accepted_algorithms",
    ),
    Keyword(
        "IdentityAgent",
        IDENTITY_AGENT,
        "The socket of the agent.",
        "identity_agent",
        tokens=_HOST_TOKENS,
        environment=True,
    ),
    Keyword("IgnoreUnknown", WORD, "Patterns of keywords that may be unknown."),
    Keyword(
        "KbdInteractiveDevices",
        WORD,
        "The devices of keyboard-interactive.",
        "kbd_interactive_devices",
    ),
    Keyword(
        "KexAlgorithms", algorithms("kex"), "The key exchange methods to offer.", "kex_algorithms"
    ),
    Keyword(
        "CASignatureAlgorithms",
        algorithms("CA signature"),
        "The algorithms that may sign certificates.",
        "ca_signature_algorithms",
    ),
    Keyword(
        "LocalCommand",
        TEXT,
        "A command to run here after the login.",
        "local_command",
        tokens="CdhijkLlnprTu",
    ),
    Keyword(
        "RemoteCommand", TEXT, "The command to run there.", "remote_command", tokens=_HOST_TOKENS
    ),
    Keyword("LogLevel", LOG_LEVEL, "How much is told.", "log_level"),
    Keyword("MACs", algorithms("MAC"), "The MACs to offer.", "macs"),
    idle("PKCS11Provider", OPTIONAL_WORD, "The library of a token with keys.", _PKCS11),
    Keyword(
        "PreferredAuthentications",
        NAMES,
        "The methods to log in by, in order.",
        "preferred_authentications",
    ),
    Keyword(
        "PubkeyAcceptedAlgorithms",
        algorithms("signature"),
        "The signature algorithms of the user's keys.",
        "pubkey_accepted_algorithms",
    ),
    Keyword(
        "RevokedHostKeys",
        OPTIONAL_WORD,
        "The file of host keys that are refused.",
        "revoked_host_keys",
        tokens=_HOST_TOKENS,
        environment=True,
    ),
    Keyword(
        "SecurityKeyProvider",
        SECURITY_KEY_PROVIDER,
        "The library for FIDO keys.",
        "security_key_provider",
        "internal",
    ),
    Keyword(
        "KnownHostsCommand",
        TEXT,
        "A command that prints lines of known_hosts.",
        "known_hosts_command",
        tokens="CfHIKtdhijkLlnpru",
        environment=True,
    ),
    Keyword("XAuthLocation", WORD, "The program xauth.", "xauth_location"),
    Keyword(
        "VersionAddendum",
        VERSION_ADDENDUM,
        "A text behind the version that the server gets.",
        "version_addendum",
    ),
    Keyword(
        "IdentityFile",
        GATHERED_FILE,
        "A private key to log in with.",
        "identity_files",
        gathers=True,
        most=100,
        tokens=_HOST_TOKENS,
        environment=True,
    ),
    Keyword(
        "CanonicalDomains",
        CANONICAL_DOMAINS,
        "The domains in which names are searched.",
        default="none",
    ),
    Keyword(
        "CertificateFile",
        GATHERED_FILE,
        "A certificate of a key that logs in.",
        "certificate_files",
        gathers=True,
        most=100,
        tokens=_HOST_TOKENS,
        environment=True,
    ),
    Keyword(
        "GlobalKnownHostsFile",
        FILES,
        "The system's files of host keys.",
        "global_known_hosts_files",
    ),
    Keyword(
        "UserKnownHostsFile",
        FILES,
        "The user's files of host keys.",
        "user_known_hosts_files",
        tokens=_HOST_TOKENS,
        environment=True,
    ),
    Keyword(
        "SendEnv",
        SEND_ENV,
        "Variables of the environment to send, by pattern.",
        "send_env",
        gathers=True,
        repeats=True,
    ),
    Keyword(
        "SetEnv",
        ASSIGNMENTS,
        "Variables to send with the values given here.",
        "set_env",
    ),
    idle("LogVerbose", LOG_VERBOSE, "What of OpenSSH's source logs everything.", _CALLS, "none"),
    Keyword(
        "ChannelTimeout",
        CHANNEL_TIMEOUT,
        "Close channels of a type after a time without traffic.",
        "channel_timeouts",
    ),
    Keyword(
        "PermitRemoteOpen",
        PERMIT_REMOTE_OPEN,
        "Where a SOCKS proxy at the server's side may connect to.",
        "permit_remote_open",
    ),
    Keyword(
        "AddKeysToAgent",
        ADD_KEYS_TO_AGENT,
        "Add the keys of files to the agent once they are used.",
        "add_keys_to_agent",
    ),
    Keyword(
        "ForwardAgent",
        FORWARD_AGENT,
        "Forward the agent.",
        "forward_agent",
        tokens=_HOST_TOKENS,
        environment=True,
    ),
    Keyword(
        "ConnectTimeout",
        TIMEOUT,
        "Seconds until an attempt to connect is given up.",
        "connect_timeout",
    ),
    Keyword("TunnelDevice", TUNNEL_DEVICE, "The tunnel devices to join.", "tunnel_device"),
    Keyword(
        "CanonicalizePermittedCNAMEs",
        CANONICALIZE_PERMITTED_CNAMES,
        "Which aliases of the DNS a canonical name may follow.",
        default="none",
    ),
    Keyword(
        "ControlPersist",
        CONTROL_PERSIST,
        "Keep a shared connection in the background.",
        "control_persist",
    ),
    Keyword("EscapeChar", ESCAPE_CHAR, "The character that begins an escape.", "escape_char"),
    Keyword(
        "IPQoS", IP_QOS, "The class of service of interactive and of other sessions.", "ip_qos"
    ),
    Keyword(
        "RekeyLimit",
        REKEY_LIMIT,
        "After how many bytes, or seconds, keys are exchanged anew.",
        "rekey_limit",
    ),
    Keyword(
        "StreamLocalBindMask",
        MASK,
        "The umask of a forwarded Unix socket.",
        "stream_local_bind_mask",
        everywhere=True,
        last=True,
    ),
    Keyword(
        "SyslogFacility",
        SYSLOG_FACILITY,
        "The facility of messages in the system's log.",
        "syslog_facility",
        everywhere=True,
    ),
    Keyword(
        "LocalForward",
        LOCAL_FORWARD,
        "A port here, forwarded to a place there.",
        "local_forwards",
        gathers=True,
        tokens=_HOST_TOKENS,
        environment=True,
    ),
    Keyword(
        "RemoteForward",
        REMOTE_FORWARD,
        "A port there, forwarded to a place here.",
        "remote_forwards",
        gathers=True,
        tokens=_HOST_TOKENS,
        environment=True,
    ),
    Keyword(
        "DynamicForward",
        DYNAMIC_FORWARD,
        "A port here that is a SOCKS proxy.",
        "dynamic_forwards",
        gathers=True,
    ),
    Keyword(
        "ProxyCommand",
        TEXT,
        "A command whose input and output lead to the server.",
        "proxy_command",
        tokens="hnpr",
    ),
    Keyword(
        "ProxyJump", PROXY_JUMP, "Hosts through which to connect.", "proxy_jump", tokens="hnpr"
    ),
    Keyword("Tag", WORD, "A name that Match tagged asks for."),
    Keyword("RefuseConnection", TEXT, "Refuse to connect, with this message.", "refuse_connection"),
    Keyword(
        "WarnWeakCrypto",
        WARN_WEAK_CRYPTO,
        "Warn of a key exchange that is not safe from quantum computers.",
        "warn_weak_crypto",
    ),
    Keyword("Protocol", PROTOCOL, "The versions of SSH to use.", "protocol", own=True),
    Keyword("Cipher", CIPHER, "The cipher of SSH-1.", "cipher", own=True),
    Keyword("Profile", PROFILE, "Which algorithms to offer.", "profile", own=True),
)

SCHEMA = Schema(_WORDS, ALIASES, IGNORED)
