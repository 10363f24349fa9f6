"""Connections at rest: what has them go on, and what ends them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any, cast

import pytest

from daemon.separate.test_users import FakeVisit
from daemon.separate.watched import until
from nacre.daemon.separate.resting import RestingVisits
from nacre.daemon.separate.visit import Visit


class At:
    """A connection that rests.

    :ivar client: the other end of its socket.
    """

    def __init__(self, keepalive: float | None = None) -> None:
        self.sock, self.client = socket.socketpair()
        self.visit = FakeVisit(b"session", socket.socket())
        self.visit.keepalive = keepalive, 3  # type: ignore[assignment]
        self.resting = RestingVisits()

    def begin(self) -> None:
        self.visit.sock.close()
        self.resting.add(cast(Visit, self.visit), self.sock, b"state")


@pytest.fixture
def at() -> Iterator[At]:
    one = At()
    yield one
    one.client.close()
    one.sock.close()
    one.visit.sock.close()


async def test_it_goes_on_when_the_client_sends_something(at: At) -> None:
    at.begin()
    at.client.send(b"x")
    await until(lambda: at.visit.went)
    assert at.visit.went == [b"state"]
    assert at.visit.drop is None
    at.client.send(b"more")
    await asyncio.sleep(0)
    assert at.visit.went == [b"state"], "it is no longer waited for"


async def test_a_client_that_goes_is_forgotten_without_a_process(at: At) -> None:
    at.begin()
    at.client.send(b"a last word")
    at.client.close()
    await until(lambda: at.visit.went)
    assert at.visit.went == [("closed", "the client has closed the connection"), "left"]


async def test_it_goes_on_when_a_keepalive_is_due() -> None:
    at = At(keepalive=0.001)
    at.begin()
    await until(lambda: at.visit.went)
    assert at.visit.went == [b"state"]
    at.visit.leave()
    at.client.close()


async def test_a_client_is_told_why_the_connection_ends(at: At) -> None:
    at.begin()
    drop: Any = at.visit.drop
    drop("the session of PAM is over")
    assert at.visit.went == ["the session of PAM is over", b"state"]


async def test_all_end_with_the_server_and_those_to_come(at: At) -> None:
    at.begin()
    at.resting.close()
    assert at.visit.went == [("closed", "the server stops"), "left"]
    sock, client = socket.socketpair()
    later = FakeVisit(b"later", sock)
    at.resting.add(cast(Visit, later), sock, b"state")
    assert later.went == ["left"]
    client.close()
