import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.config.client.config import ClientConfig
from nacre.config.client.files import Config, parse
from nacre.config.client.words import SCHEMA
from nacre.config.values import LogLevel, RekeyLimit
from nacre.errors import ConfigurationError
from nacre.value import replace


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
            "SendEnv=-X*",
            'SetEnv A=1 "B=x y"',
        ]
    )
    assert config.identity_files == ("~/a", "/b c")
    assert config.send_env == ("LANG", "LC_*")
    assert config.set_env == (("A", "1"), ("B", "x y"))
    assert parse(["SendEnv=A B", "SendEnv=-A C"]).send_env == ("B", "C")


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
        ("ConnectTimeout=0", "connect_timeout", 0),
        ("ConnectTimeout=1m", "connect_timeout", 60),
        ("ControlMaster=autoask", "control_master", "autoask"),
        ("ControlMaster=yes", "control_master", "true"),
        ('ControlPath="/tmp/a b"', "control_path", "/tmp/a b"),
        ("ControlPath=none", "control_path", None),
        ("ControlPersist=60s", "control_persist", 60),
        ("ControlPersist=0", "control_persist", True),
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
        "ControlPath=none",
        "ControlPersist=no",
        "ForwardAgent=no",
        "UsePrivilegedPort=yes",
        "ForwardX11=no",
        "GSSAPIAuthentication=no",
        "ClearAllForwardings=no",
        "CheckHostIP=no",
        "ProxyCommand=none",
    ],
)
def test_what_is_off_may_be_said_to_be_off(option):
    assert replace(parse([option]), settings={}) == ClientConfig()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("Prot=22", "Bad configuration option: Prot; did you mean Port\\?"),
        ("frobnicate=yes", "Bad configuration option: frobnicate$"),
        ("Port", "Port: the value is missing: give Port VALUE"),
        ("User", "User: the value is missing"),
        ("ControlMaster=perhaps", "ControlMaster: bad value 'perhaps'; allowed: no, false"),
        ("ControlPersist=long", "ControlPersist: bad value 'long'; allowed: a time"),
        ("ControlPath=a b", "ControlPath: extra words at the end of the line"),
        ("LocalForward=1:h", "LocalForward: the destination is missing"),
        ("LocalForward=1 h", "LocalForward: bad value '1:h'; allowed: .bind_address:.port host"),
        ("EscapeChar=ab", "EscapeChar: bad value"),
        ("Ciphers=rot13", "Ciphers: 'rot13'"),
        ("LogLevel=loud", "LogLevel: bad value 'loud'; allowed: quiet"),
        ("IdentityFile=a b", "IdentityFile: extra words"),
    ],
)
def test_what_is_refused(option, message):
    with pytest.raises(ConfigurationError, match=message):
        parse([option])


def complaint(option):
    try:
        parse([option])
    except ConfigurationError as error:
        return str(error)
    return None


@given(st.sampled_from([word.name for word in SCHEMA.words]), st.text(max_size=20))
def test_any_value_is_taken_or_refused_by_name(keyword, value):
    said = complaint(f"{keyword}={value}")
    assert said is None or keyword in said or "quotation mark" in said


def test_options_of_a_configuration_count_before_its_files_and_after_those_of_a_lookup(tmp_path):
    file = tmp_path / "config"
    file.write_text("Host *\n  User file\n  Port 1\n  Compression yes\n")
    config = Config.load(file, ["Port=2", "User=all"])
    found = config.lookup("web", ["User=one"])
    assert (found.user, found.port, found.compression) == ("one", 2, True)
    assert Config.load("none", ["Port=3"]).lookup("web").port == 3
