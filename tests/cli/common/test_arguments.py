import pytest

from nacre.cli.common.arguments import parse, split_destination
from nacre.config.client.files import parse as parse_config
from nacre.config.tunnels import Forward
from nacre.config.values import LogLevel
from nacre.errors import ConfigurationError

L1 = Forward(None, 1, "h", 2)


def config(*words):
    return parse_config(parse(words).options)


def test_host_and_command():
    arguments = parse(["host", "echo", "-n", "a  b"])
    assert arguments.host == "host"
    assert arguments.command == "echo -n a  b"
    assert parse(["host"]).command is None
    assert parse([]).host == ""


def test_options_may_be_joined_and_stand_behind_the_host():
    arguments = parse(["-vvT", "-p2222", "host", "-l", "alice", "cmd", "-p", "1"])
    found = parse_config(arguments.options)
    assert arguments.command == "cmd -p 1"
    assert (found.port, found.user, found.request_tty) == (2222, "alice", "no")
    assert found.log_level is LogLevel.DEBUG2


@pytest.mark.parametrize(
    ("words", "user", "port"),
    [
        (["baz@h", "-o", "User=foo", "-l", "bar"], "baz", 22),
        (["-l", "bar", "baz@h", "-o", "User=foo"], "bar", 22),
        (["-o", "User=foo", "baz@h", "-l", "bar"], "foo", 22),
        (["ssh://baz@h:2022", "-p", "2222"], "baz", 2022),
        (["-p", "2222", "ssh://h:2022", "-l", "bar"], "bar", 2222),
        (["h", "-p", "2222", "-l", "bar"], "bar", 2222),
    ],
)
def test_the_first_user_and_port_count(words, user, port):
    found = config(*words)
    assert (found.user, found.port) == (user, port)


def test_two_dashes_end_the_options():
    arguments = parse(["host", "--", "-x"])
    assert arguments.command == "-x"
    assert parse(["--", "host", "cmd"]).command == "cmd"


