"""Files for servers: how a line is read, which Match block counts, and files of people."""

from __future__ import annotations

from interop.config_cases.case import ConfigCase

_BOB = ("-C", "user=bob,host=h.example,addr=10.1.2.3,laddr=127.0.0.1,lport=22")

_LEXER = {
    "empty": "",
    "equals": "Banner=/a\n",
    "equals-between-blanks": "Banner = /a\n",
    "two-equals": "Banner== /a\n",
    "equals-and-nothing": "Banner=\n",
    "equals-alone": "=\nPort 23\n",
    "double-quotes": 'Banner "/a b"\n',
    "single-quotes": "Banner '/a b'\n",
    "quotes-inside-a-word": 'Banner /"a b"c\n',
    "quotes-not-closed": 'Banner "/a\n',
    "empty-quotes": 'Banner ""\n',
    "escaped-blank": "Banner /a\\ b\n",
    "escaped-quote": 'Banner /\\"a\n',
    "backslash-before-a-letter": "Banner /a\\b\n",
    "comment-behind": "Banner /a # b\n",
    "hash-inside-a-word": "Banner /a#b\n",
    "hash-in-quotes": 'Banner "/#b"\n',
    "comment-instead-of-a-value": "Banner #b\n",
    "comment-lines": "# Port 1\n  # Port 2\n#\nPort 23\n",
    "tabs-and-blanks": " \tPort\t23\t \n",
    "no-newline-at-the-end": "Port 23",
    "carriage-returns": "Port 23\r\nBanner /a\r\n",
    "form-feed-behind": "Banner /a\f\n",
    "form-feed-in-front": "\fPort 23\n",
    "upper-case-keyword": "PORT 23\n",
    "quoted-keyword": '"Port" 23\n',
    "colon-behind-the-keyword": "Port: 23\n",
    "beyond-ascii": "Banner /h\u00e9\n",
    "extra-word": "Banner /a /b\n",
    "extra-word-behind-a-switch": "UseDNS yes no\n",
    "nothing-behind-the-keyword": "UseDNS\n",
    "unknown-keyword": "Prort 23\n",
    "unknown-keyword-alone": "Prort\n",
    "two-errors": "Prort 23\nUseDNS x\n",
    "first-value-counts": "Banner /a\nBanner /b\nUseDNS yes\nUseDNS no\n",
    "raw-force-command": "ForceCommand  =  a  'b' # c\n",
    "raw-with-an-open-quote": "ForceCommand it's\n",
    "raw-version": "VersionAddendum  x  y # z\n",
    "long-value": f"AcceptEnv {' '.join(f'V{number}' for number in range(300))}\n",
    "long-comment": f"# {'x' * 100_000}\nPort 23\n",
    "host-is-not-a-keyword": "Host h\n",
}

