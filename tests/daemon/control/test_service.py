"""The control socket: bounded clients, none of which holds up the others."""

from __future__ import annotations

import json
import os
import pwd
import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from daemon.control.answering import Answering, MadeUp, answering, connection
from nacre.daemon.control import followers as followers_module
from nacre.daemon.control import service
from nacre.daemon.control.place import connected
from nacre.daemon.control.requests import LONGEST
from nacre.daemon.control.values import (
    Begun,
    Connected,
    Finished,
    Logged,
    Lost,
    Rejected,
    value_of,
)

WHO = b'{"ask": "who"}\n'


@pytest.fixture
def roster() -> MadeUp:
    return MadeUp(connection())


@pytest.fixture
def server(state: Path, roster: MadeUp) -> Iterator[Answering]:
    with answering(state, roster) as server:
        yield server


def client(state: Path) -> socket.socket:
    sock = connected(state)
    sock.settimeout(20)
    return sock


def answer(sock: socket.socket, count: int = 1) -> list[object]:
    with sock.makefile("rb") as lines:
        return [value_of(lines.readline()) for _ in range(count)]


def test_one_client_asks_several_times(state: Path, server: Answering) -> None:
    with client(state) as sock:
        for _ in range(3):
            sock.sendall(WHO)
            assert answer(sock, 2) == [connection(), Finished()]


def test_what_is_no_request_is_refused_and_the_next_one_answered(
    state: Path, server: Answering
) -> None:
    with client(state) as sock:
        sock.sendall(b"\xff\n")
        assert answer(sock) == [Rejected(reason="a line is no object of JSON")]
        sock.sendall(WHO)
        assert answer(sock, 2)[1] == Finished()


def test_a_line_that_is_too_long_ends_the_client(state: Path, server: Answering) -> None:
    with client(state) as sock, sock.makefile("rb") as lines:
        sock.sendall(b"x" * (LONGEST + 2))
        assert b"at most 65536 bytes" in lines.readline()
        assert lines.readline() == b""


def test_others_than_the_owner_and_root_are_refused(
    state: Path, server: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "peer_of", lambda sock: (os.getpid(), os.geteuid() + 1))
    with client(state) as sock:
        (refused,) = answer(sock)
    assert isinstance(refused, Rejected)
    assert "for the server's account and root alone" in refused.reason


def test_one_client_too_many_is_refused_at_once(state: Path, server: Answering) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(client(state)) for _ in range(service.MOST_CLIENTS)]
        for one in clients:
            one.sendall(WHO)
            assert len(answer(one, 2)) == 2
        with client(state) as sock:
            (refused,) = answer(sock)
    assert isinstance(refused, Rejected)
    assert "16 programs talk to the server already" in refused.reason


