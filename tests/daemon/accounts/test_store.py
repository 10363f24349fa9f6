"""The user store."""

from __future__ import annotations

import multiprocessing
import sqlite3
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nacre.daemon.accounts import store as store_module
from nacre.daemon.accounts.store import FILE, LISTED, VERSION, StoredKey, User, UserStore
from nacre.errors import StateError, UserStoreError
from nacre.keys import generate


@pytest.fixture
def store(tmp_path: Path) -> Iterator[UserStore]:
    store = UserStore(tmp_path / FILE)
    yield store
    store.close()


KEY = generate("ssh-ed25519").public
OTHER = generate("ssh-ed25519").public


def key_counts(store: UserStore) -> dict[str, int]:
    rows = (dict(zip(LISTED, row, strict=True)) for row in store.listing())
    return {row["name"]: row["keys"] for row in rows}


def test_files_are_for_their_owner_alone(store: UserStore, tmp_path: Path) -> None:
    store.add(User(name="alice"))
    files = list(tmp_path.iterdir())
    assert len(files) == 3
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_user_comes_back_as_it_was(store: UserStore) -> None:
    alice = User(
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
        getattr(found, name) == getattr(alice, name) for name in User.__slots__ if name != "created"
    )
    (row,) = store.listing()
    shown = dict(zip(LISTED, row, strict=True))
    assert (shown.pop("password"), shown.pop("keys")) == (1, 0)
    assert shown == {name: getattr(found, name) for name in shown}


def test_password_hash_is_not_shown() -> None:
    assert "secret" not in repr(User(name="alice", password="secret"))


def test_names_are_taken_once(store: UserStore) -> None:
    store.add(User(name="alice"))
    with pytest.raises(UserStoreError, match="there is a user alice already"):
        store.add(User(name="alice"))


@pytest.mark.parametrize("name", ["", "-x", "a b", "a/b", "a:b", "a\n", "a\x1b[2J", "ä", "x" * 65])
def test_names_that_can_not_be(store: UserStore, name: str) -> None:
    with pytest.raises(UserStoreError, match="can't be a user's name"):
        store.add(User(name=name))


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
    store.add(User(name="alice"))
    assert store.find("' OR '1'='1") is None
    assert store.key_options("alice'--", KEY) is None


def test_changes(store: UserStore) -> None:
    store.add(User(name="alice"))
    store.change("alice", auth="publickey", disabled=True)
    found = store.user("alice")
    assert (found.auth, found.service, found.disabled) == ("publickey", "all", True)


def test_keys(store: UserStore) -> None:
    store.add(User(name="alice"), [StoredKey(KEY, "first")])
    store.add(User(name="bob"))
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
    store.add(User(name="alice", disabled=True), [StoredKey(KEY, "")])
    assert store.key_options("alice", KEY) is None


def test_keys_go_with_their_user(store: UserStore) -> None:
    store.add(User(name="alice"), [StoredKey(KEY, "")])
    store.remove("alice")
    store.add(User(name="alice"))
    assert store.keys("alice") == []


def test_hash_is_replaced_only_if_nobody_else_did(store: UserStore) -> None:
    store.add(User(name="alice", password="old"))
    store.replace_hash("alice", "older", "newer")
    assert store.user("alice").password == "old"
    store.replace_hash("alice", "old", "new")
    assert store.user("alice").password == "new"


def test_policies(store: UserStore) -> None:
    assert store.policies() == []
    for name, auth in (("a", "publickey"), ("b", "any"), ("c", "any")):
        store.add(User(name=name, auth=auth))
    assert store.policies() == ["any", "publickey"]


def test_users_are_added_all_or_none(store: UserStore) -> None:
    store.add(User(name="b"))
    with pytest.raises(UserStoreError, match="there is a user b already"):
        store.add_all([(User(name="a"), [StoredKey(KEY, "")]), (User(name="b"), [])])
    with pytest.raises(UserStoreError, match="can't be a user's name"):
        store.add_all([(User(name="a"), []), (User(name="-"), [])])
    assert list(key_counts(store)) == ["b"]
    store.add_all([(User(name=name), [StoredKey(KEY, name)]) for name in "ca"])
    assert key_counts(store) == {"a": 1, "b": 0, "c": 1}
    assert store.key_options("c", KEY) == ""


