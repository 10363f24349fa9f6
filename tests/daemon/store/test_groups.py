"""Groups, and what their users inherit."""

from __future__ import annotations

from pathlib import Path

import pytest

from nacre.daemon.store.store import Counts, UserStore
from nacre.daemon.store.values import LISTED, Group, StoredKey, StoredUser
from nacre.errors import UserStoreError
from nacre.keys import generate

KEY = generate("ssh-ed25519").public


def test_groups_come_back_as_they_were(store: UserStore) -> None:
    staff = Group(name="staff", auth="publickey", read_only=True, expires=7, created=5)
    store.groups.add(staff, Group(name="guests", created=6))
    assert store.groups.all() == [Group(name="guests", created=6), staff]
    assert store.groups.find("staff") == staff
    store.groups.change("staff", auth=None, hours="Mon")
    assert store.groups.find("staff") == Group(
        name="staff", hours="Mon", read_only=True, expires=7, created=5
    )


def test_the_user_decides_then_the_groups_in_their_order(store: UserStore) -> None:
    store.groups.add(
        Group(name="first", service="sftp", expires=10),
        Group(name="second", service="shell", expires=20, hours="Mon", read_only=True),
    )
    store.add(StoredUser(name="alice", groups=("first", "second"), expires=0, read_only=False))
    alice = store.user("alice")
    assert alice.groups == ("first", "second")
    assert (alice.service, alice.expires, alice.hours) == ("sftp", 0, "Mon")
    assert alice.read_only is False
    assert store.own("alice").service is None
    store.change("alice", groups=["second", "first"], read_only=None)
    alice = store.user("alice")
    assert (alice.service, alice.hours, alice.read_only) == ("shell", "Mon", True)


def test_places_of_a_group_have_the_name_of_each_user(store: UserStore, tmp_path: Path) -> None:
    store.groups.add(Group(name="g", service="sftp", root="/srv/%u", home="/h%%/%u"))
    for name in ("alice", "bob"):
        store.add(StoredUser(name=name, groups=("g",)))
    assert [store.user(name).root for name in ("alice", "bob")] == ["/srv/alice", "/srv/bob"]
    assert store.user("bob").home == "/h%/bob"
    assert [user.name for user in store.suspicious_roots(["/srv/bob"])] == ["bob"]


def test_the_listing_has_what_holds(store: UserStore) -> None:
    store.groups.add(Group(name="a", auth="publickey", read_only=True), Group(name="b", home="/h"))
    store.add(StoredUser(name="one"), [StoredKey(KEY, "")])
    store.add(StoredUser(name="two", groups=("b", "a")))
    store.add(StoredUser(name="zero", auth="password", password="x"))
    rows = [dict(zip(LISTED, row, strict=True)) for row in store.listing()]
    shown = [(row["name"], row["auth"], row["groups"], row["home"]) for row in rows]
    assert shown == [
        ("one", "any", "", None),
        ("two", "publickey", "b,a", "/h"),
        ("zero", "password", "", None),
    ]
    assert [bool(row["read_only"]) for row in rows] == [False, True, False]
    assert [row["keys"] for row in rows] == [1, 0, 0]
    for row in rows:
        user = store.user(row["name"])
        assert {n: getattr(user, n) for n in ("service", "run_as", "hours")} == {
            n: row[n] for n in ("service", "run_as", "hours")
        }


def test_what_all_users_have_counts_groups(store: UserStore) -> None:
    store.groups.add(
        Group(name="files", service="sftp", run_as="nobody", auth="publickey"),
        Group(name="shells", service="shell"),
    )
    store.add(StoredUser(name="alice", groups=("files", "shells")))
    assert not store.has_shell_user()
    assert store.accounts() == ["nobody"]
    assert "publickey" in store.policies()
    store.add(StoredUser(name="bob", groups=("shells",)))
    assert store.has_shell_user()


def test_groups_that_can_not_be(store: UserStore) -> None:
    store.groups.add(Group(name="g"))
    with pytest.raises(UserStoreError, match="there is a group g already"):
        store.groups.add(Group(name="new"), Group(name="g"))
    with pytest.raises(UserStoreError, match="can't be a group's name"):
        store.groups.add(Group(name="a/b"))
    with pytest.raises(UserStoreError, match="--root: /%x"):
        store.groups.add(Group(name="new", root="/%x"))
    assert [group.name for group in store.groups.all()] == ["g"]
    for call in (
        lambda: store.groups.find("none"),
        lambda: store.groups.change("none", auth="any"),
        lambda: store.groups.remove("none"),
        lambda: store.add(StoredUser(name="alice", groups=("none",))),
    ):
        with pytest.raises(UserStoreError, match="there is no group 'none'"):
            call()
    assert store.find("alice") is None


def test_a_group_with_users_stays(store: UserStore) -> None:
    store.groups.add(Group(name="g"))
    store.add(StoredUser(name="alice", groups=("g",)))
    assert (store.groups.sizes(), store.groups.users("g")) == ({"g": 1}, ["alice"])
    with pytest.raises(UserStoreError, match="the group g has 1 user"):
        store.groups.remove("g")
    store.remove("alice")
    store.groups.remove("g")
    assert store.groups.all() == []


def test_groups_are_replaced_and_keep_their_users(store: UserStore) -> None:
    store.groups.add(Group(name="g", auth="publickey", hours="Mon"))
    store.add(StoredUser(name="alice", groups=("g",)))
    done = store.put([Group(name="g", hours="Tue"), Group(name="h")], [], update=True)
    assert done == Counts(groups=1, replaced_groups=1)
    assert (store.user("alice").auth, store.user("alice").hours) == ("any", "Tue")
    assert [group.name for group in store.groups.all()] == ["g", "h"]


def test_users_are_replaced_with_groups_and_keys(store: UserStore) -> None:
    store.groups.add(Group(name="g"), Group(name="h"))
    store.add(StoredUser(name="alice", groups=("g",), password="x"), [StoredKey(KEY, "")])
    users: list[tuple[StoredUser, list[StoredKey]]] = [
        (StoredUser(name="alice", groups=("h",)), [])
    ]
    assert store.put([], users, update=True, keep=False) == Counts(replaced_users=1)
    assert store.user("alice").groups == ("g",)
    store.put([], users, update=True)
    ((alice, keys),) = store.stored()
    assert (alice.groups, alice.password, keys) == (("h",), None, [])
