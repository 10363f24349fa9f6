"""What a configuration and a command line make of a session."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from nacre.cli.ssh.session import Plan, TerminalSession, plan
from nacre.config.client.files import parse
from nacre.errors import ConfigurationError, ConnectionLost
from parties import client_for, hangs_up_after
from party_fixtures import host_key, make_server, records  # noqa: F401


def planned(*options: str, command: str | None = None) -> tuple[Plan, list[str]]:
    notices: list[str] = []
    return plan(parse(options), command, {"h": "host"}, notices.append), notices


def on_a_terminal(monkeypatch: pytest.MonkeyPatch, *, yes: bool) -> None:
    monkeypatch.setattr(os, "isatty", lambda descriptor: yes)


def test_the_command_is_that_of_the_command_line_or_remote_command() -> None:
    assert planned("RemoteCommand=echo %h %%")[0].command == b"echo host %"
    assert planned("RemoteCommand=none", command="id")[0].command == b"id"
    with pytest.raises(ConfigurationError, match=r"^Cannot execute command-line and remote"):
        planned("RemoteCommand=uptime", command="id")
    with pytest.raises(ConfigurationError, match="%x is not possible here"):
        planned("RemoteCommand=%x")
    assert planned()[0].command is None
    assert planned(command="caf\udce9")[0].command == b"caf\xe9"


def test_a_subsystem() -> None:
    found, _ = planned("SessionType=subsystem", command="sftp")
    assert (found.command, found.subsystem) == (None, "sftp")
    with pytest.raises(ConfigurationError, match=r"^You must specify a subsystem to invoke\.$"):
        planned("SessionType=subsystem")


@pytest.mark.parametrize(
    ("options", "command", "terminal", "wanted"),
    [
        ([], None, True, True),
        ([], "id", True, False),
        ([], None, False, False),
        (["RequestTTY=yes"], "id", True, True),
        (["RequestTTY=yes"], "id", False, False),
        (["RequestTTY=force"], "id", False, True),
        (["RequestTTY=no"], None, True, False),
        (["SessionType=none"], None, True, False),
        (["StdinNull=yes"], None, True, False),
    ],
)
def test_when_a_terminal_is_requested(
    options: list[str],
    command: str | None,
    terminal: bool,
    wanted: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    on_a_terminal(monkeypatch, yes=terminal)
    assert planned(*options, command=command)[0].terminal is wanted


def test_a_terminal_that_can_t_be_requested_is_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_terminal(monkeypatch, yes=False)
    text = "Pseudo-terminal will not be allocated because stdin is not a terminal."
    assert planned("RequestTTY=yes", command="id")[1] == [text]
    assert planned(command="id")[1] == []


def test_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*os.environ]:
        monkeypatch.delenv(name)
    for name in ("LC_A", "LC_B", "COLOR"):
        monkeypatch.setenv(name, "local")
    found, _ = planned("SendEnv=LC_A COLOR", "SendEnv=-X", "SetEnv=LC_A=1 LC_A=2 X=3")
    assert found.environment == {"LC_A": "1", "COLOR": "local", "X": "3"}


def test_the_escape_character_and_the_input() -> None:
    found, _ = planned("EscapeChar=^]", "StdinNull=yes")
    assert (found.escape, found.read_input) == (b"\x1d", False)
    assert planned("EscapeChar=none")[0].escape is None


async def shown(server: Any, notices: list[str]) -> int:
    """Run a session without input to its end; return the program's exit status."""
    without_input, _ = planned("StdinNull=yes", command="x")
    async with client_for(server) as ssh:
        return await TerminalSession(ssh, without_input, notices.append).run()


async def test_the_status_outlives_a_server_that_hangs_up(
    make_server: Callable[..., Any],  # noqa: F811
    capfd: pytest.CaptureFixture[str],
) -> None:
    notices: list[str] = []
    server = await make_server(handler=hangs_up_after("status", status=7))
    assert await shown(server, notices) == 7
    assert capfd.readouterr() == ("answer\n", "note\n")
    assert "closed the connection" in notices[0]


@pytest.mark.parametrize("parts", [(), ("eof",), ("status",)])
async def test_output_that_was_cut_off_is_shown_and_no_success(
    parts: tuple[str, ...],
    make_server: Callable[..., Any],  # noqa: F811
    capfd: pytest.CaptureFixture[str],
) -> None:
    server = await make_server(handler=hangs_up_after(*parts))
    with pytest.raises(ConnectionLost):
        await shown(server, [])
    assert capfd.readouterr() == ("answer\n", "note\n")
