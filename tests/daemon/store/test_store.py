"""The user store."""

from __future__ import annotations

import multiprocessing
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from daemon.store.postgres.cluster import StorePlace
from nacre.daemon.store.database import sql
from nacre.daemon.store.store import FILE, UserStore
from nacre.daemon.store.tables import FIND, HAS_POLICY, KEY_OPTIONS, SILENT_ON_POLICY
from nacre.daemon.store.values import LISTED, Group, StoredKey, StoredUser, User
from nacre.errors import UserStoreError
from nacre.keys import generate

KEY = generate("ssh-ed25519").public
OTHER = generate("ssh-ed25519").public


def key_counts(store: UserStore) -> dict[str, int]:
    rows = (dict(zip(LISTED, row, strict=True)) for row in store.listing())
    return {row["name"]: row["keys"] for row in rows}


def test_user_comes_back_as_it_was(store: UserStore) -> None:
    alice = StoredUser(
        name="alice",
        password="$argon2id$…",
        auth="password-publickey",
        service="sftp",
        home="/srv/alice",
        run_as="nobody",
        disabled=True,
    )
    store.add(alice)
    found = store.user("alice")
    assert found.created > 0
    assert all(
        getattr(found, name) == getattr(alice, name) for name in ("name", "password", "disabled")
    )
    (row,) = store.listing()
    shown = dict(zip(LISTED, row, strict=True))
    assert (shown.pop("password"), shown.pop("keys"), shown.pop("groups")) == (1, 0, "")
    assert shown == {name: getattr(found, name) for name in shown}


def test_password_hash_is_not_shown() -> None:
    assert "secret" not in repr(User(name="alice", password="secret"))


def test_names_are_taken_once(store: UserStore) -> None:
    store.add(StoredUser(name="alice"))
    with pytest.raises(UserStoreError, match="there is a user alice already"):
        store.add(StoredUser(name="alice"))


@pytest.mark.parametrize("name", ["", "-x", "a b", "a/b", "a:b", "a\n", "a\x1b[2J", "ä", "x" * 65])
def test_names_that_can_not_be(store: UserStore, name: str) -> None:
    with pytest.raises(UserStoreError, match="can't be a user's name"):
        store.add(StoredUser(name=name))


def test_no_such_user(store: UserStore) -> None:
    assert store.find("ghost") is None
    for call in (
        lambda: store.user("ghost"),
        lambda: store.remove("ghost"),
        lambda: store.change("ghost", auth="any"),
        lambda: store.keys("ghost"),
        lambda: store.add_keys("ghost", [StoredKey(KEY, "")]),
    ):
        with pytest.raises(UserStoreError, match="no user 'ghost'"):
            call()


def test_names_are_no_sql(store: UserStore) -> None:
    store.add(StoredUser(name="alice"))
    assert store.find("' OR '1'='1") is None
    assert store.key_options("alice'--", KEY) is None


def test_changes(store: UserStore) -> None:
    store.add(StoredUser(name="alice"))
    store.change("alice", auth="publickey", disabled=True)
    found = store.user("alice")
    assert (found.auth, found.service, found.disabled) == ("publickey", "all", True)


def test_keys(store: UserStore) -> None:
    store.add(StoredUser(name="alice"), [StoredKey(KEY, "first")])
    store.add(StoredUser(name="bob"))
    assert store.key_options("alice", KEY) == ""
    assert store.key_options("bob", KEY) is None
    assert store.key_options("alice", OTHER) is None
    store.add_keys("alice", [StoredKey(OTHER, "second"), StoredKey(KEY, "renamed")])
    assert {key.key: key.comment for key in store.keys("alice")} == {
        KEY: "renamed",
        OTHER: "second",
    }
    assert key_counts(store) == {"alice": 2, "bob": 0}
    store.remove_key("alice", KEY)
    assert store.key_options("alice", KEY) is None
    with pytest.raises(UserStoreError, match="has no key SHA256:"):
        store.remove_key("alice", KEY)


def test_keys_of_a_disabled_user_open_nothing(store: UserStore) -> None:
    store.add(StoredUser(name="alice", disabled=True), [StoredKey(KEY, "")])
    assert store.key_options("alice", KEY) is None