_BLOCKS = {
    "user": "Match user bob\nBanner /x\n",
    "user-upper-case-word": "Match USER bob\nBanner /x\n",
    "user-upper-case": "Match user BOB\nBanner /x\n",
    "user-pattern": "Match user b*\nBanner /x\n",
    "user-not": "Match user !bob,*\nBanner /x\n",
    "user-several": "Match user alice,bob\nBanner /x\n",
    "not-user": "Match !user bob\nBanner /x\n",
    "user-equals": "Match user=bob\nBanner /x\n",
    "user-in-quotes": 'Match user "bob"\nBanner /x\n',
    "user-comment": "Match user bob # alice\nBanner /x\n",
    "user-empty": 'Match user ""\nBanner /x\n',
    "user-without-list": "Match user\nBanner /x\n",
    "nothing": "Match\nBanner /x\n",
    "unknown": "Match nothing x\nBanner /x\n",
    "unknown-behind-a-false-one": "Match user alice nothing x\nBanner /x\n",
    "all": "Match all\nBanner /x\n",
    "all-upper-case": "Match ALL\nBanner /x\n",
    "all-and-user": "Match all user bob\nBanner /x\n",
    "user-and-all": "Match user bob all\nBanner /x\n",
    "all-takes-what-is-global": "Match all\nPort 33\n",
    "host": "Match host *.example\nBanner /x\n",
    "host-upper-case": "Match host H.EXAMPLE\nBanner /x\n",
    "host-not": "Match host !h.example,*\nBanner /x\n",
    "address": "Match address 10.1.2.3\nBanner /x\n",
    "address-network": "Match address 10.0.0.0/8\nBanner /x\n",
    "address-other-network": "Match address 192.0.2.0/24\nBanner /x\n",
    "address-pattern": "Match address 10.1.*\nBanner /x\n",
    "address-not": "Match address !10.1.2.3,10.0.0.0/8\nBanner /x\n",
    "address-bits-behind-the-mask": "Match address 10.1.2.3/8\nBanner /x\n",
    "address-mask-too-long": "Match address 10.0.0.0/33\nBanner /x\n",
    "address-of-the-other-family": "Match address ::1,2001:db8::/32\nBanner /x\n",
    "localaddress": "Match localaddress 127.0.0.1\nBanner /x\n",
    "localaddress-network": "Match localaddress 127.0.0.0/8\nBanner /x\n",
    "localport": "Match localport 22\nBanner /x\n",
    "localport-other": "Match localport 23\nBanner /x\n",
    "localport-letters": "Match localport x\nBanner /x\n",
    "group": "Match group none-such-group\nBanner /x\n",
    "rdomain": "Match rdomain x\nBanner /x\n",
    "several": "Match user bob host *.example address 10.*\nBanner /x\n",
    "several-one-false": "Match user bob host q\nBanner /x\n",
    "block-wins-over-global": "Banner /a\nMatch user bob\nBanner /x\n",
    "first-block-wins": "Match user bob\nBanner /x\nMatch all\nBanner /y\n",
    "first-line-wins": "Match user bob\nBanner /x\nBanner /y\n",
    "switches": "X11Forwarding no\nMatch user bob\nX11Forwarding yes\nPermitTTY no\n",
    "numbers": "MaxSessions 3\nMatch user bob\nMaxSessions 4\nMaxAuthTries 2\n",
    "lists-replaced": "AcceptEnv A\nAllowUsers a\nMatch user bob\nAcceptEnv B\nAllowUsers b\n",
    "environment-is-replaced": "SetEnv A=1\nMatch user bob\nSetEnv B=2\n",
    "permissions-replaced": "PermitOpen a:1\nMatch user bob\nPermitOpen none\nPermitListen 80\n",
    "files-are-replaced": "AuthorizedKeysFile a\nMatch user bob\nAuthorizedKeysFile b c\n",
    "methods": "Match user bob\nAuthenticationMethods publickey,password password\n",
    "log-level": "LogLevel ERROR\nMatch user bob\nLogLevel DEBUG\n",
    "ipqos": "IPQoS af11\nMatch user bob\nIPQoS cs1 ef\n",
    "rekey": "Match user bob\nRekeyLimit 1G 1h\n",
    "lists-of-algorithms": "Match user bob\nPubkeyAcceptedAlgorithms ssh-ed25519\n",
    "force-command": "Match user bob\nForceCommand internal-sftp -R # c\nChrootDirectory /c/%u\n",
    "none": "Banner /a\nForceCommand x\nMatch user bob\nBanner none\nForceCommand none\n",
    "bad-value-in-a-block": "Match user bob\nX11Forwarding maybe\n",
    "bad-value-in-another-block": "Match user alice\nX11Forwarding maybe\n",
    "unknown-keyword-in-another-block": "Match user alice\nPrort 1\n",
    "extra-word-in-another-block": "Match user alice\nBanner /a /b\n",
    "global-keyword-in-a-block": "Match user bob\nPort 33\n",
    "global-keyword-in-another-block": "Match user alice\nPort 33\n",
    "host-key-in-a-block": "Match user alice\nHostKey /a\n",
    "include-in-a-block": "Match user bob\nInclude {dir}/part\n",
    "include-in-other": "Match user alice\nInclude {dir}/part\nMatch user bob\nMaxSessions 2\n",
    "include-with-a-block": "Include {dir}/block\nMaxSessions 5\n",
    "include-with-a-block-in-a-block": "Match user bob\nInclude {dir}/block\nMaxSessions 5\n",
    "include-with-bob-in-another-block": "Match user alice\nInclude {dir}/block\n",
    "include-global-keyword-in-a-block": "Match user bob\nInclude {dir}/global\n",
    "include": "Include {dir}/part\nBanner /y\n",
    "include-pattern": "Include {dir}/p*\n",
    "include-missing": "Include {dir}/none-such\nPort 23\n",
    "include-no-match": "Include {dir}/none*\nPort 23\n",
    "include-several": "Include {dir}/global {dir}/part\n",
    "include-nothing": "Include\n",
    "include-empty": 'Include ""\n',
    "include-loop": "Include {dir}/again\n",
    "include-bad": "Include {dir}/bad\n",
    "include-bad-in-another-block": "Match user alice\nInclude {dir}/bad\n",
}

