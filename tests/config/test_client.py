import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.config.client import KEYWORDS, ClientConfig, described, parse
from nacre.config.values import LogLevel, RekeyLimit
from nacre.errors import ConfigurationError


def test_nothing_said_is_the_default():
    assert parse([]) == ClientConfig()
    assert parse([]).strict_host_key_checking == "ask"


def test_the_first_value_wins_whatever_the_case():
    config = parse(["port=2222", "Port 22", "USER=a", "User=b"])
    assert (config.port, config.user) == (2222, "a")


def test_what_gathers():
    config = parse(
        [
            "IdentityFile=~/a",
            'IdentityFile "/b c"',
            "SendEnv LANG LC_*",
            "SendEnv=-LC_X",
            "SetEnv A=1",
            'SetEnv B="x y"',
        ]
    )
    assert config.identity_files == ("~/a", "/b c")
    assert config.send_env == ("LANG", "LC_*", "-LC_X")
    assert config.set_env == (("A", "1"), ("B", "x y"))


def test_identity_file_none():
    config = parse(["IdentityFile=none"])
    assert config.identity_files == ()
    assert config.no_identity_files
    assert not parse(["IdentityFile=none", "IdentityFile=/k"]).no_identity_files
    assert not parse([]).no_identity_files


@pytest.mark.parametrize(
    ("option", "field", "expected"),
    [
        ("Protocol=1", "protocol", (1,)),
        ("Protocol 2,1", "protocol", (2, 1)),
        ("Protocol=1,2", "protocol", (2, 1)),
        ("Cipher=blowfish", "cipher", ("blowfish",)),
        ("StrictHostKeyChecking=off", "strict_host_key_checking", "no"),
        ("StrictHostKeyChecking accept-new", "strict_host_key_checking", "accept-new"),
        ("LogLevel=DEBUG", "log_level", LogLevel.DEBUG1),
        ("LogLevel=quiet", "log_level", LogLevel.QUIET),
        ("RequestTTY=force", "request_tty", "force"),
        ("RekeyLimit=1M 1h", "rekey_limit", RekeyLimit(1 << 20, 3600)),
        ("RekeyLimit 512K", "rekey_limit", RekeyLimit(512 << 10)),
        ("ConnectTimeout=none", "connect_timeout", None),
        ("ConnectTimeout=0", "connect_timeout", None),
        ("ConnectTimeout=1m", "connect_timeout", 60),
        ("EscapeChar=none", "escape_char", None),
        ("EscapeChar=^X", "escape_char", b"\x18"),
        ("EscapeChar=%", "escape_char", b"%"),
        ("UserKnownHostsFile=/a /b", "user_known_hosts_files", ("/a", "/b")),
        ("UserKnownHostsFile=none", "user_known_hosts_files", ()),
        ("KbdInteractiveAuthentication=no", "kbd_interactive", False),
        ("ChallengeResponseAuthentication=no", "kbd_interactive", False),
        ("PreferredAuthentications=password,none", "preferred_authentications",
         ("password", "none")),
        ("RemoteCommand=echo  a b", "remote_command", "echo  a b"),
        ("HostName=example.org", "host_name", "example.org"),
        ("AddressFamily=inet6", "address_family", "inet6"),
        ("NumberOfPasswordPrompts=1", "password_prompts", 1),
    ],
)  # fmt: skip
def test_words(option, field, expected):
    assert getattr(parse([option]), field) == expected


