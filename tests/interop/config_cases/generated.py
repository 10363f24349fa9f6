"""Files made from a grammar: the same seed makes the same file on every machine."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

from interop.config_cases.case import ConfigCase
from interop.config_cases.client_values import VALUES as CLIENT_VALUES
from interop.config_cases.server_values import VALUES as SERVER_VALUES

Draw = random.Random
Values = Mapping[str, Callable[[Draw], str]]

_BAD = 0.015
"""How often a line has any value of its keyword's table, the bad ones included."""


def _one(*values: str) -> Callable[[Draw], str]:
    return lambda draw: draw.choice(values)


def _some(most: int, *values: str, by: str = " ") -> Callable[[Draw], str]:
    return lambda draw: by.join(draw.sample(values, draw.randint(1, min(most, len(values)))))


def _number(least: int, most: int) -> Callable[[Draw], str]:
    return lambda draw: str(draw.randint(least, most))


def _algorithms(*names: str) -> Callable[[Draw], str]:
    """Return what draws a list of algorithms, or a change of the default one."""

    def drawn(draw: Draw) -> str:
        chosen = draw.sample(names, draw.randint(1, 4))
        sign = draw.choice(["", "", "", "+", "-", "^"])
        if sign == "-" and draw.random() < 0.5:
            chosen = [f"{name[: draw.randint(2, len(name))]}*" for name in chosen]
        return sign + ",".join(chosen)

    return drawn


def _time(draw: Draw) -> str:
    units = draw.sample("hms", draw.randint(0, 3))
    return "".join(f"{draw.randint(0, 90)}{unit}" for unit in units) or str(draw.randint(0, 5000))


def _path(draw: Draw) -> str:
    folder = draw.choice(["/etc/ssh", "~/.ssh", "/a b", "keys", "~", "/x/#1"])
    return f"{folder}/{draw.choice(['id', 'known', 'x y', 'a.pub', 'c=d'])}"


def _tokens(*tokens: str) -> Callable[[Draw], str]:
    def drawn(draw: Draw) -> str:
        return "/".join(draw.choices([*tokens, "x", "%%"], k=draw.randint(1, 4)))

    return drawn


def _forward(draw: Draw) -> str:
    listen = draw.choice(["", "localhost:", "127.0.0.1:", "[::1]:", "*:"])
    host = draw.choice(["localhost", "db.example.org", "192.0.2.1", "[2001:db8::1]"])
    return f"{listen}{draw.randint(1, 65535)} {host}:{draw.randint(1, 65535)}"


_switch = _one("yes", "no", "yes", "no", "Yes", "NO")
_cipher = _algorithms("aes128-ctr", "aes192-ctr", "aes256-ctr", "aes128-cbc", "3des-cbc")
_key = _algorithms("ssh-ed25519", "rsa-sha2-512", "rsa-sha2-256", "ecdsa-sha2-nistp256", "ssh-rsa")

_COMMON: Values = {
    "Ciphers": _cipher,
    "MACs": _algorithms("hmac-sha2-256", "hmac-sha2-512", "hmac-sha1", "hmac-md5"),
    "KexAlgorithms": _algorithms(
        "curve25519-sha256",
        "ecdh-sha2-nistp256",
        "ecdh-sha2-nistp521",
        "diffie-hellman-group14-sha1",
    ),
    "HostKeyAlgorithms": _key,
    "CASignatureAlgorithms": _key,
    "PubkeyAcceptedAlgorithms": _key,
    "HostbasedAcceptedAlgorithms": _key,
    "AddressFamily": _one("any", "inet", "inet6"),
    "FingerprintHash": _one("md5", "sha256"),
    "IPQoS": _some(2, "af11", "cs1", "ef", "none", "cs7", "5", "184"),
    "KbdInteractiveAuthentication": _switch,
    "LogLevel": _one("QUIET", "FATAL", "error", "INFO", "VERBOSE", "DEBUG", "debug3"),
    "PasswordAuthentication": _switch,
    "RekeyLimit": lambda draw: f"{draw.choice(['default', '1G', '512M', '64k'])} {_time(draw)}",
    "RequiredRSASize": _number(1024, 8192),
    "StreamLocalBindMask": _one("0177", "077", "0111", "022"),
    "StreamLocalBindUnlink": _switch,
    "SyslogFacility": _one("USER", "auth", "LOCAL0", "local7", "DAEMON"),
    "TCPKeepAlive": _switch,
    "SetEnv": _some(3, "A=1", "B=x=y", "C=", '"D=a b"', "LC_ALL=C"),
}

