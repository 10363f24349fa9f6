"""A session: the order of its requests, its state, and what its handler leaves."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

import nacre
from nacre.errors import LocalProtocolError
from nacre.protocol.asks import AskRequest, Denied, Granted
from nacre.protocol.requests import (
    Break,
    Env,
    Exec,
    ExitSignal,
    ExitStatus,
    OtherRequest,
    PtyRequest,
    Request,
    Shell,
    Signal,
    Subsystem,
    WindowChange,
)
from nacre.protocol.tcpip import AGENT_REQUEST, X11_REQUEST
from nacre.server.session import Session
from nacre.tunnels.metered import MeteredWriter
from nacre.wire.numbers import MAIN
from server.stand_ins import FakeChannel, FakeHost, RecordingConnection

PTY = PtyRequest("xterm\x07", 80, 24, 640, 480, b"\0")


class Stage:
    """A session with its connection, channel and host."""

    def __init__(self) -> None:
        self.connection = RecordingConnection()
        self.channel = FakeChannel()
        self.host = FakeHost()
        channel: Any = self.channel
        self.session = Session(self.connection, channel, self.host)
        self._asked = 0

    def ask(self, request: Request) -> int:
        self._asked += 1
        ask = AskRequest(channel=self.channel.number, request=request)
        ask.ask_id = self._asked
        self.session.decide(ask)
        return self._asked

    async def decided(self, *requests: Request) -> list[bool]:
        """Return which of the requests were granted."""
        numbers = [self.ask(request) for request in requests]
        await self.connection.idle()
        answers = [self.connection.answers[number] for number in numbers]
        assert all(isinstance(answer, (Granted, Denied)) for answer in answers)
        return [isinstance(answer, Granted) for answer in answers]

    async def end(self) -> None:
        self.channel.gone()
        async with asyncio.timeout(30):
            await asyncio.gather(*self.host.tasks, return_exceptions=True)


@pytest.fixture
async def stage() -> Stage:
    return Stage()


async def test_requests_are_decided_in_order_and_after_the_welcome(stage: Stage) -> None:
    stage.host.welcomed.clear()
    numbers = [stage.ask(request) for request in (Env("LANG", "C"), PTY, Shell())]
    await asyncio.sleep(0)
    assert stage.connection.answers == {}
    stage.host.welcomed.set()
    await stage.connection.idle()
    assert list(stage.connection.answers) == numbers
    assert stage.host.asked == [PTY, Shell()]
    await stage.end()


async def test_only_accepted_variables_are_set(stage: Stage) -> None:
    asked = Env("LANG", "C"), Env("LD_PRELOAD", "x.so")
    assert await stage.decided(*asked) == [True, False]
    assert stage.session.environment == {"LANG": "C"}
    assert stage.host.asked == []


async def test_a_command_is_known_to_the_policy_and_kept_when_granted(stage: Stage) -> None:
    assert await stage.decided(Exec(b"ls \x1b")) == [True]
    assert (stage.session.command, stage.session.subsystem) == (b"ls \x1b", None)
    assert stage.connection.recorded("session") == [
        {"channel": 3, "request": "exec", "granted": True, "command": "ls \\x1b"}
    ]
    await stage.end()


@pytest.mark.parametrize("request_", [Exec(b"ls"), Subsystem("sftp"), Shell()])
async def test_what_is_refused_leaves_no_trace_in_the_session(
    stage: Stage, request_: Request
) -> None:
    stage.host.grants.clear()
    assert await stage.decided(request_) == [False]
    assert (stage.session.command, stage.session.subsystem) == (None, None)
    assert stage.host.tasks == []


async def test_unknown_requests_are_refused_without_asking(stage: Stage) -> None:
    assert await stage.decided(OtherRequest("x@example.com", b"")) == [False]
    assert stage.host.asked == []


async def test_a_terminal_is_kept_and_follows_its_window(stage: Stage) -> None:
    sizes: list[tuple[int, int]] = []
    stage.channel.on_request(WindowChange(1, 1, 0, 0))  # without a terminal it has no effect
    assert await stage.decided(PTY) == [True]
    stage.session.on_resize = lambda terminal: sizes.append((terminal.columns, terminal.rows))
    stage.channel.on_request(WindowChange(132, 50, 0, 0))
    terminal = stage.session.terminal
    assert terminal is not None
    assert (terminal.columns, terminal.rows, terminal.width, terminal.term) == (
        *(132, 50, 0, "xterm\x07"),
    )
    assert sizes == [(132, 50)]


async def test_signals_and_breaks_reach_their_callbacks(stage: Stage) -> None:
    seen: list[object] = []
    assert await stage.decided(Break(500)) == [False]
    stage.session.on_signal = seen.append
    stage.session.on_break = seen.append
    stage.channel.on_request(Signal("TERM"))
    assert await stage.decided(Break(500)) == [True]
    assert seen == ["TERM", 500]


async def test_a_callback_that_raises_is_recorded_and_survived(stage: Stage) -> None:
    def fail(name: str) -> None:
        raise ZeroDivisionError("a bug")

    stage.session.on_signal = fail
    stage.channel.on_request(Signal("TERM"))
    (record,) = stage.connection.recorded("error")
    assert record["what"] == "a session's callback failed"


@pytest.mark.parametrize("granted", [True, False])
async def test_the_agent_is_forwarded_when_the_policy_allows_it(
    stage: Stage, granted: bool
) -> None:
    stage.host.agent = granted
    assert await stage.decided(OtherRequest(AGENT_REQUEST, b"")) == [granted]
    assert stage.session.forwards_agent is granted
    if not granted:
        with pytest.raises(LocalProtocolError, match="forwards_agent"):
            stage.session.agent_socket()


async def test_a_session_has_one_display_until_it_ends(stage: Stage) -> None:
    closed: list[bool] = []
    for _ in range(2):
        display: Any = SimpleNamespace(close=lambda: closed.append(True))
        stage.host.displays.append(display)
    asked = OtherRequest(X11_REQUEST, b"")
    assert await stage.decided(asked) == [True]
    assert await stage.decided(asked) == [False]
    assert stage.session.x11 is not None
    stage.channel.gone()
    assert closed == [True]


async def test_a_display_is_refused_as_the_host_says(stage: Stage) -> None:
    assert await stage.decided(OtherRequest(X11_REQUEST, b"")) == [False]
    assert stage.session.x11 is None


async def test_the_handlers_status_ends_the_session(stage: Stage) -> None:
    stage.host.status = 3
    stage.host.release.set()
    assert await stage.decided(Shell()) == [True]
    async with asyncio.timeout(30):
        await stage.host.tasks[0]
    assert stage.channel.requests == [ExitStatus(3)]
    assert stage.channel.closing
    assert stage.connection.recorded("exit") == [{"channel": 3, "status": 3}]


async def test_a_handler_that_raises_exits_with_255(stage: Stage) -> None:
    stage.host.status = ZeroDivisionError("a bug")
    stage.host.release.set()
    await stage.decided(Shell())
    async with asyncio.timeout(30):
        await stage.host.tasks[0]
    assert stage.channel.requests == [ExitStatus(255)]
    assert len(stage.connection.recorded("error")) == 1


async def test_a_handler_that_raises_because_the_client_is_gone_is_no_error(
    stage: Stage,
) -> None:
    stage.host.status = nacre.ConnectionLost("gone")
    await stage.decided(Shell())
    await stage.host.served.wait()
    stage.channel.closed = True
    stage.host.release.set()
    async with asyncio.timeout(30):
        await stage.host.tasks[0]
    assert stage.connection.recorded("error") == []
    assert stage.channel.requests == []


async def test_only_the_first_exit_counts(stage: Stage) -> None:
    stage.session.exit_signal("SIGTERM", core_dumped=True, message="bye")
    stage.session.exit(1)
    assert stage.channel.requests == [ExitSignal("TERM", True, "bye", "")]
    assert len(stage.connection.recorded("exit")) == 1


async def test_a_closed_channel_cancels_the_handler_and_drops_what_is_undecided(
    stage: Stage,
) -> None:
    await stage.decided(Shell())
    await stage.host.served.wait()
    stage.host.welcomed.clear()
    number = stage.ask(Shell())
    await asyncio.sleep(0)
    stage.channel.gone()
    stage.host.welcomed.set()
    with pytest.raises(asyncio.CancelledError):
        await stage.host.tasks[0]
    await stage.connection.idle()
    assert stage.host.ended == [3]
    assert number not in stage.connection.answers
    assert await stage.session.stdin.read() == b""


async def test_serves_is_the_hosts_answer(stage: Stage) -> None:
    assert stage.session.serves(Exec(b"x")) is True
    assert stage.session.serves(Shell()) is False


async def test_a_session_is_held_to_a_meter(stage: Stage) -> None:
    counted: list[tuple[str, int]] = []

    class Meter:
        def take(self, way: str, size: int) -> bool:
            counted.append((way, size))
            return True

    channel: Any = stage.channel
    channel.sinks[MAIN].feed(b"early")  # before it is known whose session it is
    meter: Any = Meter()
    stage.session.hold_to(meter)
    channel.sinks[MAIN].feed(b", late")
    assert await stage.session.stdin.read(100) == b"early, late"
    assert counted == [("up", 11)]
    assert isinstance(stage.session.stdout, MeteredWriter)
    assert isinstance(stage.session.stderr, MeteredWriter)