@pytest.mark.parametrize(
    ("words", "field", "expected"),
    [
        (["-1", "h"], "protocol", (1,)),
        (["-2", "-o", "Protocol=1", "h"], "protocol", (2,)),
        (["-4", "h"], "address_family", "inet"),
        (["-6", "h"], "address_family", "inet6"),
        (["-C", "-o", "Compression=no", "h"], "compression", True),
        (["-b", "192.0.2.1", "h"], "bind_address", "192.0.2.1"),
        (["-c", "aes128-ctr,aes256-ctr", "h"], "ciphers", "aes128-ctr,aes256-ctr"),
        (["-c", "des", "h"], "cipher", ("des",)),
        (["-m", "hmac-sha2-512", "h"], "macs", "hmac-sha2-512"),
        (["-e", "none", "h"], "escape_char", None),
        (["-e^B", "h"], "escape_char", b"\x02"),
        (["-i", "/a b", "-i", 'c"d', "h"], "identity_files", ("/a b", 'c"d')),
        (["-l", "a b", "h"], "user", "a b"),
        (["-n", "h"], "stdin_null", True),
        (["-N", "h"], "session_type", "none"),
        (["-s", "h", "sftp"], "session_type", "subsystem"),
        (["-t", "h"], "request_tty", "yes"),
        (["-tt", "h"], "request_tty", "force"),
        (["-t", "h", "-t"], "request_tty", "force"),
        (["-T", "h"], "request_tty", "no"),
        (["-oPort=23", "-p", "24", "h"], "port", 23),
        (["-p", "24", "-oPort=23", "h"], "port", 24),
        (["-o", "Port 23", "h"], "port", 23),
        (["-q", "h"], "log_level", LogLevel.QUIET),
        (["-v", "-o", "LogLevel=ERROR", "h"], "log_level", LogLevel.DEBUG1),
        (["-vvvv", "h"], "log_level", LogLevel.DEBUG3),
        (["-F", "none", "h"], "port", 22),
        (["-F/dev/null", "-axk2", "h"], "port", 22),
        (["-S", "none", "h"], "port", 22),
        (["bob@h"], "user", "bob"),
        (["-A", "h"], "forward_agent", "SSH_AUTH_SOCK"),
        (["-A", "-a", "h"], "forward_agent", None),
        (["-a", "-A", "h"], "forward_agent", "SSH_AUTH_SOCK"),
        (["-4", "-6", "h"], "address_family", "inet6"),
        (["-t", "-T", "h"], "request_tty", "no"),
        (["-t", "-T", "-t", "h"], "request_tty", "yes"),
        (["-q", "-v", "h"], "log_level", LogLevel.DEBUG1),
        (["-v", "-q", "h"], "log_level", LogLevel.QUIET),
        (["-oForwardAgent=$SOCK", "h"], "forward_agent", "$SOCK"),
        (["-g", "h"], "gateway_ports", True),
        (["-L", "1:h:2", "-L3:h:4", "h"], "local_forwards", (L1, Forward(None, 3, "h", 4))),
        (["-R", "[::1]:0:h:2", "h"], "remote_forwards", (Forward("::1", 0, "h", 2),)),
        (["-D1", "-D", "*:2", "h"], "dynamic_forwards", (Forward(None, 1), Forward("*", 2))),
        (["-W", "x:1", "-L", "1:h:2", "h"], "local_forwards", ()),
        (["-W", "x:1", "h"], "session_type", "none"),
        (["-W", "x:1", "-oExitOnForwardFailure=no", "h"], "exit_on_forward_failure", False),
        (["-l", "alice", "bob@h"], "user", "alice"),
        (["ssh://bob@h:99"], "port", 99),
    ],
)
def test_options(words, field, expected):
    assert getattr(config(*words), field) == expected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-p", "x", "h"], "^-p: bad value 'x'; allowed: a number from 1"),
        (["-e", "xx", "h"], "^-e: bad value 'xx'; allowed: one ASCII character"),
        (["-m", "nope", "h"], "^-m: 'nope' is not a supported MAC"),
        (["-c", "nope", "h"], "^-c: 'nope' is not a supported cipher"),
        (["-J", "a@", "h"], "^-J: bad value 'a@'"),
        (["--profile", "old", "h"], "^--profile: bad value 'old'; allowed: default, legacy"),
        (["-Z", "h"], "option -Z not recognized: --help lists the options"),
        (["-p"], "option -p requires argument: --help lists the options"),
        (["user@"], "names no host"),
        (["--", "-oProxyCommand=x"], "names no host"),
        (["u@-host"], "names no host"),
        (["u@ho$st"], "can't be the name of a host"),
        (["h,x"], "can't be the name of a host"),
        (["ssh://h/x"], "is no ssh:// URI"),
        (["ssh://u@v@h"], "is no ssh:// URI"),
        (["u;x@host"], "can't be the name of a user"),
        (["ssh://u%3bx@host"], "can't be the name of a user"),
        (["-l", "-x", "host"], "can't be the name of a user"),
        (["-J", "a", "-J", "b", "host"], "-J: give it once, with commas"),
        (["--json", "h"], "not recognized"),
    ],
)
def test_what_is_refused(words, message):
    with pytest.raises(ConfigurationError, match=message):
        parse(words)


@pytest.mark.parametrize(
    ("destination", "host", "options"),
    [
        ("h", "h", []),
        ("a@b@h", "h", ['User="a@b"']),
        ("::1", "::1", []),
        ("[::1]", "::1", []),
        ("u@::1", "::1", ['User="u"']),
        ("ssh://h", "h", []),
        ("ssh://h/", "h", []),
        ("SSH://u%40x@h:22/", "h", ['User="u@x"', "Port=22"]),
        ("ssh://[::1]:2222", "::1", ["Port=2222"]),
        ("ssh://[::1]", "::1", []),
    ],
)
def test_destinations(destination, host, options):
    assert split_destination(destination) == (host, options)


