"""The arguments of ``nacre serve``."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from nacre.cli.serve.command import command
from nacre.config.server.rules import Connecting
from nacre.daemon.daemon import Daemon
from nacre.daemon.sockets import Address, show
from nacre.daemon.state import default_path


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Daemon]:
    daemons: list[Daemon] = []
    monkeypatch.setattr(Daemon, "run", lambda daemon: daemons.append(daemon))
    return daemons


def test_defaults(started: list[Daemon]) -> None:
    assert CliRunner().invoke(command, []).exit_code == 0
    (daemon,) = started
    assert daemon.addresses == (Address("127.0.0.1", 2222),)
    assert (daemon.state, daemon.users, daemon.run_as, daemon.profile) == (
        *(default_path(), "store", None, "default"),
    )


def test_where_it_listens_with_a_file(started: list[Daemon], tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text("Port 2201\n")
    assert CliRunner().invoke(command, ["-f", str(file)]).exit_code == 0
    assert CliRunner().invoke(command, ["-f", str(file), "--listen", ":0"]).exit_code == 0
    assert [daemon.addresses for daemon in started] == [(), (Address("", 0),)]
    file.write_text("MaxSessions 4\n")
    assert started[0].read is not None
    assert started[0].read().base.max_sessions == 4


def test_everything(started: list[Daemon]) -> None:
    words = "--state s --listen [::1]:22 --listen :0 --listen localhost:65535 --users system "
    words += "--run-as nobody -o MaxSessions=3 -o LogLevel=QUIET --profile legacy"
    assert CliRunner().invoke(command, words.split()).exit_code == 0
    (daemon,) = started
    places = (("::1", 22), ("", 0), ("localhost", 65535))
    assert daemon.addresses == tuple(Address(*place) for place in places)
    assert (daemon.state, daemon.users, daemon.run_as) == (Path("s"), "system", "nobody")
    assert (daemon.rules.base.max_sessions, daemon.profile) == (3, "legacy")


@pytest.mark.parametrize(
    ("words", "protocol", "strict"),
    [
        ("", (2,), False),
        ("--protocol 2,1", (2, 1), False),
        ("-o Protocol=1", (1,), False),
        ("--protocol 2,1 --ssh1-strict", (2, 1), True),
    ],
)
def test_versions(
    started: list[Daemon], words: str, protocol: tuple[int, ...], strict: bool
) -> None:
    assert CliRunner().invoke(command, words.split()).exit_code == 0
    (daemon,) = started
    assert (daemon.rules.base.protocol, daemon.ssh1_strict) == (protocol, strict)


@pytest.mark.parametrize(
    "words",
    [
        "--listen 127.0.0.1",
        "--listen 127.0.0.1:65536",
        "--listen ::1:22",
        "--listen x",
        "--users ldap",
        "-o Nonsense=1",
        "-o MaxSessions",
        "--profile weak",
        "--protocol 3",
        "extra",
    ],
)
def test_usage_errors(started: list[Daemon], words: str) -> None:
    done = CliRunner().invoke(command, words.split())
    assert done.exit_code == 2
    assert "Error:" in done.output
    assert started == []


def test_addresses_are_shown_as_they_are_given() -> None:
    assert show("127.0.0.1", 22) == "127.0.0.1:22"
    assert show("::1", 22) == "[::1]:22"


def test_a_file_configures_the_server(started: list[Daemon], tmp_path: Path) -> None:
    (tmp_path / "c").write_text("MaxSessions 3\nMaxAuthTries 4\nMatch user bob\nMaxSessions 5\n")
    words = ["-f", str(tmp_path / "c"), "-o", "MaxAuthTries=2"]
    assert CliRunner().invoke(command, words).exit_code == 0
    (daemon,) = started
    assert (daemon.config.max_sessions, daemon.config.max_auth_tries) == (3, 2)
    assert daemon.rules.lookup(Connecting(user="bob")).max_sessions == 5


def test_the_configuration_is_checked(started: list[Daemon], tmp_path: Path) -> None:
    (tmp_path / "c").write_text("MaxSessions 3\n")
    words = ["-t", "-f", str(tmp_path / "c")]
    done = CliRunner().invoke(command, words)
    assert (done.exit_code, done.output) == (0, "")
    (tmp_path / "c").write_text("MaxSessions x\nMatch user bob\nPort 3\n")
    done = CliRunner().invoke(command, words)
    assert done.exit_code == 2
    assert f"{tmp_path}/c line 1: MaxSessions: bad value 'x'" in done.output
    assert f"{tmp_path}/c line 3: Port can't stand in a Match block" in done.output
    assert not started


def test_the_configuration_is_shown_for_a_connection(started: list[Daemon], tmp_path: Path) -> None:
    (tmp_path / "c").write_text("RevokedKeys /r\nMatch user bob\nMaxSessions 5\n")
    words = ["-T", "-f", str(tmp_path / "c")]
    shown = CliRunner().invoke(command, words).output.splitlines()
    assert {"maxsessions 10", "revokedkeys /r", "requiredrsasize 1024"} <= set(shown)
    shown = CliRunner().invoke(command, [*words, "-v", "-C", "user=bob"]).output.splitlines()
    assert f"maxsessions 5  # {tmp_path}/c line 3" in shown
    assert CliRunner().invoke(command, [*words, "-C", "nonsense"]).exit_code == 2
    (tmp_path / "c").write_text("KerberosOrLocalPasswd no\n")
    assert CliRunner().invoke(command, ["-t", *words[1:]]).exit_code == 2  # nacre has no Kerberos
    assert not started
