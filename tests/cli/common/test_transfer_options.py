"""The options that ``nacre sftp`` and ``nacre scp`` share."""

from __future__ import annotations

import pytest

from nacre.cli.common.transfer_options import parse, split_host, split_place
from nacre.config.client.files import parse as parse_config
from nacre.errors import ConfigurationError


@pytest.mark.parametrize(
    ("words", "field", "expected"),
    [
        (["-1"], "protocol", (1,)),
        (["-2", "-o", "Protocol=1"], "protocol", (2,)),
        (["-c", "blowfish"], "cipher", ("blowfish",)),
        (["-c", "aes128-ctr"], "ciphers", "aes128-ctr"),
        (["-P", "2222"], "port", 2222),
        (["-J", "a@b:1,c"], "proxy_jump", "a@b:1,c"),
        (["-A"], "forward_agent", "SSH_AUTH_SOCK"),
        (["-i", "a b"], "identity_files", ("a b",)),
        (["--profile", "legacy"], "profile", "legacy"),
        (["--profile=legacy", "-P", "1"], "profile", "legacy"),
    ],
)
def test_words_of_the_configuration(words: list[str], field: str, expected: object) -> None:
    assert getattr(parse_config(parse(words, "").options), field) == expected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-P", "x"], "^-P: bad value 'x'; allowed: a number from 1"),
        (["-c", "nope"], "^-c: 'nope' is not a supported cipher"),
        (["-J", "a@"], "^-J: bad value 'a@'"),
        (["--profile=old"], "^--profile: bad value 'old'"),
        (["-l", "0"], "^-l 0: give a limit in Kbit/s, a positive number"),
        (["-Z"], "^option -Z not recognized: --help lists the options"),
    ],
)
def test_an_error_names_the_option_and_the_remedy(words: list[str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        parse(words, "")


def test_help_and_files() -> None:
    assert parse(["-h"], "").show_help
    assert parse(["--help"], "").show_help
    assert parse(["-F", "my"], "").config_file == "my"
    assert parse([], "").config_file is None


@pytest.mark.parametrize("place", ["-oProxyCommand=x:p", "h;x:p", "-x@h:p", "scp://h$x/p", ":p"])
def test_no_place_is_an_option_or_has_what_shells_act_on(place: str) -> None:
    with pytest.raises(ConfigurationError):
        split_host(place.removesuffix(":p")) if "/" not in place else split_place(place, "scp")


def test_a_program_gets_the_options_that_concern_the_connection() -> None:
    words = ["-4", "-l9", "-P", "22", "-i", "a b", "-oUser=x", "-q", "-J", "j", "-R", "2"]
    assert parse(words, "R:").other_program() is None
    program = parse(["-S", "my ssh", *words], "R:").other_program()
    assert program is not None
    line = program.line("host", ["User=y"], "sftp", subsystem=True)
    assert line[0] == "my ssh"
    assert line[-5:] == ["-oUser=y", "-s", "--", "host", "sftp"]
    passed = ["-4", "-p22", "-ia b", "-oUser=x", "-q", "-Jj"]
    assert line[-5 - len(passed) : -5] == passed
    assert "-oClearAllForwardings=yes" in line
    assert program.line("h", [], "scp -t x")[-3:] == ["--", "h", "scp -t x"]


def test_jump_hosts_are_given_once() -> None:
    with pytest.raises(ConfigurationError, match="-J: give it once"):
        parse(["-J", "a", "-J", "b"], "")


def test_the_options_of_the_session() -> None:
    assert parse([], "").session_options() == {"read_size": None}
    words = ["-X", "version=6", "-X", "buffer=1000", "-X", "nrequests=3"]
    expected = {"read_size": 1000, "window": 3000, "version": 6}
    assert parse(words, "").session_options() == expected
    assert parse(["-X", "version=3"], "").session_options() == {"read_size": None}
    for wrong in ("2", "7"):
        with pytest.raises(ConfigurationError, match="give a version from 3 to 6"):
            parse(["-X", f"version={wrong}"], "")