def test_the_file_and_the_tag_of_the_configuration():
    assert parse(["h"]).config_file is None
    assert parse(["-F", "none", "h"]).config_file == "none"
    found = parse(["-F", "my", "-P", "work", "h"])
    assert (found.config_file, found.options) == ("my", ['Tag="work"'])


def test_questions():
    assert parse(["-V"]).show_version
    assert parse(["-G", "h"]).show_config
    assert parse(["-Q", "cipher"]).query == "cipher"
    assert parse(["-E", "/log", "h"]).log_file == "/log"
    assert parse(["-h"]).show_help
    assert parse(["h", "--help"]).show_help
    assert not parse(["h", "cmd", "--help"]).show_help


@pytest.mark.parametrize(
    ("words", "options"),
    [
        (["-f"], ["ForkAfterAuthentication=yes", "StdinNull=yes"]),
        (["-P", "work"], ['Tag="work"']),
        (["-S", "a b"], ['ControlPath="a b"']),
        (["-J", "a,b"], ["ProxyJump=a,b"]),
        (["-B", "eth0"], ['BindInterface="eth0"']),
        (["-M"], ["ControlMaster=yes"]),
        (["-MM"], ["ControlMaster=ask", "ControlMaster=yes"]),
        (["-N", "-n"], ["StdinNull=yes", "SessionType=none"]),
        (["-K"], ["GSSAPIAuthentication=yes", "GSSAPIDelegateCredentials=yes"]),
        (["-k"], ["GSSAPIDelegateCredentials=no"]),
    ],
)
def test_keywords_that_options_stand_for(words, options):
    assert parse([*words, "h"]).options == options


@pytest.mark.parametrize(
    ("words", "options"),
    [
        (["-X"], ["ForwardX11=yes"]),
        (["-Y"], ["ForwardX11=yes", "ForwardX11Trusted=yes"]),
        (["-I", "lib.so"], ['PKCS11Provider="lib.so"']),
        (["-w", "0:1"], ["Tunnel=yes", "TunnelDevice=0:1"]),
    ],
)
def test_what_is_absent_has_its_keywords_for_later(words, options, monkeypatch):
    monkeypatch.setattr("nacre.cli.common.arguments.ABSENT", {})
    assert parse([*words, "h"]).options == options


def test_settings_that_are_no_keywords(monkeypatch):
    monkeypatch.setattr("nacre.cli.common.arguments.ABSENT", {})
    assert parse(["-y", "h"]).syslog
    assert parse(["-O", "check", "h"]).control == "check"
    assert parse(["-F", "none", "h"]).config_file == "none"
    assert parse(["h"]).config_file is None


def test_long_options_are_the_callers():
    assert parse(["--json", "h", "cmd", "--json"], ["json"]).flags == {"json"}
    assert parse(["h", "--json"], ["json"]).flags == {"json"}
    valued = parse(["--html", "a", "h", "--pcap=b"], ["json", "html=", "pcap="])
    assert (valued.flags, valued.values) == ({"html", "pcap"}, {"html": "a", "pcap": "b"})
    assert parse(["h", "cmd", "--json"], ["json"]).command == "cmd --json"


@pytest.mark.parametrize("words", [["--profile", "legacy", "h"], ["h", "--profile=legacy"]])
def test_the_legacy_profile_offers_old_algorithms(words):
    found = config(*words).algorithms()
    assert "diffie-hellman-group14-sha1" in found.kex
    assert "ssh-rsa" in found.host_key
    assert "ssh-rsa" in found.signatures
    assert "aes128-cbc" in found.ciphers
    assert "hmac-sha1" in found.macs
    assert "ssh-rsa" not in config("h").algorithms().signatures
    # A list that is named counts as before, relative to the profile's.
    assert config("-c", "aes128-ctr", *words).algorithms().ciphers == ("aes128-ctr",)


def test_an_unknown_profile_is_refused():
    with pytest.raises(ConfigurationError, match="default, legacy"):
        config("--profile", "old", "h")