_CLIENT: Values = {
    **_COMMON,
    **dict.fromkeys(
        [
            *("BatchMode", "CanonicalizeFallbackLocal", "CheckHostIP", "ClearAllForwardings"),
            *("Compression", "EnableEscapeCommandline", "EnableSSHKeysign", "ExitOnForwardFailure"),
            *("ForwardX11", "ForwardX11Trusted", "GatewayPorts", "GSSAPIAuthentication"),
            *("GSSAPIDelegateCredentials", "HashKnownHosts", "HostbasedAuthentication"),
            *("IdentitiesOnly", "NoHostAuthenticationForLocalhost", "PermitLocalCommand"),
            *("ProxyUseFdpass", "StdinNull", "VisualHostKey", "PubkeyAuthentication"),
        ],
        _switch,
    ),
    "AddKeysToAgent": _one("yes", "no", "ask", "confirm", "confirm 1h", "90"),
    "BindAddress": _one("127.0.0.1", "::1", "name.test"),
    "BindInterface": _one("lo", "eth0"),
    "CanonicalDomains": _some(3, "a.test", "B.test", "none-such.test"),
    "CanonicalizeMaxDots": _number(0, 9),
    "CertificateFile": _path,
    "ConnectionAttempts": _number(1, 9),
    "ConnectTimeout": _time,
    "ControlMaster": _one("yes", "no", "ask", "auto", "autoask"),
    "ControlPath": _tokens("~/.ssh", "%h", "%p", "%r", "%n", "%u", "%i", "%d"),
    "ControlPersist": _one("yes", "no", "10m", "0", "30"),
    "DynamicForward": lambda draw: _forward(draw).split()[0],
    "EscapeChar": _one("~", "none", "^B", "%", "^]"),
    "ForwardX11Timeout": _time,
    "GlobalKnownHostsFile": _some(3, "/a", "/b", "none_", "~/c", "'/d e'"),
    "HostKeyAlias": _one("alias", "Alias.Example", "%h"),
    "Hostname": _one("%h.example.org", "192.0.2.9", "real.example.org", "Upper", "::1", "%h"),
    "IdentityAgent": _one("none", "SSH_AUTH_SOCK", "$AGENT", "~/agent", "%d/agent.%u"),
    "IdentityFile": _path,
    "KbdInteractiveDevices": _one("pam", "pam,skey"),
    "KnownHostsCommand": _tokens("/bin/keys", " %H", " %t"),
    "LocalCommand": _tokens("echo ", "%h", "%T", "# x", "'a b'"),
    "LocalForward": _forward,
    "LogVerbose": _one("a:b:*", "kex.c:*:1000,x", "none"),
    "NumberOfPasswordPrompts": _number(0, 9),
    "PermitRemoteOpen": _some(3, "a:1", "*:443", "b.test:*", "[::1]:22"),
    "PKCS11Provider": _path,
    "Port": _number(1, 65535),
    "PreferredAuthentications": _some(3, "publickey", "password", "hostbased", by=","),
    "ProxyCommand": _tokens("nc ", "%h", " %p", "'a b'", "# x", "none"),
    "ProxyJump": _some(3, "j1", "u@j2:2222", "[2001:db8::2]:22", "none.test", by=","),
    "RemoteCommand": _tokens("ls ", "%h", "%n", "# x", '"a b"', "%r"),
    "RemoteForward": _forward,
    "RevokedHostKeys": _one("/etc/ssh/revoked", "none"),
    "SecurityKeyProvider": _one("internal", "/usr/lib/sk.so"),
    "SendEnv": _some(3, "LANG", "LC_*", "A?", "-LC_*", "B"),
    "ServerAliveCountMax": _number(0, 9),
    "ServerAliveInterval": _time,
    "SessionType": _one("none", "subsystem", "default"),
    "StrictHostKeyChecking": _one("yes", "no", "ask", "accept-new", "off"),
    "Tunnel": _one("yes", "no", "point-to-point", "ethernet"),
    "TunnelDevice": _one("any", "0:1", "any:3", "4:any", "5"),
    "UpdateHostKeys": _switch,
    "User": _one("alice", "bob", "'Bob Z'", "d.e-f", "x@y"),
    "UserKnownHostsFile": _some(3, "/a", "~/b", "%d/c", "/d.%h", '"/e f"'),
    "VerifyHostKeyDNS": _one("yes", "no", "ask"),
    "XAuthLocation": _path,
}

