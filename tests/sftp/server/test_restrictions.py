"""The options of sftp-server(8), and the requests that they deny."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import asdict
from typing import Any

import pytest

from nacre.config.values import LogLevel
from nacre.errors import ConfigurationError
from nacre.sftp.protocol import extensions as ext
from nacre.sftp.protocol import messages as msg
from nacre.sftp.server.restrictions import (
    DENIED,
    NOT_ALLOWED,
    READ_ONLY,
    REQUESTS_BY_NAME,
    UNRESTRICTED,
    SFTPRestrictions,
    parse,
    parse_command,
)

OPENSSH = "/usr/lib/openssh/sftp-server"

CHANGES = {
    *("write", "setstat", "fsetstat", "remove", "mkdir", "rmdir", "rename", "symlink"),
    *("posix-rename", "hardlink", "fsync", "lsetstat", "copy-data"),
}


def names(denials: dict[Any, str]) -> set[str]:
    return {name for name, kinds in REQUESTS_BY_NAME.items() if set(kinds) & denials.keys()}


@pytest.mark.skipif(not os.path.exists(OPENSSH), reason="OpenSSH's sftp-server is not installed")
def test_every_request_of_openssh_is_known_by_its_name() -> None:
    listed = subprocess.run(
        [OPENSSH, "-Q", "requests"], capture_output=True, text=True, check=True, timeout=10
    )
    assert set(listed.stdout.split()) - REQUESTS_BY_NAME.keys() == set()


def test_a_name_stands_for_all_requests_that_an_extension_has() -> None:
    assert len(REQUESTS_BY_NAME) == 30
    assert REQUESTS_BY_NAME["statvfs"] == (ext.StatVFS,)
    kinds = {ext.CheckFile, ext.CheckFileHandle, ext.CheckFileName}
    assert set(REQUESTS_BY_NAME["check-file"]) == kinds


def test_the_version_may_be_capped() -> None:
    assert parse([]).version == 6
    assert parse(["-V", "3"]).version == 3


def test_options_are_those_of_sftp_server() -> None:
    words = ["-eR", "-l", "VERBOSE", "-f", "local3", "-d", "/srv/%u", "-u", "027"]
    assert parse([*words, "-p", "open,close", "-P", "close"]) == SFTPRestrictions(
        start="/srv/%u",
        read_only=True,
        umask=0o027,
        allowed=("open", "close"),
        denied=("close",),
        log_level=LogLevel.VERBOSE,
        facility="LOCAL3",
        to_stderr=True,
    )
    assert parse([]) == UNRESTRICTED
    assert parse(["-Rl", "debug"]).log_level == LogLevel.DEBUG1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-x"], "option -x not recognized; allowed: -d"),
        (["-u"], "option -u requires argument"),
        (["-R", "word"], "'word' is no option"),
        (["-l", "loud"], "-l: bad value 'loud'; allowed: quiet, fatal"),
        (["-f", "mail"], "-f: bad value 'mail'; allowed: daemon, user, auth, local0"),
        (["-V", "2"], "-V: bad value '2'; allowed: 3, 4"),
        (["-V", "7"], "-V: bad value '7'"),
        (["-u", "8"], "-u: bad value '8'; allowed: octal"),
        (["-u", "1000"], "-u: bad value '1000'"),
        (["-u", "-1"], "-u: bad value '-1'"),
        (["-u", ""], "-u: bad value ''"),
        (["-P", "open,opne"], "-P: bad value 'opne'; allowed: open, close"),
        (["-p", ""], "-p: bad value ''"),
        (["-P", "open", "-P", "close"], "-P is given twice"),
        (["-d", "/srv/%n"], "%n is not possible here; allowed: %% %d %h %u"),
    ],
)
def test_wrong_options_are_named_with_what_is_allowed(words: list[str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message.replace("?", r"\?")):
        parse(words)


def test_internal_sftp_is_a_command_with_the_same_options() -> None:
    assert parse_command("internal-sftp") == UNRESTRICTED
    assert parse_command(" internal-sftp\t-R  -u 022 ") == parse(["-R", "-u", "022"])
    assert parse_command("internal-sftp2 -R") is None
    assert parse_command("/usr/lib/openssh/sftp-server -R") is None
    assert parse_command("") is None
    with pytest.raises(ConfigurationError, match="-q not recognized"):
        parse_command("internal-sftp -q")


def test_nothing_is_denied_by_default() -> None:
    assert UNRESTRICTED.denials() == {}


def test_a_read_only_session_is_denied_what_changes_something() -> None:
    denials = parse(["-R"]).denials()
    assert names(denials) == CHANGES
    assert set(denials.values()) == {READ_ONLY}


def test_denied_requests_are_denied_even_if_they_are_allowed() -> None:
    assert parse(["-P", "mkdir,check-file"]).denials() == {
        msg.MkDir: DENIED,
        ext.CheckFile: DENIED,
        ext.CheckFileHandle: DENIED,
        ext.CheckFileName: DENIED,
    }
    denials = parse(["-p", "open,close,mkdir", "-P", "mkdir"]).denials()
    assert names(denials) == REQUESTS_BY_NAME.keys() - {"open", "close"}
    assert (denials[msg.MkDir], denials[msg.Read]) == (DENIED, NOT_ALLOWED)


def test_tokens_of_the_start_are_those_of_the_user() -> None:
    start = parse(["-d", "%d/%h/%u/100%%"]).start_directory(home="/home/a", user="alice")
    assert start == "/home/a//home/a/alice/100%"
    assert UNRESTRICTED.start_directory(home="/home/a", user="alice") == ""


def test_restrictions_pass_through_json() -> None:
    restrictions = parse(["-P", "open", "-p", "stat,close", "-l", "INFO", "-u", "0"])
    assert SFTPRestrictions.of(json.loads(json.dumps(asdict(restrictions)))) == restrictions
