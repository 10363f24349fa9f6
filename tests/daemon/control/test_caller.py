"""A program asks a server."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from daemon.control.answering import MadeUp, answering, connection
from nacre.daemon.control.caller import ControlCaller
from nacre.daemon.control.place import ControlPlace
from nacre.daemon.control.requests import Kill, Who
from nacre.daemon.control.values import Begun, ControlError, Finished, Killed, line_of
from nacre.daemon.watching.frames import WatchOrder


def test_values_come_one_after_the_other(state: Path) -> None:
    roster = MadeUp(connection(), silent=2)
    with answering(state, roster), ControlCaller(state) as caller:
        assert list(caller.ask("who", Who())) == [connection()]
        assert caller.silent == 2
        ended = list(caller.ask("kill", Kill(ids=("1.1",))))
        assert ended == [Killed(id="1.1", user="alice")]
        assert caller.silent == 0


def test_what_the_server_refuses_is_an_error(state: Path) -> None:
    with answering(state, MadeUp()), ControlCaller(state) as caller:
        many = Kill(ids=("1",) * 2000)
        with pytest.raises(ControlError, match="at most 1000"):
            list(caller.ask("kill", many))


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"", "the server has ended"),
        (b"rubbish\n", "no object of JSON"),
        (line_of(Finished())[:5], "no object of JSON"),
    ],
)
def test_a_server_that_goes_away_is_an_error(state: Path, said: bytes, why: str) -> None:
    with ControlPlace(state) as place, ControlCaller(state) as caller:
        place.listener.setblocking(True)
        sock, _ = place.listener.accept()
        sock.sendall(said)
        sock.shutdown(socket.SHUT_WR)
        with pytest.raises(ControlError, match=why):
            list(caller.ask("who", Who()))
        sock.close()


def test_a_server_that_refuses_before_it_is_asked_is_heard(state: Path) -> None:
    with ControlPlace(state) as place, ControlCaller(state) as caller:
        place.listener.setblocking(True)
        sock, _ = place.listener.accept()
        with sock:
            sock.sendall(b'{"rejected": {"reason": "full"}}\n')
        with pytest.raises(ControlError, match="full"):
            list(caller.ask("who", Who()))


def test_a_server_that_says_nothing_is_given_up(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nacre.daemon.control.caller._PATIENCE", 0.1)
    with (
        ControlPlace(state),
        ControlCaller(state) as caller,
        pytest.raises(ControlError, match="does not answer"),
    ):
        list(caller.ask("who", Who()))


def test_frames_follow_the_answer_of_who_serves(state: Path) -> None:
    with answering(state, MadeUp(connection())), ControlCaller(state) as caller:
        assert len(list(caller.ask("who", Who()))) == 1
        begun, sock = caller.watch(WatchOrder(id="1.1", channel=0))
        assert begun == Begun(terminal=True)
        assert sock.recv(100) == b"frames"


def test_why_a_session_can_not_be_watched_is_raised(state: Path) -> None:
    with answering(state, MadeUp(connection())), ControlCaller(state) as caller:
        with pytest.raises(ControlError, match="no connection '7'"):
            caller.watch(WatchOrder(id="7", channel=0))
        assert len(list(caller.ask("who", Who()))) == 1