_RAW = frozenset(
    [
        *("proxycommand", "localcommand", "remotecommand", "knownhostscommand", "proxyjump"),
        *("forcecommand", "versionaddendum", "subsystem", "authorizedkeyscommand"),
        "authorizedprincipalscommand",
    ]
)
"""Keywords whose value is the rest of the line as it stands: no quotes, no comment."""


def _spelled(draw: Draw, word: str) -> str:
    return draw.choice([word, word, word.lower(), word.upper()])


def _line(draw: Draw, keyword: str, value: str) -> str:
    """Return one line: how it is spelled is drawn, what it says is not."""
    if keyword.lower() not in _RAW and "\n" not in value:
        if "'" not in value and '"' not in value and value.startswith(("/", "~")) and " " in value:
            value = f'"{value}"'  # a path with a blank
        elif not set(value) & set(" '\"\\") and draw.random() < 0.2:
            value = draw.choice([f'"{value}"', f"'{value}'"])
        if draw.random() < 0.1:
            value += draw.choice([" # a comment", "\t#x", "  ", "\t"])
    indent = draw.choice(["", "", "    ", "\t"])
    between = draw.choice([" ", " ", " ", "\t", "  ", "=", " = "])
    return f"{indent}{_spelled(draw, keyword)}{between}{value}\n"


def _settings(draw: Draw, good: Values, bad: Mapping[str, Sequence[str]], most: int) -> str:
    lines = []
    for keyword in draw.choices(sorted(good), k=draw.randint(1, most)):
        value = good[keyword](draw)
        if draw.random() < _BAD:
            value = draw.choice(bad[keyword]).replace("{keyword}", keyword)
        lines.append(_line(draw, keyword, value))
        if draw.random() < 0.05:
            lines.append(draw.choice(["\n", "# a comment\n", "\t\n", "#\n"]))
    if draw.random() < _BAD:
        lines.append(
            draw.choice(["Nonsense yes\n", "Port\n", 'User "open\n', "LogLevel INFO INFO\n"])
        )
    return "".join(lines)


_PATTERNS = ["h", "w*", "*.example.org", "?", "*", "db", "WEB", "i", "10.0.0.?", "*w*"]


def _patterns(draw: Draw, by: str) -> str:
    chosen = draw.sample(_PATTERNS, draw.randint(1, 3))
    return by.join(draw.choice(["", "", "", "!"]) + pattern for pattern in chosen)


def _client_criteria(draw: Draw) -> str:
    if draw.random() < 0.15:
        return draw.choice(["all", "final all", "canonical all", "final", "!final", "!canonical"])
    criteria: list[Callable[[], str]] = [
        lambda: f"host {_patterns(draw, ',')}",
        lambda: f"originalhost {_patterns(draw, ',')}",
        lambda: f"user {draw.choice(['alice', 'b*', 'alice,bob', '!bob,*'])}",
        lambda: f"localuser {draw.choice(['*', 'nobody_such', '!*'])}",
        lambda: f"exec {draw.choice(['true', 'false', chr(34) + 'test %h = h' + chr(34)])}",
    ]
    chosen = draw.sample(criteria, draw.randint(1, 3))
    return " ".join(draw.choice(["", "", "", "!"]) + each() for each in chosen)


