"""What can be asked of a server."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Mapping

import pytest

from daemon.control.answering import MadeUp, connection
from nacre.daemon.control.followers import Followers
from nacre.daemon.control.requests import (
    MOST_CHOSEN,
    REQUESTS,
    USUAL_REASON,
    Follow,
    Kill,
    ServerControl,
    Tell,
    Who,
    asked,
    noted_by,
    written,
)
from nacre.daemon.control.values import ControlError, Finished, Killed
from nacre.daemon.watching.frames import WatchMode, WatchOrder


@pytest.mark.parametrize(
    ("name", "request_"),
    [
        ("who", Who(everyone=True)),
        ("kill", Kill(ids=("1", "2.3"), user="alice", reason="why")),
        ("kill", Kill()),
        ("log", Follow(users=("alice",), events=("auth",))),
        ("watch", WatchOrder(id="2.1", channel=1, joins=True, quiet=True, by="root")),
    ],
)
def test_a_request_is_read_as_it_was_written(name: str, request_: object) -> None:
    assert asked(json.dumps(written(name, request_)).encode()) == (name, request_)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"who", "no object of JSON"),
        (b"{}", "ask is none of who, kill, log, tell, watch"),
        (b'{"ask": "watch", "id": "1"}', "watchorder lacks something"),
        (
            b'{"ask": "watch", "id": "1", "channel": "0"}',
            "watchorder.channel is not of the type int",
        ),
        (b'{"ask": ["who"]}', "ask is none of"),
        (b'{"ask": "who", "everyone": 1}', "who.everyone is not of the type bool"),
        (b'{"ask": "kill", "ids": "1"}', "kill.ids is not of the type"),
        (b'{"ask": "kill", "ids": [1]}', "kill.ids is not of the type str"),
        (b'{"ask": "who", "more": 1}', "who has no 'more'"),
    ],
)
def test_what_is_no_request_is_refused(line: bytes, said: str) -> None:
    with pytest.raises(ControlError, match=said):
        asked(line)


NOTED: list[Mapping[str, object]] = []


async def values(roster: MadeUp, request_: object) -> list[object]:
    control = ServerControl(roster, Followers(), noted_by(NOTED.append))
    (handler,) = [handler for kind, handler in REQUESTS.values() if kind is type(request_)]
    async with asyncio.timeout(30):
        return [value async for value in handler(control, request_)]


async def test_who_leaves_out_those_that_log_in() -> None:
    one, two = connection("1.1"), connection("1.2", state="login")
    roster = MadeUp(one, two, silent=1)
    assert await values(roster, Who()) == [one, Finished(silent=1)]
    assert await values(roster, Who(everyone=True)) == [one, two, Finished(silent=1)]


async def test_kill_ends_what_is_named_with_a_reason_of_bounded_length() -> None:
    roster = MadeUp(connection("1.1"), connection("1.2", "bob"))
    ended = [Killed(id="1.2", user="bob"), Finished()]
    assert await values(roster, Kill(ids=("1.2", "7"), reason="x" * 10_000)) == ended
    assert await values(roster, Kill(user="bob", reason=" \n")) == ended
    assert roster.reasons == ["x" * 512, USUAL_REASON]


@pytest.mark.parametrize("kind", [Kill, Follow])
async def test_a_request_names_so_many_at_most(kind: type) -> None:
    many = ("1",) * (MOST_CHOSEN + 1)
    with pytest.raises(ControlError, match="at most 1000"):
        await values(MadeUp(), Kill(ids=many) if kind is Kill else Follow(users=many))


ORDER = WatchOrder(id="1.1", channel=0, by="root")


@pytest.mark.parametrize(
    ("mode", "order", "said"),
    [
        ("no", ORDER, "started with --no-watch"),
        ("told", WatchOrder(id="1.1", channel=0, quiet=True), "start it with --quiet-watch"),
        ("told", WatchOrder(id="9.9", channel=0), "there is no connection '9.9'"),
    ],
)
async def test_who_may_not_watch_is_told_why(mode: WatchMode, order: WatchOrder, said: str) -> None:
    roster = MadeUp(connection("1.1"))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with pytest.raises(ControlError, match=said):
            await ServerControl(roster, Followers(), noted_by(NOTED.append), mode).watch(
                order, ours
            )
        assert ours.fileno() >= 0
    assert roster.orders == []


@pytest.mark.parametrize("mode", ["told", "quiet"])
async def test_who_may_watch_is_answered_by_who_serves(mode: WatchMode) -> None:
    roster = MadeUp(connection("1.1"))
    ours, theirs = socket.socketpair()
    order = WatchOrder(id="1.1", channel=0, quiet=mode == "quiet")
    with theirs:
        await ServerControl(roster, Followers(), noted_by(NOTED.append), mode).watch(order, ours)
        assert theirs.recv(1000) == b'{"begun": {"terminal": true}}\nframes'
    assert roster.orders == [order]


async def test_what_the_api_tells_is_logged_safe_to_print() -> None:
    NOTED.clear()
    told = Tell(key="k", action="users.add", target="a\x1b[2J", status=201, peer="192.0.2.1:5")
    assert await values(MadeUp(), told) == [Finished()]
    (record,) = NOTED
    assert (record["event"], record["key"], record["status"]) == ("api", "k", 201)
    assert "\x1b" not in str(record["target"])
    assert "reason" not in record