_PARTS = {
    "part": "Banner /x\nMaxSessions 4\n",
    "block": "Match user bob\nBanner /b\nMatch user alice\nBanner /a\n",
    "global": "Port 33\n",
    "again": "Include {dir}/again\n",
    "bad": "Prort 1\n",
}

_FOR_CONNECTIONS = """\
Banner /global
Match user b*
    Banner /b
Match address 10.0.0.0/8
    MaxSessions 3
Match host h
    MaxAuthTries 2
"""

_CONNECTIONS: dict[str, tuple[str, ...]] = {
    "none": (),
    "full": ("-C", "user=bob,host=h,addr=10.1.1.1"),
    "other-user": ("-C", "user=alice,host=h,addr=10.1.1.1"),
    "several-options": ("-C", "user=bob", "-C", "host=h", "-C", "addr=10.1.1.1"),
    "user-alone": ("-C", "user=bob"),
    "address-alone": ("-C", "addr=10.1.1.1"),
    "ipv6": ("-C", "user=bob,host=h,addr=2001:db8::1"),
    "empty-part": ("-C", "user=bob,,host=h,addr=10.1.1.1"),
    "empty-user": ("-C", "user=,host=h,addr=10.1.1.1"),
    "unknown": ("-C", "nonsense=1"),
    "without-equals": ("-C", "user"),
    "upper-case": ("-C", "User=bob"),
    "bad-port": ("-C", "lport=x,user=bob,host=h,addr=1.1.1.1"),
    "o": ("-o", "MaxSessions=7", "-C", "user=bob,host=h,addr=10.1.1.1"),
    "o-unknown": ("-o", "Nonsense=1"),
    "o-bad": ("-o", "UseDNS=maybe"),
    "o-match": ("-o", "Match all"),
    "o-include": ("-o", "Include /x"),
    "o-banner": ("-o", "Banner /o # c"),
    "p": ("-p", "2222"),
    "p-twice": ("-p", "2222", "-p", "2223"),
    "p-and-o": ("-p", "2222", "-o", "Port=2223"),
    "p-bad": ("-p", "x"),
    "4": ("-4",),
    "6": ("-6",),
    "q": ("-q",),
    "g": ("-g", "30"),
    "extra-word": ("extra",),
    "unknown-option": ("-z",),
}

_BASTION = """\
# A host that others jump through.
Port 2222
ListenAddress 127.0.0.1
ListenAddress [::1]:2200
Protocol 2
PermitRootLogin no
PasswordAuthentication no
KbdInteractiveAuthentication no
PubkeyAuthentication yes
AuthenticationMethods publickey
AllowUsers jump admin@10.0.0.0/8
DenyGroups banned
LoginGraceTime 30s
MaxAuthTries 3
MaxSessions 20
MaxStartups 20:50:200
ClientAliveInterval 1m
ClientAliveCountMax 2
UseDNS no
PermitTTY no
X11Forwarding no
AllowAgentForwarding no
AllowTcpForwarding local
PermitOpen 10.0.0.5:22 10.0.0.6:22
GatewayPorts no
LogLevel VERBOSE
SyslogFacility AUTHPRIV
Ciphers chacha20-poly1305@openssh.com,aes256-ctr
KexAlgorithms -diffie-hellman*
MACs hmac-sha2-512-etm@openssh.com,hmac-sha2-256-etm@openssh.com
HostKeyAlgorithms ssh-ed25519,rsa-sha2-512
RekeyLimit 1G 1h
VersionAddendum none
Match User admin Address 10.0.0.0/8
    PermitTTY yes
    AllowTcpForwarding yes
    PermitOpen any
    MaxSessions 5
Match User bob
    ForceCommand /bin/echo "no, bob" # said
    Banner /etc/banner.bob
"""

