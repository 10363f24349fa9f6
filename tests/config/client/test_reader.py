"""ssh_config files, read for a host."""

import grp
import os
import pwd

import pytest

from nacre.config.client import files
from nacre.config.client.files import Config
from nacre.config.client.words import SCHEMA
from nacre.errors import ConfigurationError


@pytest.fixture
def lookup(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SHELL", "/bin/sh")
    monkeypatch.setattr(files, "USER_FILE", "~/.ssh/config")
    (tmp_path / ".ssh").mkdir()

    def read(text, host="h", options=(), **others):
        path = tmp_path / "config"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return Config.load(path).lookup(host, options, **others)

    return read


def test_the_first_value_counts_and_the_command_line_before_all(lookup):
    config = lookup("Host h\n Port 1\nHost *\n Port 2\n User a\n", options=["User=b"])
    assert (config.port, config.user) == (1, "b")
    assert str(config.settings["User"][0].origin) == "command line"
    assert str(config.settings["Port"][0].origin).endswith("config line 2")


@pytest.mark.parametrize(
    ("patterns", "matches"),
    [("h", True), ("x h", True), ("h?", False), ("* !h", False), ("!x", False), ('"h"', True)],
)
def test_host_patterns(lookup, patterns, matches):
    assert (lookup(f"Host {patterns}\nPort 9\n").port == 9) is matches


@pytest.mark.parametrize(
    ("criteria", "matches"),
    [
        ("all", True),
        ("host h", True),
        ("!host h", False),
        ("originalhost H", True),
        ("user u", True),
        ("user u host x", False),
        ("tagged t", True),
        ("command ls", True),
        ("sessiontype exec", True),
        ('exec "test %h = h"', True),
        ('exec "false"', False),
        ('!exec "false"', True),
        ("localnetwork 127.0.0.0/8", True),
        ("localnetwork 203.0.113.0/24", False),
        ("version nacre_*", True),
        ("final", True),
        ("canonical", False),
    ],
)
def test_criteria(lookup, criteria, matches):
    text = f"Tag t\nUser u\nMatch {criteria}\nPort 9\n"
    assert (lookup(text, command="ls").port == 9) is matches


def test_include(lookup, tmp_path):
    (tmp_path / ".ssh" / "a.conf").write_text("Port 9\nHost x\nUser x\n")
    (tmp_path / ".ssh" / "b.conf").write_text("User b\n")
    config = lookup("Include *.conf missing/*\nBindAddress ::1\n")
    assert (config.port, config.user, config.bind_address) == (9, "b", "::1")
    assert lookup("Host x\nInclude ~/.ssh/a.conf\nHost h\nUser z\n").port == 22


def test_a_file_that_includes_itself(lookup, tmp_path):
    with pytest.raises(ConfigurationError, match=r"config line 1: .*includes itself"):
        lookup(f"Include {tmp_path}/config\n")


def test_files_that_include_each_other_many_times(lookup, tmp_path):
    for n in range(12):
        (tmp_path / f"f{n}").write_text(f"Include {tmp_path}/f{n + 1}\n" * 2)
    with pytest.raises(ConfigurationError, match="more than 1024 files"):
        lookup(f"Include {tmp_path}/f0\n")


def test_every_error_is_told_with_its_line_also_in_other_blocks(lookup):
    with pytest.raises(ConfigurationError) as caught:
        lookup("Prot 22\nHost x\n Port many\n IdentityFile a b\nUser 'a\n")
    lines = str(caught.value).splitlines()
    assert [line.partition("config line ")[2][:1] for line in lines] == ["1", "3", "4", "5"]
    assert "did you mean Port?" in lines[0]


def test_unknown_words_may_be_ignored(lookup):
    assert lookup("IgnoreUnknown use*,x\nUseKeychain yes\nPort 9\n").port == 9


@pytest.mark.parametrize("text", [b"\0" * 100_000, b"a" * 10_000_000, b"Port " + b"9" * 1_000_000])
def test_a_file_that_is_none(lookup, text):
    with pytest.raises(ConfigurationError, match="config line 1: ") as caught:
        lookup(text)
    assert len(str(caught.value)) < 1000


def test_the_users_own_file_must_belong_to_the_user_alone(lookup, tmp_path):
    path = tmp_path / ".ssh" / "config"
    path.write_text("Port 9\n")
    os.chmod(path, 0o644)
    assert Config.load().lookup("h").port == 9
    os.chmod(path, 0o666)
    with pytest.raises(ConfigurationError, match=r"Bad owner or permissions on .*chmod go-w"):
        Config.load().lookup("h")


def test_included_files_must_belong_to_the_user_alone_too(lookup, tmp_path):
    path = tmp_path / "part"
    path.write_text("Port 9\n")
    os.chmod(path, 0o644)
    assert lookup(f"Include {path}\n").port == 9
    os.chmod(path, 0o602)
    with pytest.raises(ConfigurationError, match="config line 1: Bad owner or permissions on "):
        lookup(f"Include {path}\n")


@pytest.mark.parametrize(
    ("members", "users", "good"),
    [
        ([], [1000], True),
        (["me"], [1000], True),
        ([], [1000, 1001], False),
        (["me", "other"], [1000], False),
        (["other"], [1000], False),
        ([], [], False),
    ],
)
def test_a_group_of_ones_own_may_write(lookup, tmp_path, monkeypatch, members, users, good):
    path = tmp_path / ".ssh" / "config"
    path.write_text("Port 9\n")
    os.chmod(path, 0o664)
    group = path.stat().st_gid
    accounts = [pwd.struct_passwd(("x", "", uid, group, "", "", "")) for uid in users]
    me = pwd.struct_passwd(("me", "", 1000, group, "", "", ""))
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    monkeypatch.setattr(
        os, "fstat", lambda _: os.stat_result((0o664, 0, 0, 1, 1000, group, *[0] * 4))
    )
    monkeypatch.setattr(pwd, "getpwuid", lambda _: me)
    monkeypatch.setattr(pwd, "getpwall", lambda: accounts)
    monkeypatch.setattr(grp, "getgrgid", lambda gid: grp.struct_group(("g", "", gid, members)))
    if good:
        assert Config.load().lookup("h").port == 9
    else:
        with pytest.raises(ConfigurationError, match="Bad owner or permissions"):
            Config.load().lookup("h")


def test_a_file_that_is_missing(lookup, tmp_path):
    with pytest.raises(ConfigurationError, match=r"Can't open the configuration file .*/nowhere"):
        Config.load(tmp_path / "nowhere").lookup("h")
    assert Config.load("none").lookup("h").port == 22


def test_match_exec_is_bounded(lookup, monkeypatch):
    monkeypatch.setattr("nacre.config.client.reader._EXEC_TIME", 0.1)
    with pytest.raises(ConfigurationError, match="config line 1: Match exec: 'sleep 60' did not"):
        lookup('Match exec "sleep 60"\n')


@pytest.mark.parametrize(
    ("host", "options"),
    [
        ("h;touch ran", ()),
        ("$(touch ran)", ()),
        ("h", ['User="a;touch ran"']),
        ("h", ['User="a\ntouch ran"']),
        ("h", ["Hostname=%h;touch${IFS}ran"]),
    ],
)
def test_no_name_runs_a_command_of_match_exec(lookup, tmp_path, monkeypatch, host, options):
    """CVE-2026-35386: they were expanded before they were checked."""
    monkeypatch.chdir(tmp_path)
    for token in ("%n %r", "%h %r", "%r%n"):
        with pytest.raises(ConfigurationError, match=r"config line 1.*can't be the name of a"):
            lookup(f'Match exec "true {token}"\n', host, options)
    lookup('Match exec "true"\n', host, options)
    assert not (tmp_path / "ran").exists()


def test_a_user_that_a_file_names_is_trusted_as_the_command_is(lookup, tmp_path):
    text = f'User a|b\nMatch exec "touch {tmp_path}/ran; true %n"\n  Port 22\n'
    assert lookup(text).user == "a|b"
    assert (tmp_path / "ran").exists()


def test_a_connection_may_be_refused(lookup):
    config = lookup("Match host h\nRefuseConnection use the other one\n")
    with pytest.raises(ConfigurationError, match="config line 2: use the other one"):
        config.check()


def test_canonical_names(lookup, monkeypatch):
    names = {"h.example.": "real.example", "h.other.": "h.other"}
    monkeypatch.setattr("nacre.config.client.canonical._look_up", names.get)
    text = "CanonicalizeHostname yes\nCanonicalDomains none.example example\nHost {}\nPort 9\n"
    assert lookup(text.format("h.example")).host_name == "h.example"
    assert lookup(text.format("h.example")).port == 9
    cname = "CanonicalizePermittedCNAMEs *.example:*.example\n"
    assert lookup(cname + text.format("real.example")).port == 9
    strict = "CanonicalizeHostname yes\nCanonicalDomains nowhere\nCanonicalizeFallbackLocal no\n"
    with pytest.raises(ConfigurationError, match="Could not resolve host 'h'"):
        lookup(strict)


def shown(config, name):
    """Return the settings of a keyword as -G prints them."""
    return [SCHEMA[name].kind.show(setting.value) for setting in config.settings.get(name, ())]


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        (
            "StreamLocalBindMask 077\nHost i\nStreamLocalBindMask 022",
            "StreamLocalBindMask",
            ["022"],
        ),
        (
            "Host i\nSyslogFacility LOCAL1\nHost h\nSyslogFacility USER",
            "SyslogFacility",
            ["LOCAL1"],
        ),
        ("RekeyLimit 1G\nRekeyLimit 2G 1h", "RekeyLimit", ["1073741824 3600"]),
        ("ForwardAgent yes\nForwardAgent /a\nForwardAgent /b", "ForwardAgent", ["/a"]),
        ("ForwardAgent no\nForwardAgent /a", "ForwardAgent", ["no"]),
        ("IdentityFile a\nIdentityFile b\nIdentityFile a", "IdentityFile", [("a",), ("b",)]),
        ("SendEnv A\nSendEnv A", "SendEnv", [("A",), ("A",)]),
        ("ProxyJump a\nProxyCommand b", "ProxyCommand", []),
        ("ProxyCommand none\nProxyJump a", "ProxyJump", []),
        ("ProxyJump none\nProxyCommand b", "ProxyCommand", ["b"]),
        ("Match final\nCanonicalizeMaxDots 7", "CanonicalizeMaxDots", []),
    ],
)
def test_which_of_several_values_count(lookup, text, name, expected):
    assert shown(lookup(f"{text}\n"), name) == expected


