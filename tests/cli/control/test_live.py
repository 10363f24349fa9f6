"""A live session at this terminal."""

from __future__ import annotations

import os
import pty
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from daemon.control.answering import connection
from nacre.cli.control.live import (
    BROKEN,
    Leaves,
    LiveSession,
    LiveTerminal,
    LiveText,
    chosen,
    joining,
    quitting,
    show,
)
from nacre.daemon.control.values import ControlError, Details, Running
from nacre.daemon.recording.frames import FrameReader, frame
from nacre.daemon.watching.frames import WatchFrame, WatchOrder


def details(*running: Running) -> Details:
    return Details(
        idle=1.0,
        received=None,
        sent=None,
        sessions=len(running),
        forwards=0,
        listens=0,
        running=running,
    )


def running(channel: int, request: str = "command", *, terminal: bool = False) -> Running:
    return Running(channel=channel, request=request, what="make", terminal=terminal)


@pytest.mark.parametrize(
    ("sessions", "channel", "found"),
    [
        ([running(3)], None, 3),
        ([running(3), running(4, "subsystem")], None, 3),
        ([running(3), running(4, "shell", terminal=True)], None, 4),
        ([running(3), running(4)], 4, 4),
    ],
)
def test_a_session_that_can_be_meant_is_chosen(
    sessions: list[Running], channel: int | None, found: int
) -> None:
    assert chosen([connection("1.1", details=details(*sessions))], "1.1", channel) == found


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ({"details": None, "state": "rest"}, "1.1 is at rest"),
        ({"details": None, "state": "login"}, "1.1 logs in"),
        ({"details": None}, "1.1 is served by a process that does not answer"),
        ({"details": details()}, "has no command or shell"),
        ({"details": details(running(0, "subsystem"))}, "has no command or shell"),
        ({"details": details(running(0), running(2))}, r"--channel: .* 0 \(make\), 2 \(make\)"),
        ({"number": "1.2"}, "there is no connection 1.1"),
    ],
)
def test_what_can_not_be_chosen_is_said(made: dict[str, Any], said: str) -> None:
    with pytest.raises(ControlError, match=said):
        chosen([connection(**{"number": "1.1", **made})], "1.1", None)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.settimeout(20)
    with ours, theirs:
        yield ours, theirs


ALL = (
    frame(WatchFrame.SIZE, b"[100,30]")
    + frame(WatchFrame.SCREEN, b"last ")
    + frame(WatchFrame.OUTPUT, b"\x1b[1mmore\xc3")
    + frame(WatchFrame.OUTPUT, b"\xa4 ")
    + frame(WatchFrame.ERRORS, b"wrong ")
    + frame(WatchFrame.SKIPPED, b"70")
    + frame(WatchFrame.SIZE, b"[100,30]")
    + frame(WatchFrame.SCREEN, b"anew ")
    + frame(WatchFrame.END, b"3")
)
GAP = "[70 bytes are missing here]\n"


@pytest.mark.parametrize(
    ("screen", "out", "err"),
    [
        (LiveText, "last moreä ", f"wrong {GAP}"),
        (lambda: LiveTerminal(redraws=False), "last \x1b[1mmoreä ", f"wrong {GAP}"),
        (
            lambda: LiveTerminal(redraws=True),
            "\x1b[8;30;100t\x1b[0m\x1b[H\x1b[2J\x1b[3Jlast \x1b[1mmoreä "
            "\x1b[8;30;100t\x1b[0m\x1b[H\x1b[2J\x1b[3Janew ",
            "wrong ",
        ),
    ],
    ids=["text", "pipe", "terminal"],
)
def test_a_session_is_shown(
    screen: Any,
    out: str,
    err: str,
    ends: tuple[socket.socket, socket.socket],
    capfd: pytest.CaptureFixture[str],
) -> None:
    ends[1].sendall(ALL)
    assert LiveSession(ends[0], screen(), None, quitting).run() == 3
    assert capfd.readouterr() == (out, err)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        frame(WatchFrame.TYPED, b"x"),
        frame(WatchFrame.SIZE, b"[1]"),
        frame(WatchFrame.SIZE, b"{}"),
        frame(WatchFrame.SKIPPED, b"x"),
        b"\xff" * 10,
    ],
    ids=["nothing", "typed", "one number", "no list", "no number", "too long"],
)
def test_a_process_that_ends_or_sends_what_is_wrong_is_left(
    sent: bytes, ends: tuple[socket.socket, socket.socket]
) -> None:
    ends[1].sendall(sent)
    ends[1].shutdown(socket.SHUT_WR)
    with pytest.raises(ControlError, match="the process of the session is gone"):
        LiveSession(ends[0], LiveTerminal(redraws=False), None, quitting).run()


@pytest.mark.parametrize("size", [b"[0,0]", b"[-1,5]", b'["1",5]', b"[99999999,5]", b"[true,5]"])
def test_a_size_that_no_terminal_has_is_ignored(
    size: bytes, ends: tuple[socket.socket, socket.socket], capfd: pytest.CaptureFixture[str]
) -> None:
    ends[1].sendall(frame(WatchFrame.SIZE, size) + frame(WatchFrame.END))
    assert LiveSession(ends[0], LiveTerminal(redraws=True), None, quitting).run() is None
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("key", [b"q", b"\x03", b"abq"])
def test_a_key_leaves_and_others_are_nothing(key: bytes) -> None:
    assert quitting(b"abc \r") == b""
    with pytest.raises(Leaves):
        quitting(key)


def test_who_joins_types_all_but_the_escape() -> None:
    take = joining()
    assert take(b"ls ~.\r") == b"ls ~.\r"
    assert take(b"~~x~.\r~") == b"~x~.\r"
    assert take(b"?") == b"~?"
    assert take(b"\r") == b"\r"
    with pytest.raises(Leaves):
        take(b"~.")


class Caller:
    """A connection to a server that a test makes up."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.orders: list[WatchOrder] = []

    def watch(self, order: WatchOrder) -> tuple[object, socket.socket]:
        self.orders.append(order)
        return None, self.sock


@pytest.mark.parametrize(
    ("sent", "said", "status"),
    [
        (frame(WatchFrame.END, b"0"), "ended with the exit status 0", 0),
        (frame(WatchFrame.END, b"300"), "ended with the exit status 44", 44),
        (frame(WatchFrame.END), "by a signal or because its client has left", BROKEN),
        (b"", "the process of the session is gone", BROKEN),
    ],
    ids=["0", "300", "a signal", "gone"],
)
def test_the_exit_status_is_that_of_the_session(
    sent: bytes,
    said: str,
    status: int,
    ends: tuple[socket.socket, socket.socket],
    capfd: pytest.CaptureFixture[str],
) -> None:
    ends[1].sendall(sent)
    ends[1].shutdown(socket.SHUT_WR)
    caller: Any = Caller(ends[0])
    order = WatchOrder(id="1.1", channel=0)
    assert show(caller, order, text=True) == status
    assert said in capfd.readouterr().err
    assert caller.orders == [order]


def test_keys_are_sent_as_frames(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    master, slave = pty.openpty()
    try:
        os.write(master, b"ls\r")
        session = LiveSession(ends[0], LiveTerminal(redraws=False), slave, joining())
        ends[1].sendall(frame(WatchFrame.OUTPUT))
        session._type(os.read(slave, 100))
        assert FrameReader(WatchFrame).feed(ends[1].recv(100)) == [(WatchFrame.TYPED, b"ls\n")]
    finally:
        os.close(master)
        os.close(slave)