def client_case(draw: Draw) -> ConfigCase:
    """Return a file for ``ssh``, with up to two included ones, and a destination."""
    files: dict[str, str] = {}

    def text(blocks: int) -> str:
        made = _settings(draw, _CLIENT, CLIENT_VALUES, 4) if draw.random() < 0.6 else ""
        for _ in range(blocks):
            if draw.random() < 0.5:
                made += f"{_spelled(draw, 'Host')} {_patterns(draw, ' ')}\n"
            else:
                made += f"{_spelled(draw, 'Match')} {_client_criteria(draw)}\n"
            made += _settings(draw, _CLIENT, CLIENT_VALUES, 8)
            if len(files) < 2 and draw.random() < 0.2:
                name = f"part{len(files)}"
                files[name] = ""
                files[name] = text(draw.randint(0, 2))
                pattern = draw.choice([name, f"part[{name[-1]}]", f"*none {{dir}}/{name}"])
                made += f"Include {{dir}}/{pattern}\n"
        return made

    made = text(draw.randint(0, 5))
    host = draw.choice(["h", "web", "db", "WEB", "w.example.org", "10.0.0.1", "::1", "i"])
    words = draw.choice(
        [
            [host],
            [host],
            [f"alice@{host}"],
            ["-l", "bob", host],
            ["-p", "2222", host],
            ["-o", "User=bob", host],
            [f"ssh://bob@{host.replace(':', '')}:2200"],
        ]
    )
    return ConfigCase("generated", made, tuple(words), files)


def _server_path(draw: Draw) -> str:
    return draw.choice(["/etc/x", "relative", "none", "/a/b c", "/x/%u"])


_SERVER_IN_MATCH: Values = {
    **{
        keyword: _COMMON[keyword]
        for keyword in (
            *("CASignatureAlgorithms", "HostbasedAcceptedAlgorithms", "IPQoS", "LogLevel"),
            *("KbdInteractiveAuthentication", "PasswordAuthentication", "RekeyLimit"),
            *("PubkeyAcceptedAlgorithms", "RequiredRSASize", "SetEnv", "StreamLocalBindMask"),
            "StreamLocalBindUnlink",
        )
    },
    **dict.fromkeys(
        [
            *(
                "AllowAgentForwarding",
                "DisableForwarding",
                "ExposeAuthInfo",
                "GSSAPIAuthentication",
            ),
            *("HostbasedAuthentication", "HostbasedUsesNameFromPacketOnly", "PermitEmptyPasswords"),
            *("PermitTTY", "PermitUserRC", "PubkeyAuthentication", "X11Forwarding"),
            *("X11UseLocalhost", "KerberosAuthentication"),
        ],
        _switch,
    ),
    "AcceptEnv": _some(3, "LANG", "LC_*", "A?", "B"),
    "AllowGroups": _some(2, "wheel", "adm*", "!bad"),
    "AllowStreamLocalForwarding": _one("yes", "no", "all", "local", "remote"),
    "AllowTcpForwarding": _one("yes", "no", "all", "local", "remote"),
    "AllowUsers": _some(3, "alice", "bob@10.0.0.0/8", "c*", "d@*.test"),
    "AuthenticationMethods": _some(
        2, "publickey,password", "keyboard-interactive:pam", "publickey"
    ),
    "AuthorizedKeysCommand": _one("none", "/bin/keys %u", "/bin/keys  %k # x"),
    "AuthorizedKeysCommandUser": _one("none", "nobody"),
    "AuthorizedKeysFile": _some(2, ".ssh/a", "/etc/keys/%u", "none"),
    "AuthorizedPrincipalsFile": _one("none", "/etc/p/%u", "p"),
    "Banner": _server_path,
    "ChrootDirectory": _one("none", "/chroot/%u", "%h"),
    "ClientAliveCountMax": _number(0, 9),
    "ClientAliveInterval": _time,
    "DenyGroups": _some(2, "guests", "x*"),
    "DenyUsers": _some(3, "eve", "m*@1.2.3.4", "z"),
    "ForceCommand": _one("none", "internal-sftp -R", 'echo "a  b" # c'),
    "GatewayPorts": _one("yes", "no", "clientspecified"),
    "IgnoreRhosts": _one("yes", "no", "shosts-only"),
    "MaxAuthTries": _number(1, 9),
    "MaxSessions": _number(0, 99),
    "PermitListen": _some(3, "80", "*:81", "localhost:*", "[::1]:82"),
    "PermitOpen": _some(3, "a:1", "*:443", "b.test:*", "[::1]:22"),
    "PermitRootLogin": _one(
        "yes", "no", "prohibit-password", "without-password", "forced-commands-only"
    ),
    "PermitTunnel": _one("yes", "no", "point-to-point", "ethernet"),
    "PubkeyAuthOptions": _one("none", "touch-required", "verify-required"),
    "RevokedKeys": _server_path,
    "TrustedUserCAKeys": _server_path,
    "X11DisplayOffset": _number(0, 50),
}