def test_keys_go_with_their_user(store: UserStore) -> None:
    store.add(StoredUser(name="alice"), [StoredKey(KEY, "")])
    store.remove("alice")
    store.add(StoredUser(name="alice"))
    assert store.keys("alice") == []


def test_hash_is_replaced_only_if_nobody_else_did(store: UserStore) -> None:
    store.add(StoredUser(name="alice", password="old"))
    store.replace_hash("alice", "older", "newer")
    assert store.user("alice").password == "old"
    store.replace_hash("alice", "old", "new")
    assert store.user("alice").password == "new"


def test_policies(store: UserStore) -> None:
    assert store.policies() == []
    for name, auth in (("a", "publickey"), ("b", "any"), ("c", "any")):
        store.add(StoredUser(name=name, auth=auth))
    assert store.policies() == ["any", "publickey"]


def test_users_are_added_all_or_none(store: UserStore) -> None:
    store.add(StoredUser(name="b"))
    with pytest.raises(UserStoreError, match="there is a user b already"):
        store.add_all([(StoredUser(name="a"), [StoredKey(KEY, "")]), (StoredUser(name="b"), [])])
    with pytest.raises(UserStoreError, match="can't be a user's name"):
        store.add_all([(StoredUser(name="a"), []), (StoredUser(name="-"), [])])
    assert list(key_counts(store)) == ["b"]
    store.add_all([(StoredUser(name=name), [StoredKey(KEY, name)]) for name in "ca"])
    assert key_counts(store) == {"a": 1, "b": 0, "c": 1}
    assert store.key_options("c", KEY) == ""


def test_a_login_after_a_write_does_not_read_all_users(tmp_path: Path) -> None:
    UserStore(tmp_path / FILE).close()
    plans = []
    with sqlite3.connect(tmp_path / FILE) as connection:
        for statement in (HAS_POLICY, SILENT_ON_POLICY, FIND, KEY_OPTIONS):
            values = {"auth": "any", "name": "alice", "blob": b""}
            rows = connection.execute(f"EXPLAIN QUERY PLAN {sql(statement)}", values)
            plans += [row[-1] for row in rows]
    connection.close()
    assert any("users_by_auth" in plan for plan in plans)
    assert not [plan for plan in plans if plan.startswith("SCAN") and "CONSTANT" not in plan]


def test_accounts_and_services(store: UserStore) -> None:
    assert not store.has_shell_user()
    store.add(StoredUser(name="a", service="sftp", run_as="nobody"))
    assert (store.has_shell_user(), store.accounts()) == (False, ["nobody"])
    for service in ("shell", "all"):
        store.add(StoredUser(name=service, service=service))
        assert store.has_shell_user()
        store.remove(service)


def test_secret_stays(store: UserStore, place: StorePlace) -> None:
    assert len(store.secret) == 32
    again = place.open()
    assert again.secret == store.secret
    again.close()


def _add_many(place: StorePlace, prefix: str) -> None:
    store = place.open()
    for number in range(40):
        store.add(StoredUser(name=f"{prefix}{number}"))
    store.close()


@pytest.mark.slow
def test_processes_and_threads_write_at_once(store: UserStore, place: StorePlace) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_add_many, args=(place, p)) for p in "ab"]
    for process in processes:
        process.start()
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda n: store.add(StoredUser(name=f"c{n}")), range(40)))
    for process in processes:
        process.join(50)
        assert process.exitcode == 0
    # This one was open all the time, and sees what the others wrote.
    assert len(list(store.listing())) == 120


def test_looks_at_all_users_end_within_their_time(store: UserStore) -> None:
    store.groups.add(Group(name="files", service="sftp", root="/srv/%u"))
    store.add_all((StoredUser(name=f"u{number}", groups=("files",)), ()) for number in range(3000))
    assert list(store.suspicious_roots(["/x"], seconds=600)) == []
    assert not store.has_shell_user(seconds=600)
    for look in (
        lambda: list(store.suspicious_roots(["/x"], seconds=0)),
        lambda: store.has_shell_user(seconds=0),
        lambda: store.accounts(seconds=0),
    ):
        with pytest.raises(TimeoutError):
            look()
    # The connection is as it was.
    assert [user.name for user in store.suspicious_roots(["/srv/u7"])] == ["u7"]
