"""The quick reader says what the whole program would, or leaves it to the program."""

from __future__ import annotations

import os

import pytest

from nacre.cli.common.arguments import parse
from nacre.cli.shared import reading
from nacre.cli.ssh.command import configured
from nacre.cli.ssh.session import plan
from nacre.cli.ssh.sharing import Asked, control_path, shared_session
from nacre.client.target import Target
from nacre.config.client import files
from nacre.config.client.words import SCHEMA
from nacre.errors import ConfigurationError

TOKENS = "ControlPath ~/%C-%h-%p-%r-%n-%l-%L-%i-%u-%d-%k-%%"

READ = [
    ("", "-S ~/m h true"),
    ("", "-oControlPath=~/m h true"),
    ("", "-o ControlPath=~/m -p 2022 -l alice h -T true -x"),
    ("", "-S %C alice@h uname -a"),
    ("", "-S /run/m -l alice bob@h true"),
    ("", "-S /run/m -N h"),
    ("", "-S /run/m -fN h"),
    ("", "-S /run/m -f h sleep 9"),
    ("", "-S /run/m -n h true"),
    ("", "-S /run/m -s h sftp"),
    ("", "-S /run/m -tt h"),
    ("", "-S /run/m -tTN h"),
    ("", "-S /run/m -q -e none h true"),
    ("", "-S /run/m -e % h true"),
    ("", "-S /run/m -A h true"),
    ("", "-S /run/m -A -a h true"),
    ("", "-S /run/m -4C -i key -c aes128-ctr -m hmac-sha2-256 -b 127.0.0.1 h true"),
    ("", "-S /run/m -J jump h true"),
    ("", "-S /run/m -oConnectTimeout=7 -- h true -N"),
    ("", "-S none h true"),
    ("", "h true"),
    (TOKENS, "h true"),
    (TOKENS, "h.example.org true"),
    (f"Hostname %h.example.org\nPort 2022\nUser alice\nHostKeyAlias K\n{TOKENS}", "h true"),
    (f"Hostname 127.1\n{TOKENS}", "h true"),
    (f"Hostname ::0001\n{TOKENS}", "h true"),
    (f"AddressFamily inet6\nHostname 127.1\n{TOKENS}", "h true"),
    (f"Hostname H.Example\n{TOKENS}", "H true"),
    ("ControlPath ${HOME}/${QUICK_A}x", "h true"),
    ("ControlPath = none\nControlPath /run/m", "h true"),
    ("ControlPath=/run/m\nControlMaster auto\nControlPersist 10m", "h true"),
    ("ControlPath /run/m\nControlMaster AutoAsk", "h true"),
    ("Host x\nControlPath /x\nHost h*\n  ControlPath /h\nHost *\nControlPath /all", "h true"),
    ("Host *.example !h.example\nControlPath /x\nHost *.e*pl*\nControlPath /y", "h.example true"),
    ("Host a\nLocalForward 1 b:2\nForwardX11 yes\nHost *\nControlPath /run/m", "h true"),
    ("# c\n\n\tControlPath\t/run/m  \nIdentityFile \"~/a b\"\nProxyCommand nc 'x' %h", "h true"),
    ("ControlPath /run/m\nSendEnv LANG QUICK_*\nSendEnv QUICK_A\nSetEnv X=1 X=2 QUICK_B=3", "h a"),
    ("ControlPath /run/m\nSetEnv X=1\nSetEnv Y=2", "-o SetEnv=Z=3 h true"),
    ("ControlPath /run/m\nRequestTTY force\nEscapeChar none\nLogLevel QUIET", "h true"),
    ("ControlPath /run/m\nSessionType none\nStdinNull yes", "h true"),
    ("ControlPath /run/m\nForkAfterAuthentication yes", "h true"),
    ("ControlPath /run/m\nForwardAgent yes\nHashKnownHosts yes\nGSSAPIAuthentication yes", "h a"),
    ("Include more\nControlPath /run/%p", "h true"),
    ("Include dir/*.conf nothing/*\nControlPath /run/%p-%r", "h true"),
    ("Host x\nInclude more\nHost h\nControlPath /run/%p", "h true"),
    ("ControlPath relative-%n", "h true"),
]
"""A user's configuration and a command line that the quick reader understands."""