_SERVER: Values = {
    **_SERVER_IN_MATCH,
    **_COMMON,
    **dict.fromkeys(
        [
            *("GSSAPICleanupCredentials", "GSSAPIStrictAcceptorCheck", "IgnoreUserKnownHosts"),
            *("KerberosOrLocalPasswd", "KerberosTicketCleanup", "PrintLastLog", "PrintMotd"),
            *("StrictModes", "UseDNS", "UsePAM"),
        ],
        _switch,
    ),
    "Compression": _one("yes", "no", "delayed"),
    "HostKeyAgent": _one("none"),
    "ListenAddress": _one("127.0.0.1", "127.0.0.1:2222", "[::1]:2223", "0.0.0.0"),
    "LoginGraceTime": _time,
    "LogVerbose": _one("a:b:*", "x y", "kex.c:*:1"),
    "MaxStartups": _one("10", "10:30:100", "5:50:6"),
    "ModuliFile": _server_path,
    "PermitUserEnvironment": _one("yes", "no", "LANG,LC_*"),
    "PerSourceNetBlockSize": _one("24", "24:64", "32:128"),
    "PidFile": _server_path,
    "Port": _number(1, 65535),
    "VersionAddendum": _one("none", "Debian  x # y"),
    "XAuthLocation": _server_path,
}


def _server_criteria(draw: Draw) -> str:
    criteria = [
        f"user {draw.choice(['alice', 'b*', '!bob,*', 'alice,bob'])}",
        f"host {draw.choice(['*.example.org', 'h', '!h,*'])}",
        f"address {draw.choice(['10.0.0.0/8', '192.0.2.?', '!10.1.1.1,10.*', '2001:db8::/32'])}",
        f"localaddress {draw.choice(['127.0.0.1', '10.0.0.0/8'])}",
        f"localport {draw.choice(['22', '2222'])}",
        f"group {draw.choice(['none-such', '!none-such'])}",
    ]
    if draw.random() < 0.1:
        return "all"
    return " ".join(draw.sample(criteria, draw.randint(1, 3)))


def server_case(draw: Draw) -> ConfigCase:
    """Return a file for ``sshd``, with up to one included one, and a connection to read it for."""
    files: dict[str, str] = {}
    made = _settings(draw, _SERVER, SERVER_VALUES, 12)
    if draw.random() < 0.3:
        files["part"] = _settings(draw, _SERVER, SERVER_VALUES, 5)
        made += "Include {dir}/part {dir}/none*\n"
    for _ in range(draw.randint(0, 4)):
        made += f"{_spelled(draw, 'Match')} {_server_criteria(draw)}\n"
        made += _settings(draw, _SERVER_IN_MATCH, SERVER_VALUES, 6)
    user = draw.choice(["alice", "bob", "carol"])
    host = draw.choice(["h", "w.example.org"])
    address = draw.choice(["10.1.1.1", "192.0.2.7", "2001:db8::5"])
    connection = f"user={user},host={host},addr={address},laddr=127.0.0.1,lport=22"
    words = () if draw.random() < 0.2 else ("-C", connection)
    return ConfigCase("generated", made, words, files)
