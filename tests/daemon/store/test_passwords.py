"""Passwords in the store: what a new one must be, and which ones there were."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from sqlalchemy import func, select

from daemon.store.postgres.cluster import StorePlace
from nacre.crypto.password import hash_password, verify_password
from nacre.daemon.store.passwords import ONE_TIME_SECONDS, unfit
from nacre.daemon.store.store import UserStore
from nacre.daemon.store.tables import FORMER, ONE_TIME
from nacre.daemon.store.values import MOST_HISTORY, ONE_TIME_PREFIX, StoredUser, User
from nacre.errors import UserStoreError


def hashed(password: bytes) -> str:
    return hash_password(password, os.urandom)


FIRST = hashed(b"first")


@pytest.fixture
def store(place: StorePlace) -> Iterator[UserStore]:
    with closing(place.open()) as store:
        store.add(StoredUser(name="alice", password=FIRST, password_changed=7, must_change=True))
        yield store


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        (b"", "the password is empty"),
        (b"1234567", "the password has 7 characters: take one with 8 or more"),
        ("ääääääää".encode(), None),
        ("äääääää".encode(), "the password has 7 characters"),
        (b"A.Person", "the password is the user's name"),
        (b"old password", "the password was used before"),
        (b"a new password", None),
        (b"\xff" * 8, None),
    ],
)
def test_what_a_password_may_be(password: bytes, reason: str | None) -> None:
    user = User(name="a.person", password_length=8)
    found = unfit(user, password, [hashed(b"old password")])
    assert found is None if reason is None else (found or "").startswith(reason)


def test_a_password_that_is_set_holds_from_now_on(store: UserStore) -> None:
    before = int(time.time())
    store.passwords.set("alice", "second")
    alice = store.user("alice")
    assert (alice.password, alice.must_change) == ("second", False)
    assert alice.password_changed >= before
    store.passwords.set("alice", "third", must_change=True)
    assert store.user("alice").must_change
    store.passwords.set("alice", None)
    assert store.user("alice").password is None
    with pytest.raises(UserStoreError, match="no user 'ghost'"):
        store.passwords.set("ghost", "x")


def test_the_last_passwords_are_kept(store: UserStore) -> None:
    for number in range(MOST_HISTORY + 3):
        store.passwords.set("alice", f"{number}")
    newest = [str(number) for number in range(MOST_HISTORY + 2, 2, -1)]
    for count in (0, 1, 3, MOST_HISTORY):
        store.change("alice", password_history=count)
        assert store.passwords.last(store.user("alice")) == newest[:count]
    rows = store._database.look(select(func.count()).select_from(FORMER))
    assert rows == [(MOST_HISTORY,)]
    store.remove("alice")
    assert store._database.look(select(func.count()).select_from(FORMER)) == [(0,)]


def test_users_change_their_own(store: UserStore) -> None:
    def change(new: bytes, shown: str | None) -> str | None:
        return store.passwords.change_own(store.user("alice"), shown, new)

    store.change("alice", password_history=2, password_length=4)
    assert "was used before" in (change(b"first", FIRST) or "")
    assert "has 3 characters" in (change(b"abc", FIRST) or "")
    assert change(b"second", FIRST) is None
    alice = store.user("alice")
    assert alice.password is not None
    assert verify_password(alice.password, b"second")
    assert not alice.must_change
    # Whoever has shown the former password does not change the one that was set since.
    assert "somebody else" in (change(b"third", FIRST) or "")
    assert "somebody else" in (change(b"third", None) or "")
    assert "was used before" in (change(b"first", alice.password) or "")
    assert change(b"third", alice.password) is None
    assert change(b"first", store.user("alice").password) is None


def test_without_a_history_the_one_that_expires_is_no_new_one(store: UserStore) -> None:
    alice = store.user("alice")
    assert "was used before" in (store.passwords.change_own(alice, FIRST, b"first") or "")
    assert store.passwords.change_own(alice, FIRST, b"second") is None


def test_a_one_time_password_counts_once_and_for_its_user_alone(store: UserStore) -> None:
    store.add(StoredUser(name="bob"))
    password = store.passwords.issue("alice", "192.0.2.7")
    assert password.startswith(ONE_TIME_PREFIX)
    assert len(password) == len(ONE_TIME_PREFIX) + 64
    assert store.passwords.redeem("bob", password) is None
    assert store.passwords.redeem("alice", password[:-1]) is None
    assert store.passwords.redeem("alice", password) == "192.0.2.7"
    assert store.passwords.redeem("alice", password) is None


def test_of_many_who_show_a_one_time_password_one_gets_in(store: UserStore) -> None:
    password = store.passwords.issue("alice", "192.0.2.7")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: store.passwords.redeem("alice", password), range(16)))
    assert sorted(map(str, found)) == ["192.0.2.7", *["None"] * 15]


def test_a_one_time_password_expires_and_goes_with_its_user(store: UserStore) -> None:
    old = store.passwords.issue("alice", "x", now=1000)
    assert store.passwords.redeem("alice", old, now=1000 + ONE_TIME_SECONDS) is None
    store.passwords.issue("alice", "x", now=1000)
    new = store.passwords.issue("alice", "x")
    with store._database.reading() as connection:
        count = connection.execute(select(func.count()).select_from(ONE_TIME)).scalar_one()
    assert count == 1, "those that have expired are removed"
    store.remove("alice")
    store.add(StoredUser(name="alice"))
    assert store.passwords.redeem("alice", new) is None
    with pytest.raises(UserStoreError, match="there is no user 'bob'"):
        store.passwords.issue("bob", "x")


def test_a_guess_begins_no_transaction_that_writes(
    store: UserStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    password = store.passwords.issue("alice", "192.0.2.7")

    def refused(**_more: object) -> None:
        raise AssertionError("it writes")

    with monkeypatch.context() as patch:
        patch.setattr(store._database, "transaction", refused)
        assert store.passwords.redeem("alice", "x" * len(password)) is None
    assert store.passwords.redeem("alice", password) == "192.0.2.7"
