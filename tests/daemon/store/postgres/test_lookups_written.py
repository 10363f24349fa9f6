"""What this process has written is not remembered, before the database has told of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from daemon.store.postgres.cluster import StorePlace
from nacre.crypto.password import hash_password
from nacre.daemon.accounts.virtual.policy import StorePolicy
from nacre.daemon.store.postgres import shared_database as module
from nacre.daemon.store.store import UserStore
from nacre.daemon.store.values import StoredUser
from nacre.protocol.asks import Challenge

pytestmark = pytest.mark.interop

RUN_AS = "root" if os.geteuid() == 0 else None
SECRET = b"12345678901234567890"


class SilentListener:
    """Stands in for a connection that is up and has not heard of any change yet."""

    def __init__(self, *given: object) -> None:
        pass

    def is_up(self) -> bool:
        return True

    def close(self) -> None:
        pass


class ExpiredPeer:
    """What the policy needs of a connection, and what was logged of it."""

    def __init__(self) -> None:
        self.protocol = "2.0"
        self.peer = self.local = ("192.0.2.1", 40000)
        self.methods: tuple[str, ...] = ()
        self.looked_up = self.domain = None
        self.host = "192.0.2.1"
        self.terms = None
        self.logged: list[str] = []

    def record(self, event: str, **fields: object) -> None:
        self.logged.append(f"{event} {fields}")


@pytest.fixture
def store(shared_place: StorePlace, monkeypatch: pytest.MonkeyPatch) -> Iterator[UserStore]:
    monkeypatch.setattr(module, "ChangeListener", SilentListener)
    with closing(shared_place.open()) as store:
        hashed = hash_password(b"secret", os.urandom)
        store.add(StoredUser(name="alice", password=hashed, must_change=True))
        yield store


@pytest.fixture
def policy(store: UserStore) -> Iterator[Any]:
    policy = StorePolicy(store, RUN_AS)
    yield policy
    policy.close()


async def begun(policy: Any) -> ExpiredPeer:
    peer = ExpiredPeer()
    await policy.requirement("alice", peer)
    return peer


async def test_an_expired_password_is_changed_in_the_dialogue(policy: Any) -> None:
    peer = await begun(policy)

    async def answer(*given: str) -> Any:
        return await policy.keyboard_interactive("alice", "", given or None, peer)

    assert isinstance(await answer(), Challenge)
    assert isinstance(await answer("secret"), Challenge)
    assert await answer("another one", "another one") is True
    # The next login has the new one at once.
    peer = await begun(policy)
    assert await policy.password("alice", "another one", peer) is True


async def test_an_expired_password_is_changed_by_the_method_password(policy: Any) -> None:
    peer = await begun(policy)
    assert await policy.change_password("alice", "secret", "another one", peer) is True
    assert await policy.password("alice", "another one", peer) is True


@pytest.mark.parametrize(
    "write",
    [
        lambda store: store.passwords.set("alice", None),
        lambda store: store.replace_hash("alice", "one", "two"),
        lambda store: store.change("alice", disabled=True),
        lambda store: store.factors.enrol("alice", SECRET),
        lambda store: store.remove("alice"),
    ],
)
def test_a_write_drops_the_user_at_once(
    store: UserStore, write: Callable[[UserStore], object]
) -> None:
    lookups = store.lookups
    assert lookups is not None
    for name in ("alice", "bob"):
        lookups.look_up(name)
    assert lookups.remembered("alice") is not None
    write(store)
    assert lookups.remembered("alice") is None
    assert lookups.remembered("bob") is not None