def test_one_who_reads_nothing_is_dropped_and_holds_up_nobody(
    state: Path, server: Answering, roster: MadeUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_PATIENCE", 0.5)
    roster.all = [connection(f"1.{number}") for number in range(5000)]
    with client(state) as mute, client(state) as other:
        mute.sendall(WHO)
        other.sendall(WHO)
        found = answer(other, 5001)
        assert sum(isinstance(one, Connected) for one in found) == 5000
        # All that was written for it before is much less than the answer.
        with mute.makefile("rb") as lines:
            assert lines.readline()
            other.sendall(WHO)
            assert len(answer(other, 5001)) == 5001
            # It would get the rest if it read on before it is dropped.
            dropped = select.poll()
            dropped.register(mute, select.POLLRDHUP)
            assert dropped.poll(20_000)
            left = lines.read()
        assert b"finished" not in left


def until_followed(server: Answering, sock: socket.socket) -> None:
    """Have records logged until one arrives: nothing tells when somebody follows."""
    sock.settimeout(0.05)
    while True:
        server.record({"event": "first"})
        try:
            if sock.recv(1, socket.MSG_PEEK):
                break
        except TimeoutError:
            continue
    sock.settimeout(20)


def test_the_log_is_followed_until_the_client_goes(state: Path, server: Answering) -> None:
    with client(state) as sock:
        sock.sendall(b'{"ask": "log", "events": ["first", "last"]}\n')
        until_followed(server, sock)
        server.record({"event": "other"})
        server.record({"event": "last", "user": "alice"})
        with sock.makefile("rb") as lines:
            while (value := value_of(lines.readline())).record["event"] == "first":
                pass
        assert isinstance(value, Logged)
        assert (value.record["user"], value.record["level"]) == ("alice", "info")
        sock.sendall(b"\n")  # something else ends it
        sock.shutdown(socket.SHUT_WR)
    with client(state) as sock:
        sock.sendall(WHO)
        assert len(answer(sock, 2)) == 2


def test_a_slow_reader_of_the_log_is_told_what_it_has_lost(
    state: Path, server: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(followers_module, "MOST_WAITING", 5)
    with client(state) as sock:
        sock.sendall(b'{"ask": "log"}\n')
        until_followed(server, sock)
        count = 2000
        for number in range(count):
            server.record({"event": "much", "text": "x" * 1000, "number": number})
        server.record({"event": "done"})
        with client(state) as other:  # is answered when all records were taken
            other.sendall(WHO)
            assert len(answer(other, 2)) == 2
        found, lost = 0, 0
        with sock.makefile("rb") as lines:
            while found + lost < count + 1:
                value = value_of(lines.readline())
                if isinstance(value, Lost):
                    lost += value.lines
                elif value.record["event"] != "first":
                    found += 1
    assert lost > 0
    assert found > 0


def test_half_of_the_clients_may_follow(state: Path, server: Answering) -> None:
    with ExitStack() as stack:
        for _ in range(service.MOST_CLIENTS // 2):
            sock = stack.enter_context(client(state))
            sock.sendall(b'{"ask": "log"}\n')
            until_followed(server, sock)
        with client(state) as sock:
            sock.sendall(b'{"ask": "log"}\n')
            assert answer(sock) == [Rejected(reason="8 programs follow the log already")]


def test_a_filter_that_names_too_many_is_refused(state: Path, server: Answering) -> None:
    with client(state) as sock:
        sock.sendall(json.dumps({"ask": "log", "users": ["x"] * 2000}).encode() + b"\n")
        (refused,) = answer(sock)
    assert isinstance(refused, Rejected)
    assert "at most 1000" in refused.reason


def test_who_watches_gets_what_the_session_sends_and_nothing_else(
    state: Path, server: Answering, roster: MadeUp
) -> None:
    me = pwd.getpwuid(os.geteuid()).pw_name
    with client(state) as sock:
        sock.sendall(WHO)
        assert answer(sock, 2)[1] == Finished()
        sock.sendall(b'{"ask": "watch", "id": "1.1", "channel": 3, "by": "somebody"}\n')
        with sock.makefile("rb") as lines:
            assert value_of(lines.readline()) == Begun(terminal=True)
            assert lines.read() == b"frames"
    # The system says which account it is, whatever name the program gives.
    by = f"somebody through {me}"
    assert [(one.channel, one.by) for one in roster.orders] == [(3, by)]


def test_who_can_not_watch_may_ask_something_else(
    state: Path, server: Answering, roster: MadeUp
) -> None:
    roster.refuses = "not now"
    with client(state) as sock:
        for _ in range(3):
            sock.sendall(b'{"ask": "watch", "id": "1.1", "channel": 0}\n')
            assert answer(sock) == [Rejected(reason="not now")]
        sock.sendall(WHO)
        assert answer(sock, 2) == [connection(), Finished()]


def test_those_who_watch_take_no_place_of_others(
    state: Path, server: Answering, roster: MadeUp
) -> None:
    with ExitStack() as stack:
        for _ in range(service.MOST_CLIENTS + 4):
            sock = stack.enter_context(client(state))
            sock.sendall(b'{"ask": "watch", "id": "1.1", "channel": 0}\n')
            assert answer(sock) == [Begun(terminal=True)]