def test_the_second_reading_sees_the_final_name(lookup):
    text = "Match final\nHost h.test\nPort 9\nHost *\nHostname %h.TEST\n"
    assert lookup(text).port == 9
    assert lookup("Match final\nHost web\nPort 9\n", host="WEB").port == 9


def test_match_compares_names_in_lower_case(lookup):
    assert lookup("Match host Web\nPort 9\n", host="WEB").port == 9
    assert lookup("Match originalhost web\nPort 9\n", host="WEB").port == 9
    assert lookup("Host web\nPort 9\n", host="WEB").port == 22


@pytest.mark.parametrize("jump", ["h", "a,u@h:9", "H"])
def test_a_way_through_the_destination_itself_is_an_error(lookup, jump):
    with pytest.raises(ConfigurationError, match=r"config line 3: ProxyJump: \S+ is the dest"):
        lookup(f"User u\nPort 9\nProxyJump {jump}{'' if ':' in jump else ':9'}\n")
    assert lookup("ProxyJump h:9\n").settings["ProxyJump"][0].value == "h:9"


def test_an_error_in_a_token_has_its_line(lookup):
    with pytest.raises(ConfigurationError, match=r"config line 2: Hostname: .*%q is not possible"):
        lookup("\nHostname %q\n")


def test_batch_mode_keeps_the_connection_alive(lookup):
    assert lookup("BatchMode yes\n").server_alive_interval == 300
    assert lookup("BatchMode yes\nServerAliveInterval 0\n").server_alive_interval == 0


def test_values_that_gather_have_a_bound(lookup):
    lines = [f"IdentityFile f{number}\n" for number in range(101)]
    assert len(lookup("".join(lines[:100])).identity_files) == 100
    with pytest.raises(ConfigurationError, match="line 101: IdentityFile: more than 100 values"):
        lookup("".join(lines))
    assert len(lookup("SendEnv A\n" * 1000).send_env) == 1000