@pytest.mark.parametrize(
    "option",
    [
        "ControlMaster=no",
        "ControlMaster=auto",
        "ControlMaster=ask",
        "ControlMaster=autoask",
        "ControlMaster=yes",
        "ControlPath=none",
        'ControlPath="/tmp/a b"',
        "ControlPersist=60s",
        "ControlPersist=yes",
        "ControlPersist=no",
        "ForwardAgent=no",
        "ForwardX11=no",
        "GSSAPIAuthentication=no",
        "ClearAllForwardings=no",
        "CheckHostIP=no",
        "ProxyCommand=none",
        "UpdateHostKeys=no",
    ],
)
def test_what_is_off_may_be_said_to_be_off(option):
    assert parse([option]) == ClientConfig()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("Prot=22", "Bad configuration option: Prot; did you mean Port\\?"),
        ("frobnicate=yes", "Bad configuration option: frobnicate$"),
        ("Port", "Port: the value is missing: give Port=VALUE"),
        ("", "Bad configuration option"),
        ("ControlMaster=perhaps", "ControlMaster: bad value 'perhaps'; allowed: yes, no"),
        ("ControlPersist=long", "ControlPersist: bad value 'long'; allowed: a time"),
        ("ControlPath=a b", "ControlPath: bad value 'a b'; allowed: one word"),
        ("ProxyJump=a@", "ProxyJump: bad value 'a@'; allowed: .user@.host"),
        ("ProxyJump=-v", "ProxyJump: '-v' can't be the name of a host"),
        ("LocalForward=1:h", "LocalForward: bad value '1:h'; allowed: .bind_address:.port:host"),
        ("EscapeChar=ab", "EscapeChar: bad value"),
        ("Ciphers=rot13", "Ciphers: 'rot13'"),
        ("LogLevel=loud", "LogLevel: bad value 'loud'; allowed: quiet"),
        ("IdentityFile=a b", "IdentityFile: bad value"),
    ],
)
def test_what_is_refused(option, message):
    with pytest.raises(ConfigurationError, match=message):
        parse([option])


def test_algorithms_follow_the_words():
    chosen = parse(
        [
            "Ciphers=^aes256-ctr",
            "MACs=hmac-sha2-512",
            "HostKeyAlgorithms=+ssh-rsa",
            "Compression=yes",
        ]
    ).algorithms()
    assert chosen.ciphers[0] == "aes256-ctr"
    assert chosen.macs == ("hmac-sha2-512",)
    assert "ssh-rsa" in chosen.host_key
    assert "ssh-rsa" not in chosen.signatures
    assert chosen.compression[0] == "zlib@openssh.com"
    assert parse([]).algorithms().compression[0] == "none"


def complaint(option):
    try:
        parse([option])
    except ConfigurationError as error:
        return str(error)
    return None


@given(st.sampled_from(KEYWORDS), st.text(max_size=20))
def test_any_value_is_taken_or_refused_by_name(keyword, value):
    said = complaint(f"{keyword}={value}")
    assert said is None or keyword in said


def test_options_are_described_without_secrets():
    options = ["port=22", "Port=23", "SetEnv=TOKEN=secret", "ControlMaster=auto", "SendEnv=A B"]
    parse(options)
    assert list(described(options)) == [
        (LogLevel.DEBUG2, "command line: Port=22"),
        (LogLevel.DEBUG2, "command line: Port=23 (not used: the first one counts)"),
        (LogLevel.DEBUG2, "command line: SetEnv=TOKEN=..."),
        (LogLevel.DEBUG1, "ControlMaster=auto: nacre does not share connections yet; taken as off"),
        (LogLevel.DEBUG2, "command line: SendEnv=A B"),
    ]


@pytest.mark.parametrize(
    ("options", "jump", "command"),
    [
        (["ProxyJump=a,b"], "a,b", None),
        (["ProxyJump=%r@%h.gate"], "%r@%h.gate", None),
        (["ProxyCommand=nc -x 'a b' %h %p"], None, "nc -x 'a b' %h %p"),
        (["ProxyJump=a", "ProxyCommand=b"], "a", None),
        (["ProxyCommand=b", "ProxyJump=a"], None, "b"),
        (["ProxyJump=none", "ProxyCommand=b"], None, "b"),
        (["ProxyCommand=none", "ProxyJump=a"], None, None),
        (["ProxyJump=NONE", "ProxyJump=a"], None, None),
    ],
)
def test_of_both_proxies_the_first_counts(options, jump, command):
    config = parse(options)
    assert (config.proxy_jump, config.proxy_command) == (jump, command)
    assert not config.proxy_use_fdpass
    assert parse(["ProxyUseFdpass=yes"]).proxy_use_fdpass
