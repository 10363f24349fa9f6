"""Those who follow the log."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from nacre.daemon.control import followers as followers_module
from nacre.daemon.control.followers import Follower, Followers
from nacre.daemon.control.values import Logged, Lost


async def taken(follower: Follower, count: int) -> list[object]:
    found: list[object] = []
    async with asyncio.timeout(30):
        async for value in follower.values():
            found.append(value)
            if len(found) == count:
                break
    return found


@pytest.mark.parametrize(
    ("users", "events", "found"),
    [
        ((), (), [0, 1, 2, 3]),
        (("alice",), (), [0, 1]),
        ((), ("auth",), [1, 2]),
        (("alice",), ("auth", "exit"), [1]),
    ],
)
async def test_what_is_wanted_is_given(
    users: tuple[str, ...], events: tuple[str, ...], found: list[int]
) -> None:
    records: list[Mapping[str, object]] = [
        {"event": "session", "user": "alice"},
        {"event": "auth", "name": "alice"},
        {"event": "auth", "name": "bob"},
        {"event": "accepted"},
    ]
    follower = Follower(users, events)
    for record in records:
        follower.take(record)
    values = await taken(follower, len(found))
    assert values == [Logged(record=records[number]) for number in found]


async def test_one_who_does_not_read_loses_records_and_is_told_how_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(followers_module, "MOST_WAITING", 2)
    follower = Follower()
    for number in range(5):
        follower.take({"event": str(number)})
    follower.lose(10)
    first = await taken(follower, 3)
    assert first == [Logged(record={"event": "0"}), Logged(record={"event": "1"}), Lost(lines=13)]
    follower.take({"event": "5"})
    assert await taken(follower, 1) == [Logged(record={"event": "5"})]


async def test_records_of_threads_come_with_their_time() -> None:
    told: list[bool] = []
    followers = Followers(told.append)
    followers.take({"event": "before"})
    with followers.joined(Follower()) as one, followers.joined(Follower()) as two:
        await asyncio.to_thread(followers.take, {"event": "x"})
        for follower in (one, two):
            (value,) = await taken(follower, 1)
            assert isinstance(value, Logged)
            assert list(value.record) == ["time", "event"]
        followers.lose(4)
        assert await taken(one, 1) == [Lost(lines=4)]
    assert told == [True, False]
