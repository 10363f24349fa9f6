"""Ledgers of groups follow the users and the groups of the store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from nacre.daemon.store.shared import shared_directory, written_trees
from nacre.daemon.store.store import FILE, UserStore
from nacre.daemon.store.values import Group, StoredUser, User
from nacre.sftp.filesystems.quota.limits import QuotaLimits
from nacre.sftp.filesystems.quota.shared import SharedLedger, open_shared, read_shared


@pytest.fixture
def store(tmp_path: Path) -> Iterator[UserStore]:
    with closing(UserStore(tmp_path / FILE)) as store:
        staff = Group(name="staff", service="sftp", root="/srv/%u", shared_quota_bytes=100)
        store.groups.add(staff, Group(name="guests", shared_rate_up=5000), Group(name="others"))
        for name in ("alice", "bob"):
            store.add(StoredUser(name=name, groups=("others", "staff", "guests")))
        yield store


def count(store: UserStore, **sizes: int) -> None:
    """Let these directories of the group have so many bytes, and be counted."""
    trees = [f"/srv/{name}" for name in sizes]
    file = open_shared(shared_directory(store.directory), "staff", trees)
    ledger = SharedLedger(file)
    for name, size in sizes.items():
        with ledger.held(f"/srv/{name}") as usage:
            usage.settle(size, 1)
    ledger.close()


def figures(store: UserStore, *names: str) -> tuple[int, bool]:
    trees = [f"/srv/{name}" for name in names]
    found = read_shared(shared_directory(store.directory), "staff", trees)
    assert found is not None
    return found[0].bytes, found[1]


def test_a_user_has_the_limits_of_all_groups(store: UserStore) -> None:
    guests, staff = QuotaLimits(group="guests", rate_up=5000), QuotaLimits(group="staff", bytes=100)
    assert store.user("alice").shared == (guests, staff)
    store.groups.change("guests", shared_rate_up=0)
    assert store.user("alice").shared == (staff,)
    store.change("alice", groups=["others"])
    assert store.user("alice").shared == ()


def test_what_a_user_may_write_to() -> None:
    folders = "/a=/srv/a\n/b=/srv/b:ro\n/c=encrypted+/srv/c"
    user = User(name="alice", root="encrypted+/srv/alice", folders=folders)
    assert written_trees(user) == ("/srv/alice", "/srv/a", "/srv/c")
    assert written_trees(User(name="alice", root="/srv/alice", read_only=True)) == ()
    assert written_trees(User(name="alice")) is None
    assert written_trees(User(name="alice"), "/home/files") == ("/home/files",)


def test_a_user_who_leaves_or_is_removed_counts_no_more(store: UserStore) -> None:
    count(store, alice=10, bob=20)
    assert figures(store, "alice", "bob") == (30, True)
    store.change("alice", groups=["guests"])
    assert figures(store, "bob") == (20, True)
    store.remove("bob")
    assert figures(store) == (0, True)


def test_a_directory_of_two_users_counts_until_both_have_left(store: UserStore) -> None:
    store.change("bob", root="/srv/alice")
    count(store, alice=10)
    store.remove("alice")
    assert figures(store)[0] == 10
    store.remove("bob")
    assert figures(store)[0] == 0


def test_files_are_counted_anew_when_others_count(store: UserStore) -> None:
    count(store, alice=10, bob=20)
    store.change("alice", uploads="atomic")
    assert figures(store, "alice", "bob") == (30, True)
    store.change("alice", root="/srv/elsewhere")
    assert figures(store, "bob") == (20, True)
    assert figures(store, "elsewhere", "bob") == (20, False)
    store.change("bob", folders="/x=/srv/x")
    assert figures(store, "bob") == (20, False)
    count(store, bob=20)
    store.groups.change("staff", root="/home/%u")
    assert figures(store) == (0, True)


def test_users_of_a_directory_elsewhere_go_on_counting(store: UserStore) -> None:
    count(store, alice=10, bob=20, carol=5)  # carol is not in the store
    store.groups.change("staff", shared_quota_bytes=200)
    store.change("alice", groups=["guests"])
    store.remove("bob")
    assert figures(store, "carol") == (5, True)
    store.groups.change("staff", root="/home/%u")  # hers, too
    assert figures(store) == (0, True)


def test_the_ledger_goes_with_the_group(store: UserStore) -> None:
    count(store, alice=10)
    for name in ("alice", "bob"):
        store.change(name, groups=[])
    store.groups.remove("staff")
    store.groups.remove("guests")
    assert list(shared_directory(store.directory).iterdir()) == []
