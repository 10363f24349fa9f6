"""Users of a store that several servers share: looked up in threads, and waited for."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from nacre.crypto.password import hash_password
from nacre.daemon.accounts.virtual import shared_users as module
from nacre.daemon.accounts.virtual.shared_users import NO_ANSWER, SharedUsers, users_of
from nacre.daemon.accounts.virtual.users import UNKNOWN_USER, StoredUsers
from nacre.daemon.store.postgres.lookups import FoundLogin
from nacre.daemon.store.store import FILE, UserStore
from nacre.daemon.store.values import User
from nacre.errors import StateError
from nacre.keys import generate
from nacre.keys.shown import ShownKey
from parties import until

KEY = generate("ssh-ed25519").public
ALICE = FoundLogin(
    user=User(name="alice", password=hash_password(b"secret", os.urandom)),
    keys={KEY.blob: "no-pty"},
    public=(KEY,),
    enrolled=True,
    policies=("any", "password"),
)


class Caller:
    """A client's connection, which keeps what is logged of it."""

    def __init__(self, address: str = "192.0.2.1") -> None:
        self.peer = address, 40000
        self.said: list[str] = []

    def record(self, event: str, **fields: object) -> None:
        self.said.append(f"{event} {fields}")


class FakeLookups:
    """Answers as it is told to; a name is remembered when a test says so."""

    def __init__(self) -> None:
        self.known = {"alice": ALICE}
        self.memory: dict[str, FoundLogin] = {}
        self.failures = 0
        self.asked = 0
        self.pace = 0.0
        self.answers = threading.Event()
        self.answers.set()

    def remembered(self, name: str) -> FoundLogin | None:
        return self.memory.get(name)

    def look_up(self, name: str) -> FoundLogin:
        self.asked += 1
        if name.startswith("slow"):
            assert self.answers.wait(30)
        if self.failures:
            self.failures -= 1
            raise StateError("can't use the user store: connection refused")
        return self.known.get(name, FoundLogin(policies=("any",)))


@pytest.fixture
def lookups() -> FakeLookups:
    return FakeLookups()


@pytest.fixture
async def users(lookups: FakeLookups) -> AsyncIterator[Any]:
    made: Any = lookups
    store: Any = None
    users = SharedUsers(store, made)
    yield users
    users.close()


async def look_up(users: Any, name: str, client: Caller) -> None:
    looking = users.look_up(name, client)
    if looking is not None:
        async with asyncio.timeout(30):
            await looking


async def test_what_was_looked_up_answers_the_questions_that_follow(users: Any) -> None:
    client = Caller()
    assert users.find("alice", client) is None
    await look_up(users, "alice", client)
    assert users.find("alice", client) is ALICE.user
    assert users.key_options(ShownKey(key=KEY, user="alice"), client) == "no-pty"
    assert list(users.keys("alice", client)) == [KEY]
    assert users.enrolled("alice", client)
    assert users.policies() == ["any", "password"]
    assert (await users.verify(ALICE.user, "alice", "secret", client)).refusal is None
    # It is an answer of this connection, and of this name.
    assert users.find("alice", Caller()) is None
    assert users.find("bob", client) is None
    assert client.said == []


async def test_a_name_that_nobody_has_is_no_failure(users: Any) -> None:
    client = Caller()
    await look_up(users, "ghost", client)
    assert users.find("ghost", client) is None
    assert users.absence("ghost", client) == UNKNOWN_USER
    assert users.key_options(ShownKey(key=KEY, user="ghost"), client) is None
    assert not users.enrolled("ghost", client)


async def test_keys_of_a_disabled_user_open_nothing(users: Any, lookups: FakeLookups) -> None:
    user = User(name="off", disabled=True)
    lookups.known["off"] = FoundLogin(user=user, keys={KEY.blob: ""})
    client = Caller()
    await look_up(users, "off", client)
    assert users.find("off", client) is user
    assert users.key_options(ShownKey(key=KEY, user="off"), client) is None


async def test_what_is_remembered_is_not_asked_and_the_first_answer_takes_its_time(
    users: Any, lookups: FakeLookups
) -> None:
    lookups.memory["alice"] = ALICE
    client = Caller()
    held_back = users.look_up("alice", client)
    assert held_back is not None
    await held_back
    assert users.look_up("alice", client) is None
    assert users.find("alice", client) is ALICE.user
    assert lookups.asked == 0


async def test_what_has_changed_since_is_asked_again(users: Any, lookups: FakeLookups) -> None:
    client = Caller()
    await look_up(users, "alice", client)
    lookups.known["alice"] = FoundLogin()
    await look_up(users, "alice", client)
    assert users.find("alice", client) is None


async def test_a_database_that_is_gone_is_waited_for(
    users: Any, lookups: FakeLookups, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PAUSE", 0.0)
    lookups.failures = 3
    client = Caller()
    await look_up(users, "alice", client)
    assert users.find("alice", client) is ALICE.user
    assert lookups.asked == 4
    (line,) = client.said
    assert "the user store gives no answer: the login waits" in line
    assert "connection refused" in line


async def test_one_that_stays_away_lets_nobody_in(
    users: Any, lookups: FakeLookups, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Caller()
    await look_up(users, "alice", client)
    lookups.failures = 1_000_000
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    await look_up(users, "alice", client)
    assert users.find("alice", client) is None
    # Not the reason of an unknown user, for which networks are banned.
    assert users.absence("alice", client) == NO_ANSWER
    assert "within 0 seconds: nobody of this name is let in" in client.said[-1]


async def test_a_network_with_many_questions_does_not_keep_another_one_waiting(
    users: Any, lookups: FakeLookups
) -> None:
    lookups.answers.clear()
    many = [
        asyncio.create_task(look_up(users, f"slow{number}", Caller(f"2001:db8::{number}")))
        for number in range(8)
    ]
    try:
        await until(lambda: lookups.asked == 2)
        client = Caller()
        await look_up(users, "alice", client)
        assert users.find("alice", client) is ALICE.user
        assert lookups.asked == 3
    finally:
        lookups.answers.set()
        await asyncio.gather(*many)
    assert lookups.asked == 9


def test_a_store_of_this_server_alone_needs_no_threads(tmp_path: Path) -> None:
    store = UserStore(tmp_path / FILE)
    users = users_of(store, 1)
    assert type(users) is StoredUsers
    users.close()
    store.close()
