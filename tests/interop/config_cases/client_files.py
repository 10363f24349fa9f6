"""Files for clients such as people write them, each read for several destinations."""

from __future__ import annotations

from interop.config_cases.case import ConfigCase

_OFFICE = """\
# Personal hosts first: the first value counts.
Host gateway gw.example.org
    HostName gw.example.org
    User admin
    Port 2222
    IdentityFile ~/.ssh/id_gateway
    IdentitiesOnly yes

Host web-? web-??
    HostName %h.internal.example.org
    ProxyJump gateway
    User deploy

Host *.example.org !gw.example.org
    User guest
    ForwardAgent no
    ServerAliveInterval 30

Match host *.internal.example.org user deploy
    IdentityFile "~/.ssh/deploy key"
    SendEnv DEPLOY_*
    SetEnv ROLE=deploy TERM="xterm 256"

Host *
    ServerAliveInterval 60
    ServerAliveCountMax 5
    Compression yes
    ControlMaster auto
    ControlPath ~/.ssh/control-%r@%h:%p
    ControlPersist 10m
    HashKnownHosts yes
    SendEnv LANG LC_*
"""

_LEGACY = """\
Host old-switch
    KexAlgorithms +diffie-hellman-group1-sha1
    HostKeyAlgorithms +ssh-rsa
    PubkeyAcceptedAlgorithms +ssh-rsa
    Ciphers ^aes128-cbc,3des-cbc
    MACs +hmac-md5,hmac-sha1-96
    User manager
    StrictHostKeyChecking accept-new
    UserKnownHostsFile /dev/null
    LogLevel ERROR
Host strict
    KexAlgorithms curve25519-sha256,ecdh-sha2-nistp256
    Ciphers -*cbc,arcfour*
    HostKeyAlgorithms ssh-ed25519,rsa-sha2-512
    CASignatureAlgorithms -ssh-rsa
    RequiredRSASize 3072
    VerifyHostKeyDNS yes
    VisualHostKey yes
Host *
    GSSAPIAuthentication no
    ConnectTimeout 10
    ConnectionAttempts 3
"""

_TUNNELS = """\
Host db
    HostName 192.0.2.7
    LocalForward 5432 localhost:5432
    LocalForward 127.0.0.1:6379 cache.example.org:6379
    LocalForward [::1]:8080 [2001:db8::1]:80
    RemoteForward 9000 localhost:9000
    RemoteForward 0 localhost:22
    DynamicForward 1080
    ExitOnForwardFailure yes
    GatewayPorts yes
    SessionType none
    RequestTTY no
    StdinNull yes
Host proxy
    DynamicForward *:1080
    RemoteForward 1081
    PermitRemoteOpen example.org:80 *:443
Host quiet
    ClearAllForwardings yes
    LocalForward 1 a:1
    Tunnel point-to-point
    TunnelDevice 0:any
"""

_EQUALS = """\
Host=alpha beta
\tHostName=alpha.example.org
\tPort = 2200
\tUser="a b"
\tIdentityFile="~/.ssh/id alpha"
\tUserKnownHostsFile="/a b" /c
\tProxyCommand=nc -x "proxy host:1080" %h %p
\tRekeyLimit=1G 1h
\tIPQoS=af21 cs1
\tEscapeChar=^B
Host = gamma
\tAddKeysToAgent = confirm 1h
\tStrictHostKeyChecking = no
\tPreferredAuthentications=publickey,keyboard-interactive
"""

_MATCHES = """\
Match originalhost build* exec "test %p = 22"
    User builder
    HostName %h.ci.test
Match user builder !host *.other.test
    Port 2022
    BatchMode yes
Match exec "test %r = builder && exit 1"
    IdentityAgent none
Match host *.ci.test final
    RemoteCommand uname -a; echo "%h" # both
    RequestTTY force
Match !originalhost build*
    Compression yes
Match all
    CheckHostIP yes
    NumberOfPasswordPrompts 1
"""

_INCLUDING = """\
Include {dir}/*.conf
Host late
    User late
Include {dir}/more
Host *
    User everybody
    Port 2
"""

_PARTS = {
    "10-first.conf": "Host early\n  User early\n  Port 10\nHost *\n  IdentityFile first\n",
    "20-second.conf": "IdentityFile second\nMatch host early\n  Compression yes\n"
    "Host never\n  Port 20\n",
    "more": "User more\nPort 3\n",
}

_OLD_WORDS = """\
# Words of long ago, and one of another system.
IgnoreUnknown UseKeychain,GSSAPITrustDns2
Host *
    UseKeychain yes
    Protocol 2
    RSAAuthentication yes
    RhostsRSAAuthentication no
    ChallengeResponseAuthentication no
    PubkeyAcceptedKeyTypes +ssh-rsa
    UsePrivilegedPort no
    CompressionLevel 6
    Cipher 3des
"""

_AGENT = """\
Host a
    IdentityAgent ~/agent.sock
    ForwardAgent yes
    AddKeysToAgent ask
Host b
    IdentityAgent $MY_AGENT
    IdentityFile none
    CertificateFile ~/.ssh/id-cert.pub
    CertificateFile /etc/ssh/%u-cert.pub
Host c
    IdentityAgent none
    PKCS11Provider /usr/lib/pkcs11.so
    IdentityFile /keys/%r@%h
    IdentityFile /keys/%L-%p
    IdentityFile /keys/%r@%h
Host *
    IdentityFile ~/.ssh/id_common
"""

