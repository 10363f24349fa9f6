"""The options of ``nacre serve`` in a file of TOML."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from nacre.cli.serve.command import command
from nacre.cli.serve.config_file import read_config
from nacre.daemon.audit.events import AuditPlan
from nacre.daemon.daemon import Daemon
from nacre.daemon.sockets import Address
from nacre.errors import ConfigurationError


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Daemon]:
    daemons: list[Daemon] = []
    monkeypatch.setattr(Daemon, "run", lambda daemon: daemons.append(daemon))
    return daemons


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "serve.toml"


def call(file: Path, *words: str) -> click.testing.Result:
    return CliRunner().invoke(command, ["--config", str(file), *words])


def test_a_file_says_what_options_say(started: list[Daemon], file: Path) -> None:
    file.write_text(
        'listen = [":0", "[::1]:2201"]\nstate = "s"\ngates = 0\nssh1-strict = true\n'
        'audit-hashes = true\nproxy-from = "10.0.0.0/8"\napi = [":8022", "/run/api"]\n'
        '[log]\nto = "journal"\nformat = "json"\n'
        '[option]\nMaxSessions = 20\nPasswordAuthentication = false\nAllowUsers = ["a", "b"]\n'
    )
    assert call(file).output == ""
    (daemon,) = started
    assert daemon.addresses == (Address("", 0), Address("::1", 2201))
    assert (daemon.state, daemon.gates, daemon.ssh1_strict) == (Path("s"), 0, True)
    assert (daemon.audit, daemon.edge.proxy_from) == (AuditPlan("hashes"), ("10.0.0.0/8",))
    assert daemon.edge.api is not None
    assert daemon.edge.api.addresses == (("127.0.0.1", 8022), ("/run/api", 0))
    assert (daemon.log.where, daemon.log.form) == ("journal", "json")
    config = daemon.config
    assert (config.max_sessions, config.password_authentication) == (20, False)
    assert len(config.allow_users) == 2


def test_the_command_line_wins(started: list[Daemon], file: Path) -> None:
    file.write_text('gates = 3\nlisten = ":0"\n[option]\nMaxSessions = 20\nMaxAuthTries = 9\n')
    assert call(file, "--gates", "1", "--listen", ":7", "-o", "MaxSessions=5").exit_code == 0
    (daemon,) = started
    assert (daemon.gates, daemon.addresses) == (1, (Address("", 7),))
    assert (daemon.config.max_sessions, daemon.config.max_auth_tries) == (5, 9)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("\nlissten = 3\n", "line 2: there is no 'lissten': do you mean listen?"),
        ("[log]\nwhere = 'x'\n", "line 2: there is no 'log-where'"),
        ("gates = 'x'\n", "line 1: gates takes a number, and not 'x'"),
        ("gates = true\n", "line 1: gates takes a number, and not True"),
        ("gates = 300\n", "line 1: gates: 300 is not in the range 0<=x<=256."),
        ("end-processes = 1\n", "line 1: end-processes takes true or false, and not 1"),
        ("[log]\nto = 3\n", "line 2: log-to takes a text, and not 3"),
        ("listen = 'x'\n", "line 1: listen: 'x' is not ADDR:PORT"),
        ("users = 'ldap'\n", "line 1: users: 'ldap' is none of store, system, command:/PATH"),
        ("check = true\n", "line 1: there is no 'check'"),
        ("config = 'x'\n", "line 1: there is no 'config'"),
        ("option = 'MaxSessions=x'\n", "MaxSessions: bad value 'x'"),
        ("[option]\nMaxSessions = 1.5\n", "option.MaxSessions takes texts, numbers, true and"),
        ("audit = true\naudit-hashes = true\n", "audit and audit-hashes are one setting"),
        ("keep = '90d'\n", "--record-key, --record-user and --keep need --record DIR"),
        ("log-to = 'file'\n", "give stderr, syslog, journal, or a path"),
        ("x", "is no TOML: "),
        ("x = " + "[" * 5000, "is no TOML: "),
        ("x = '" + "a" * (1 << 20) + "'", "has more than 1048576 bytes"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(
    started: list[Daemon], file: Path, text: str, error: str
) -> None:
    file.write_text(text)
    done = call(file, "--check")
    assert done.exit_code == 2
    assert error in done.output
    assert str(file) in done.output or "Error: --" in done.output or "MaxSessions" in done.output
    assert not started


def test_all_that_is_wrong_is_told_at_once(file: Path) -> None:
    file.write_text("gates = 'x'\nworkers = 0\nnonsense = 1\n")
    output = call(file, "--check").output
    assert [f"line {number}:" in output for number in (1, 2, 3)] == [True] * 3


def test_a_missing_file_is_an_error(file: Path) -> None:
    done = call(file)
    assert (done.exit_code, f"can't read {file}" in done.output) == (2, True)


def test_a_name_may_be_a_table_and_a_key(file: Path) -> None:
    file.write_text('log-to = "syslog"\n[log]\nformat = "json"\n')
    found = read_config(file, click.Context(command))
    assert found.values == {"log-to": "syslog", "log-format": "json"}


def test_a_reload_reads_keywords_and_names_what_needs_a_restart(
    started: list[Daemon], file: Path, tmp_path: Path
) -> None:
    sshd = tmp_path / "sshd_config"
    sshd.write_text("MaxAuthTries 3\n")
    file.write_text("[option]\nMaxSessions = 4\n")
    assert call(file, "-o", "MaxStartups=7").exit_code == 0
    (daemon,) = started
    assert daemon.read is not None
    assert daemon.needs_restart() == ()
    file.write_text(f"gates = 1\nsshd-config = '{sshd}'\n[option]\nMaxSessions = 5\n")
    config = daemon.read().base
    assert (config.max_sessions, config.max_auth_tries, config.max_startups) == (5, 3, "7")
    assert daemon.needs_restart() == ("gates",)
    file.write_text("gates = 'x'\n")
    with pytest.raises(ConfigurationError, match=r"line 1: gates takes a number"):
        daemon.read()
    assert daemon.needs_restart() == ("gates",)
    file.write_text("[option]\nMaxSessions = 5\n")
    daemon.read()
    assert daemon.needs_restart() == ()
