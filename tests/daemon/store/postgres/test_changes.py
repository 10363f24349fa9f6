"""What PostgreSQL tells of changes of the store, whoever makes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from daemon.store.postgres.cluster import Cluster, StorePlace
from nacre.daemon.store.postgres.changes import CHANNEL
from nacre.daemon.store.store import UserStore
from nacre.daemon.store.values import Group, StoredKey, StoredUser
from nacre.keys import generate
from nacre.server.admission.bans import Ban
from nacre.server.admission.networks import parse_network

pytestmark = pytest.mark.interop

KEY = generate("ssh-ed25519").public

Told = Callable[[], set[str]]


@pytest.fixture
def shared(shared_place: StorePlace) -> Iterator[UserStore]:
    with closing(shared_place.open()) as store:
        store.groups.add(Group(name="staff"))
        store.add(StoredUser(name="alice"))
        yield store


@pytest.fixture
def told(shared: UserStore, shared_place: StorePlace) -> Iterator[Told]:
    """Return what was told since the last call."""
    assert shared_place.url is not None
    with shared_place.url.connect(autocommit=True) as connection:
        found: list[str] = []
        connection.add_notify_handler(lambda one: found.append(one.payload))
        connection.execute(f"LISTEN {CHANNEL}")

        def since() -> set[str]:
            connection.execute("SELECT 1")
            seen = set(found)
            found.clear()
            return seen

        yield since


def test_a_change_of_one_user_names_the_user(shared: UserStore, told: Told) -> None:
    changes: list[Callable[[], object]] = [
        lambda: shared.add(StoredUser(name="bob", groups=("staff",)), [StoredKey(KEY, "")]),
        lambda: shared.change("bob", disabled=True),
        lambda: shared.change("bob", groups=[]),
        lambda: shared.remove_key("bob", KEY),
        lambda: shared.factors.enrol("bob", b"x" * 20),
        lambda: shared.factors.remove("bob"),
        lambda: shared.passwords.set("bob", "$argon2id$"),
        lambda: shared.remove("bob"),
    ]
    for number, change in enumerate(changes):
        change()
        assert told() == {"user bob"}, number


def test_a_change_of_groups_is_one_of_all_users(shared: UserStore, told: Told) -> None:
    shared.groups.change("staff", read_only=True)
    assert told() == {"all"}


def test_bans_are_told_apart_from_users(shared: UserStore, told: Told) -> None:
    shared.bans.put([Ban(parse_network("192.0.2.1"), 0)])
    assert told() == {"bans"}
    shared.bans.remove([parse_network("192.0.2.1")])
    assert told() == {"bans"}


def test_what_is_undone_is_not_told(shared: UserStore, told: Told) -> None:
    shared.put([], [(StoredUser(name="carol"), [])], keep=False)
    assert told() == set()


def test_many_users_at_once_are_not_named(shared: UserStore, told: Told) -> None:
    shared.add_all((StoredUser(name=f"u{number}"), ()) for number in range(150))
    assert told() == {"all"}


def test_what_an_administrator_changes_by_hand_is_told(
    cluster: Cluster, shared: UserStore, shared_place: StorePlace, told: Told
) -> None:
    assert shared_place.url is not None
    cluster.execute(shared_place.url, "UPDATE users SET name = 'eve' WHERE name = 'alice'")
    assert told() == {"user alice", "user eve"}
    cluster.execute(shared_place.url, "TRUNCATE users CASCADE")
    assert told() == {"all"}