LEFT = [
    ("ControlPath /run/m", "h"),  # no terminal: the program says so
    ("ControlPath /run/m", "-t h true"),
    ("ControlPath /run/m", "-t -T -t h true"),
    ("ControlPath /run/m", "-v h true"),
    ("ControlPath /run/m", "-M h true"),
    ("ControlPath /run/m\nControlMaster yes", "h true"),
    ("ControlPath /run/m\nControlMaster ask", "h true"),
    ("ControlPath /run/m", "-L 1:b:2 h true"),
    ("ControlPath /run/m", "-W b:2 h"),
    ("ControlPath /run/m", "-O check h"),
    ("ControlPath /run/m", "-X h true"),
    ("ControlPath /run/m", "--help h true"),
    ("ControlPath /run/m", "-f h"),
    ("ControlPath /run/m", "-s h"),
    ("ControlPath /run/m", "-1 h true"),
    ("ControlPath /run/m", "ssh://h true"),
    ("ControlPath /run/m", "[::1] true"),
    ("ControlPath /run/m", "@h true"),
    ("ControlPath /run/m", "-p"),
    ("ControlPath /run/m", ""),
    ("ControlPath /run/m", "-p ssh h true"),
    ("ControlPath /run/m", "-p 0 h true"),
    ("ControlPath /run/m", "-F /nowhere/at/all h true"),
    ("ControlPath /run/%q", "h true"),
    ("ControlPath /run/%j", "-J jump h true"),
    ("ControlPath /run/%C", "-J jump h true"),
    ("ControlPath /run/${QUICK_UNSET}", "h true"),
    ("ControlPath ~nobody-there/m", "h true"),
    ('ControlPath "/run/m"', "h true"),
    ("ControlPath /run/m # comment", "h true"),
    ("ControlPath /run/m /run/n", "h true"),
    ("ControlPath /run/m\nMatch all", "h true"),
    ("ControlPath /run/m\nHost x\nMatch exec true", "h true"),
    ("ControlPath /run/m\nUnknown word", "h true"),
    ("ControlPath /run/m\nIgnoreUnknown Un*", "h true"),
    ("ControlPath /run/m\nHost x\nUnknown word", "h true"),
    ("ControlPath /run/m\nHost h?", "h true"),
    ("ControlPath /run/m\nLocalForward 1 b:2", "h true"),
    ("ControlPath /run/m\nRemoteForward 1", "h true"),
    ("ControlPath /run/m\nForwardX11 yes", "h true"),
    ("ControlPath /run/m\nRemoteCommand true", "h"),
    ("ControlPath /run/m\nCanonicalizeHostname yes", "h true"),
    ("ControlPath /run/m\nUser %n", "h true"),
    ("ControlPath /run/m\nHostname %n", "h true"),
    ("ControlPath /run/m\nSendEnv LANG -LANG", "h true"),
    ("ControlPath /run/m\nSendEnv [A-Z]*", "h true"),
    ("ControlPath /run/m\nEscapeChar ^A", "h true"),
    ("ControlPath /run/m\nLogLevel DEBUG", "h true"),
    ("ControlPath /run/m\nConnectTimeout 1h", "h true"),
    ("ControlPath /run/m\nRefuseConnection no", "h true"),
    ("ControlPath /run/m\nTunnel yes", "h true"),
    ("ControlPath /run/m\nProtocol 1", "h true"),
    ("ControlPath /run/m\nInclude %h", "h true"),
    ("ControlPath /run/m\nInclude */x", "h true"),
    ("ControlPath /run/m\nInclude [a]", "h true"),
    ("ControlPath /run/m\nInclude config", "h true"),
    ("ControlPath /run/m\nInclude writable", "h true"),
    ("ControlPath /run/m\nPort", "h true"),
    ("=ControlPath /run/m", "h true"),
]
"""What it leaves to the program."""


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    kept = tmp_path / ".ssh"
    (kept / "dir").mkdir(parents=True, mode=0o700)
    (kept / "more").write_text("Port 2022\n")
    (kept / "writable").write_text("Port 2022\n")
    (kept / "dir" / "b.conf").write_text("User second\n")
    (kept / "dir" / "a.conf").write_text("User first\n")
    (kept / "dir" / ".c.conf").write_text("Unknown hidden\n")
    for path in kept.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o666 if path.name == "writable" else 0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LOGNAME", "me")
    monkeypatch.setenv("QUICK_A", "a b")
    monkeypatch.setenv("QUICK_B", "b")
    monkeypatch.delenv("QUICK_UNSET", raising=False)
    system = tmp_path / "ssh_config"
    system.write_text(f"Include {tmp_path}/none.d/*.conf\nHost *\n    SendEnv LC_*\n")
    for module in (files, reading):
        monkeypatch.setattr(module, "USER_FILE", "~/.ssh/config")
        monkeypatch.setattr(module, "SYSTEM_FILE", str(system))
    # As in a script: standard input is no terminal.
    null = os.open(os.devnull, os.O_RDONLY)
    kept_input = os.dup(0)
    os.dup2(null, 0)
    yield tmp_path
    os.dup2(kept_input, 0)
    os.close(kept_input)
    os.close(null)


