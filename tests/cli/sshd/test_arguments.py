"""The command line of sshd."""

from __future__ import annotations

import pytest

from nacre.cli.sshd.arguments import parse_arguments
from nacre.config.server.files import parse
from nacre.errors import ConfigurationError


def test_defaults() -> None:
    arguments = parse_arguments([])
    assert arguments.path == "/etc/ssh/sshd_config"
    assert arguments.to_syslog
    flags = (arguments.tests, arguments.inherited, arguments.foreground, arguments.debug)
    assert not any(flags)
    assert (arguments.options, arguments.ports) == ([], [])


def test_options_stand_for_keywords() -> None:
    words = ["-6", "-g", "30", "-h", "/a key", "-h/b", "-c", "/c", "-o", "MaxSessions=3", "-q"]
    config = parse(parse_arguments(words).options)
    assert (config.address_family, config.login_grace_time) == ("inet6", 30)
    assert (config.host_keys, config.max_sessions) == (("/a key", "/b"), 3)
    assert config.host_certificates == ("/c",)
    assert config.log_level.name == "QUIET"


def test_of_two_families_the_first_counts() -> None:
    assert parse(parse_arguments(["-46"]).options).address_family == "inet"


@pytest.mark.parametrize(
    ("words", "level"), [("-d", "DEBUG1"), ("-dd", "DEBUG2"), ("-ddddq", "DEBUG3")]
)
def test_debug_is_a_level(words: str, level: str) -> None:
    arguments = parse_arguments([words])
    assert arguments.debug
    assert not arguments.to_syslog
    assert parse(arguments.options).log_level.name == level


@pytest.mark.parametrize("words", [["-e"], ["-E", "/log"], ["-d"]])
def test_where_it_logs(words: list[str]) -> None:
    assert not parse_arguments(words).to_syslog


def test_no_file() -> None:
    assert parse_arguments(["-f", "none"]).path is None
    assert parse_arguments(["-f", "x"]).path == "x"


def test_a_file_of_what_sshd_config_has_no_words_for() -> None:
    assert parse_arguments([]).service is None
    assert parse_arguments(["-D", "--config", "/x.toml", "-e"]).service == "/x.toml"


def test_ports_and_connections() -> None:
    arguments = parse_arguments(["-p", "22", "-p0", "-T", "-C", "user=a", "-Caddr=b"])
    assert (arguments.ports, arguments.connections) == ([22, 0], ["user=a", "addr=b"])
    assert arguments.tests
    assert arguments.show_tested


def test_former_options_change_nothing() -> None:
    assert parse_arguments(["-k", "60", "-b", "768", "-r", "-u0"]).options == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-x"], "-x"),
        (["-p"], "-p"),
        (["-p", "65536"], "-p 65536"),
        (["-p", "ssh"], "-p ssh"),
        (["-u", "many"], "-u many"),
        (["-C", "user=a"], "-T and -G"),
        (["host"], "extra argument host"),
        (["--listen"], "listen"),
        (["--config"], "config"),
        (["--config", "x", "-i"], "leave it out with -i and -d"),
        (["--config", "x", "-d"], "leave it out with -i and -d"),
    ],
)
def test_what_is_wrong_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        parse_arguments(words)
