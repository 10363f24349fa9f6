"""The policy of virtual users where several servers share a store: connections count on all."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from daemon.accounts.test_policy import RUN_AS, Connection
from nacre.aio.maybe import settled
from nacre.daemon.accounts.virtual.policy import StorePolicy
from nacre.daemon.store.store import FILE, UserStore
from nacre.daemon.store.values import StoredUser
from nacre.errors import DisconnectCode, StateError


class FakeLease:
    """Lets so many in, or has no answer."""

    def __init__(self) -> None:
        self.noted: list[str] = []
        self.asked: list[tuple[str, int]] = []
        self.answer: bool | StateError = True

    def note(self, client: Any, user: str, methods: Sequence[str]) -> None:
        self.noted.append(user)

    async def enter(self, client: Any, user: str, methods: Sequence[str], most: int) -> bool:
        self.asked.append((user, most))
        await asyncio.sleep(0)
        if isinstance(self.answer, StateError):
            raise self.answer
        return self.answer


@pytest.fixture
def policy(tmp_path: Path) -> Iterator[Any]:
    store = UserStore(tmp_path / FILE)
    store.add(StoredUser(name="alice", max_sessions=2))
    store.add(StoredUser(name="bob"))
    made = StorePolicy(store, RUN_AS)
    yield made
    made.close()
    store.close()


@pytest.fixture
def lease(policy: Any) -> FakeLease:
    policy.lease = FakeLease()
    found: FakeLease = policy.lease
    return found


def login(policy: Any, user: str, connection: Connection) -> Any:
    return policy.authenticated(user, ("publickey",), connection)


async def test_who_may_have_any_number_waits_for_nobody(policy: Any, lease: FakeLease) -> None:
    assert login(policy, "bob", Connection()) is None
    assert (lease.noted, lease.asked) == (["bob"], [])


async def test_who_may_have_some_is_counted_first(policy: Any, lease: FakeLease) -> None:
    connection = Connection()
    await settled(login(policy, "alice", connection))
    assert (lease.asked, lease.noted, connection.failures) == ([("alice", 2)], ["alice"], [])
    lease.answer = False
    await settled(login(policy, "alice", connection))
    ((code, told),) = connection.failures
    assert code == DisconnectCode.TOO_MANY_CONNECTIONS
    assert "you have 2 connections to this server already" in told
    assert lease.noted == ["alice"]


async def test_without_an_answer_the_connection_is_ended(policy: Any, lease: FakeLease) -> None:
    connection = Connection()
    lease.answer = StateError("the store of all nodes gives no answer")
    await settled(login(policy, "alice", connection))
    assert connection.failures == [
        (DisconnectCode.BY_APPLICATION, "the server can't serve this user now")
    ]
    assert connection.reasons == ["the store of all nodes gives no answer"]
    assert lease.noted == []