def in_full(words):
    """Return what the program asks of a master: None for no master."""
    arguments = parse(words)
    _, config = configured(arguments)
    target = Target.of(arguments.host, config)
    path = control_path(config, target)
    if path is None or config.control_master in ("true", "ask"):
        return None
    planned = plan(config, arguments.command, target.tokens(), lambda text: None)
    return shared_session(Asked(path, target, config, planned, None))


def fields(made):
    return None if made is None else vars(made) | {"bytes": made.request()}


def write(home, config):
    (home / ".ssh" / "config").write_text(f"{config}\n")
    (home / ".ssh" / "config").chmod(0o600)


@pytest.mark.parametrize(("config", "line"), READ, ids=[f"{n}" for n in range(len(READ))])
def test_both_readers_agree(home, config, line):
    write(home, config)
    words = line.split()
    quick = reading.session_for(words)
    assert fields(quick) == fields(in_full(words))
    unshared = "-S none" in line or "none\nControlPath" in config or not (config or "-" in line)
    assert (quick is None) == unshared


@pytest.mark.parametrize(("config", "line"), LEFT, ids=[f"{n}" for n in range(len(LEFT))])
def test_what_is_left_to_the_program(home, config, line):
    write(home, config)
    assert reading.session_for(line.split()) is None


def test_without_any_file(home):
    assert reading.session_for(["-S", "/run/m", "-F", "none", "h", "true"]) is not None
    assert reading.session_for(["h", "true"]) is None


@pytest.mark.parametrize(
    ("change", "left"),
    [
        (lambda path: path.chmod(0o622), True),
        (lambda path: path.chmod(0o640), False),
        (lambda path: path.write_bytes(b"ControlPath /run/m\n\0"), True),
        (lambda path: path.write_bytes(b"ControlPath /run/m\n" + b"#\n" * 40_000), True),
    ],
    ids=["writable", "readable", "NUL", "large"],
)
def test_files_that_are_not_as_they_should_be(home, change, left):
    write(home, "ControlPath /run/m")
    change(home / ".ssh" / "config")
    assert (reading.session_for(["h", "true"]) is None) == left


def test_the_words_are_those_of_the_schema():
    names = {word.name.lower() for word in SCHEMA.words}
    assert names >= reading.IDLE
    assert names >= set(reading._KEYWORDS)
    assert not reading.IDLE & set(reading._KEYWORDS)


def test_options_mean_what_they_mean_to_the_program(home):
    """No option of the quick reader's is one that the program refuses or reads otherwise."""
    from nacre.cli.common import arguments

    for letter, keywords in reading._SWITCHES.items():
        known = [word.lower().partition("=")[::2] for word in arguments.WORDS[letter]]
        assert letter in "Cgk" or sorted(known) == sorted(keywords)
    for letter in reading._VALUES:
        assert letter in arguments.VALUES or letter in arguments._OTHERS


def test_no_error_leaves_the_reader(home):
    for words in (["-S", "/run/m", "-Z", "h"], ["-S"], ["-o"], ["-o", "x", "h"], ["\udcff"]):
        assert reading.session_for(words) is None
        with pytest.raises((ConfigurationError, UnicodeError)):
            in_full(words)