_SFTP = """\
Subsystem sftp internal-sftp -f AUTH -l INFO
AcceptEnv LANG LC_*
AcceptEnv COLORTERM
AuthorizedKeysFile .ssh/authorized_keys /etc/ssh/keys/%u
AuthorizedKeysCommand /usr/local/bin/keys %u %k
AuthorizedKeysCommandUser nobody
Match Group sftponly
    ChrootDirectory /srv/%u
    ForceCommand internal-sftp
Match User bob,alice Host *.example,!bad.example
    ChrootDirectory "/srv/two words/%u"
    ForceCommand internal-sftp -R -u 022
    DisableForwarding yes
    PermitTunnel no
Match LocalPort 22 LocalAddress 127.0.0.0/8
    PasswordAuthentication yes
    PermitEmptyPasswords no
    SetEnv ROLE=local "GREETING=good day"
Match All
    Banner none
    StreamLocalBindMask 0111
"""

_HARD = """\
Include {dir}/*.conf
StrictModes yes
IgnoreRhosts shosts-only
HostbasedAuthentication no
TrustedUserCAKeys /etc/ssh/ca.pub
RevokedKeys /etc/ssh/revoked
AuthorizedPrincipalsFile /etc/ssh/principals/%u
CASignatureAlgorithms ^ssh-ed25519
PubkeyAuthOptions verify-required,touch-required
RequiredRSASize 3072
ExposeAuthInfo yes
PermitUserEnvironment LANG,LC_*
PerSourceMaxStartups 5
PerSourceNetBlockSize 24:64
UnusedConnectionTimeout 5m
IPQoS af21 cs1
Compression delayed
TCPKeepAlive no
"""

_HARD_PARTS = {
    "10-a.conf": "Port 2022\nPermitRootLogin prohibit-password\n",
    "20-b.conf": "PermitRootLogin yes\nMatch user bob\n  PermitTTY no\n",
}

LINES = [
    *(ConfigCase(f"line-{name}", text, ()) for name, text in _LEXER.items()),
    ConfigCase("line-latin-1", b"Banner /h\xe9\n", ()),
    *(ConfigCase(f"block-{name}", text, _BOB, _PARTS) for name, text in _BLOCKS.items()),
    *(
        ConfigCase(f"connection-{name}", _FOR_CONNECTIONS, words)
        for name, words in _CONNECTIONS.items()
    ),
    ConfigCase("localport-not-given", "Match localport 22\nBanner /x\n", ("-C", "user=b")),
    # What OpenSSH changed: nacre does as the newer one.
    ConfigCase(
        "methods-any-in-a-block",
        "AuthenticationMethods publickey\nMatch user bob\nAuthenticationMethods any\n",
        _BOB,
        since=(9, 9),
    ),
    ConfigCase("subsystem-twice", "Subsystem a /a\nSubsystem a /b\n", (), since=(9, 5)),
    ConfigCase("subsystem-quotes", 'Subsystem a "b c" d\n', (), since=(9, 5)),
    ConfigCase("match-version", "Match version SSH-2.0-x*\nBanner /x\n", _BOB, since=(10, 0)),
    ConfigCase("match-invalid-user", "Match invalid-user\nBanner /x\n", _BOB, since=(9, 9)),
    ConfigCase(
        "match-invalid-user-given",
        "Match invalid-user\nBanner /x\n",
        ("-C", "user=b,host=h,addr=1.1.1.1,invalid-user"),
        since=(9, 9),
    ),
    ConfigCase("match-user-equals-blanks", "Match user = bob\nBanner /x\n", _BOB, since=(9, 9)),
]

FILES = [
    ConfigCase(f"file-{name}-{number}", text, words, parts)
    for name, text, parts in (
        ("bastion", _BASTION, {}),
        ("sftp", _SFTP, {}),
        ("hard", _HARD, _HARD_PARTS),
    )
    for number, words in enumerate(
        [
            (),
            _BOB,
            ("-C", "user=admin,host=x.test,addr=10.0.0.9,laddr=10.0.0.1,lport=2222"),
            ("-C", "user=alice,host=bad.example,addr=192.0.2.1,laddr=127.0.0.1,lport=22"),
        ]
    )
]