_FORKS = """\
Match host h
    ForkAfterAuthentication yes
    RemoteCommand sleep 1
    PermitLocalCommand yes
    LocalCommand notify "%n is %h" # raw
    KnownHostsCommand /usr/bin/keys %H %t
Host h
    XAuthLocation /opt/xauth
    ForwardX11 yes
    ForwardX11Timeout 1h
    ForwardX11Trusted no
    StreamLocalBindMask 0111
    StreamLocalBindUnlink yes
    RevokedHostKeys /etc/ssh/revoked
    SyslogFacility LOCAL5
    LogVerbose kex.c:*:1000,*:kex_send_kexinit():*
    FingerprintHash md5
    NoHostAuthenticationForLocalhost yes
    HostKeyAlias ALIAS.Example
    AddressFamily inet6
    BindAddress ::1
"""

_MANY = "".join(
    f"Host host{number} *.zone{number}.test\n  User u{number}\n  Port {1000 + number}\n"
    f"  IdentityFile ~/.ssh/id_{number}\n"
    for number in range(300)
)

_READ_FOR: list[tuple[str, str, tuple[str, ...]]] = [
    (
        "office",
        _OFFICE,
        ("gateway", "gw.example.org", "web-1", "web-12", "web-123", "x.example.org"),
    ),
    ("legacy", _LEGACY, ("old-switch", "strict", "other")),
    ("tunnels", _TUNNELS, ("db", "proxy", "quiet")),
    ("equals", _EQUALS, ("alpha", "beta", "gamma")),
    ("matches", _MATCHES, ("build1", "builder@build1", "other", "builder@x.other.test")),
    ("including", _INCLUDING, ("early", "late", "never", "more")),
    ("old-words", _OLD_WORDS, ("h",)),
    ("agent", _AGENT, ("a", "b", "c")),
    ("forks", _FORKS, ("h", "i")),
    ("many", _MANY, ("host0", "host299", "x.zone150.test", "nobody")),
]

FILES = [
    ConfigCase(f"file-{name}-{host}", text, (host,), _PARTS if "{dir}" in text else {})
    for name, text, hosts in _READ_FOR
    for host in hosts
]

HOSTS = """\
127.0.0.1 localhost
127.0.0.9 www.example.test www.example.test.
127.0.0.8 real.other.test alias.example.test alias.example.test.
127.0.0.7 a.b.example.test a.b.example.test.
"""
"""The names that are known where the files of ``CANONICAL`` are read."""

_DOMAIN = "CanonicalizeHostname yes\nCanonicalDomains example.test\n"

CANONICAL = [
    ConfigCase(f"canonical-{name}", text, (host,))
    for name, text, host in [
        ("plain", _DOMAIN, "www"),
        ("upper-case", _DOMAIN, "WWW"),
        ("second-domain", _DOMAIN.replace("example", "none.test example"), "www"),
        ("not-found", _DOMAIN, "none-such"),
        ("not-found-is-fatal", _DOMAIN + "CanonicalizeFallbackLocal no\n", "none-such"),
        ("dots", _DOMAIN, "a.b"),
        ("too-many-dots", _DOMAIN + "CanonicalizeMaxDots 0\n", "a.b"),
        ("full-name", _DOMAIN + "Match canonical\nUser u\n", "www.example.test"),
        ("address", _DOMAIN + "Match canonical\nUser u\n", "127.1"),
        ("host-block", _DOMAIN + "Host *.example.test\nUser u\n", "www"),
        ("match-host", _DOMAIN + "Match host www.example.test\nUser u\n", "www"),
        ("match-originalhost", _DOMAIN + "Match originalhost www\nUser u\n", "www"),
        (
            "match-canonical",
            _DOMAIN + "Match canonical all\nUser u\nMatch final all\nPort 9\n",
            "www",
        ),
        ("match-not-canonical", _DOMAIN + "Match !canonical\nUser u\n", "www"),
        ("cname", _DOMAIN + "CanonicalizePermittedCNAMEs *.example.test:*.other.test\n", "alias"),
        ("cname-refused", _DOMAIN + "CanonicalizePermittedCNAMEs *.test:*.third.test\n", "alias"),
        (
            "cname-block",
            _DOMAIN + "CanonicalizePermittedCNAMEs *:*\nHost real.*\nUser r\n",
            "alias",
        ),
        ("cname-without", "CanonicalizePermittedCNAMEs *.test:*\n", "alias.example.test"),
        ("hostname", "Hostname alias\n" + _DOMAIN, "x"),
        ("hostname-later", _DOMAIN + "Host *.example.test\nHostname other\n", "www"),
        ("proxy-command", _DOMAIN + "ProxyCommand x\n", "www"),
        ("proxy-jump", _DOMAIN + "ProxyJump x\n", "www"),
        ("always", _DOMAIN.replace("yes", "always") + "ProxyCommand x\n", "www"),
        ("always-proxy-jump", _DOMAIN.replace("yes", "always") + "ProxyJump x\n", "www"),
        ("no-domains", "CanonicalizeHostname yes\nMatch canonical all\nUser u\n", "www"),
        ("domains-none", "CanonicalizeHostname yes\nCanonicalDomains none\n", "www"),
        (
            "second-pass-is-checked",
            _DOMAIN + "Match canonical\nUser u\nMatch host none\nPort 1\n",
            "www",
        ),
    ]
]
"""Files with canonical names; both programs see ``HOSTS``."""