def test_a_login_after_a_write_does_not_read_all_users(store: UserStore, tmp_path: Path) -> None:
    plans = []
    with sqlite3.connect(tmp_path / FILE) as connection:
        for statement in (store_module._HAS_POLICY, store_module._FIND, store_module._KEY_OPTIONS):
            values = {"auth": "any", "name": "alice", "blob": b""}
            rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)
            plans += [row[-1] for row in rows]
    connection.close()
    assert any("users_by_auth" in plan for plan in plans)
    assert not [plan for plan in plans if plan.startswith("SCAN") and "CONSTANT" not in plan]


def test_accounts_and_services(store: UserStore) -> None:
    assert not store.has_shell_user()
    store.add(User(name="a", service="sftp", run_as="nobody"))
    assert (store.has_shell_user(), store.accounts()) == (False, ["nobody"])
    for service in ("shell", "all"):
        store.add(User(name=service, service=service))
        assert store.has_shell_user()
        store.remove(service)


def test_a_store_of_the_first_version_is_brought_up_to_date(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.executescript(
            """
            CREATE TABLE users (
                name VARCHAR PRIMARY KEY, password VARCHAR, auth VARCHAR NOT NULL,
                service VARCHAR NOT NULL, home VARCHAR, run_as VARCHAR,
                disabled BOOLEAN NOT NULL, created INTEGER NOT NULL
            );
            CREATE TABLE keys (
                user VARCHAR REFERENCES users (name) ON DELETE CASCADE, blob BLOB,
                comment VARCHAR NOT NULL, added INTEGER NOT NULL, PRIMARY KEY (user, blob)
            );
            CREATE TABLE settings (name VARCHAR PRIMARY KEY, value BLOB NOT NULL);
            INSERT INTO settings VALUES ('secret', zeroblob(32));
            INSERT INTO users VALUES ('old', NULL, 'any', 'all', '/', NULL, 0, 7);
            INSERT INTO keys VALUES ('old', x'00', '', 8);
            PRAGMA user_version = 1;
            """
        )
    connection.close()
    for _ in range(2):
        store = UserStore(tmp_path / FILE, create=False)
        assert store.find("old") == User(name="old", home="/", created=7)
        assert store.policies() == ["any"]
        assert store._look("SELECT options FROM keys") == [("",)]
        store.add(User(name="new", unsafe_root=True))
        assert store.user("new").unsafe_root
        store.remove("new")
        store.close()


def test_a_store_that_is_missing_is_not_made_for_reading(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="`nacre user add` makes it"):
        UserStore(tmp_path / FILE, create=False)
    assert list(tmp_path.iterdir()) == []


def test_secret_stays(store: UserStore, tmp_path: Path) -> None:
    assert len(store.secret) == 32
    again = UserStore(tmp_path / FILE)
    assert again.secret == store.secret
    again.close()


def _add_many(path: Path, prefix: str) -> None:
    store = UserStore(path)
    for number in range(40):
        store.add(User(name=f"{prefix}{number}"))
    store.close()


@pytest.mark.slow
def test_processes_and_threads_write_at_once(store: UserStore, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_add_many, args=(tmp_path / FILE, p)) for p in "ab"]
    for process in processes:
        process.start()
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda n: store.add(User(name=f"c{n}")), range(40)))
    for process in processes:
        process.join(50)
        assert process.exitcode == 0
    # This one was open all the time, and sees what the others wrote.
    assert len(list(store.listing())) == 120


def test_two_that_make_it_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as threads:
        stores = list(threads.map(lambda _: UserStore(tmp_path / FILE), range(4)))
    assert len({store.secret for store in stores}) == 1
    for store in stores:
        store.close()


def test_newer_version_is_refused(store: UserStore, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()
    with pytest.raises(StateError, match="made by a newer nacre"):
        UserStore(tmp_path / FILE)


def test_what_is_no_database(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no database" * 100)
    with pytest.raises(StateError, match="can't use the user store"):
        UserStore(tmp_path / FILE)
    with pytest.raises(StateError, match="can't open the user store"):
        UserStore(tmp_path / "nowhere" / FILE)
