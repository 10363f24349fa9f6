"""The file of the store: who may read it, its versions, and what other processes do to it."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from daemon.store.migrations.fifth import fifth_file
from nacre.daemon.store import database
from nacre.daemon.store.database import VERSION
from nacre.daemon.store.store import FILE, UserStore
from nacre.daemon.store.tables import METADATA
from nacre.daemon.store.values import Group, StoredUser, User
from nacre.errors import StateError
from nacre.keys import generate
from nacre.value import replace

KEY = generate("ssh-ed25519").public


@pytest.fixture
def store(tmp_path: Path) -> Iterator[UserStore]:
    with closing(UserStore(tmp_path / FILE)) as store:
        yield store


def differences(store: UserStore, revision: str | None = f"{VERSION:04}") -> list[object]:
    """Return how the tables differ from the declared ones, and alembic's note from ``revision``."""
    with store._database.reading() as connection:
        context = MigrationContext.configure(connection)
        wrong = context.get_current_revision() != revision
        return ["revision"] * wrong + list(compare_metadata(context, METADATA))


def test_files_are_for_their_owner_alone(store: UserStore, tmp_path: Path) -> None:
    store.add(StoredUser(name="alice"))
    files = list(tmp_path.iterdir())
    assert len(files) == 3
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_a_store_of_the_first_version_is_brought_up_to_date(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.executescript(
            f"""
            CREATE TABLE users (
                name VARCHAR NOT NULL PRIMARY KEY, password VARCHAR, auth VARCHAR NOT NULL,
                service VARCHAR NOT NULL, home VARCHAR, run_as VARCHAR,
                disabled BOOLEAN NOT NULL, created INTEGER NOT NULL
            );
            CREATE TABLE keys (
                user VARCHAR NOT NULL, blob BLOB NOT NULL,
                comment VARCHAR NOT NULL, added INTEGER NOT NULL, PRIMARY KEY (user, blob),
                FOREIGN KEY(user) REFERENCES users (name) ON DELETE CASCADE
            );
            CREATE TABLE settings (name VARCHAR NOT NULL PRIMARY KEY, value BLOB NOT NULL);
            INSERT INTO settings VALUES ('secret', zeroblob(32));
            INSERT INTO users VALUES ('old', NULL, 'any', 'all', '/', NULL, 0, 7);
            INSERT INTO keys VALUES ('old', x'{KEY.blob.hex()}', '', 8);
            PRAGMA user_version = 1;
            """
        )
    connection.close()
    for _ in range(2):
        store = UserStore(tmp_path / FILE, create=False)
        assert store.find("old") == User(name="old", home="/", created=7)
        assert store.policies() == ["any"]
        assert [key.options for key in store.keys("old")] == [""]
        store.put([Group(name="g", unsafe_root=True, auth="publickey")], [], update=True)
        store.add(StoredUser(name="new", groups=("g",)))
        assert store.user("new").unsafe_root
        store.remove("new")
        # What was said by default is not said: a group may say it.
        store.change("old", groups=["g"])
        assert store.user("old").auth == "publickey"
        store.change("old", groups=[])
        assert [key.key for key in store.keys("old")] == [KEY]
        assert differences(store) == []
        store.close()


def test_a_store_that_is_missing_is_not_made_for_reading(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="`nacre user add` makes it"):
        UserStore(tmp_path / FILE, create=False)
    assert list(tmp_path.iterdir()) == []


def test_two_that_make_it_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as threads:
        for number in range(20):
            path = tmp_path / str(number)
            stores = list(threads.map(UserStore, [path] * 4))
            assert len({store.secret for store in stores}) == 1
            for store in stores:
                store.close()


def test_a_new_file_that_another_process_locks_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # SQLite calls no busy handler for this lock, when a connection wants a write-ahead log.
    other = sqlite3.connect(tmp_path / FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            other.execute("COMMIT")

    monkeypatch.setattr(time, "sleep", pause)
    store = UserStore(tmp_path / FILE)
    store.add(StoredUser(name="alice"))
    assert len(pauses) == 3
    store.close()
    other.close()


def test_a_new_file_that_stays_locked_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = sqlite3.connect(tmp_path / FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr(database, "_FORMAT", replace(database._FORMAT, busy=0.0))
    with pytest.raises(StateError, match="database is locked"):
        UserStore(tmp_path / FILE)
    other.close()


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


def test_a_new_store_has_the_declared_tables(store: UserStore) -> None:
    assert differences(store, None) == []


@pytest.mark.parametrize("noted", [True, False])
def test_a_store_is_brought_up_to_date_whether_alembic_has_noted_its_version(
    tmp_path: Path, noted: bool
) -> None:
    fifth = fifth_file(tmp_path)
    if not noted:
        with closing(sqlite3.connect(fifth)) as connection:
            connection.execute("DROP TABLE alembic_version")
            connection.commit()
    with closing(UserStore(fifth, create=False)) as store:
        assert differences(store) == []
        assert store.user("alice").groups == ("staff",)


def test_a_new_store_does_not_load_alembic(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from nacre.daemon.store.store import UserStore\n"
        "UserStore(Path(sys.argv[1])).close(); print('alembic' in sys.modules)\n"
    )
    words = [sys.executable, "-c", program, str(tmp_path / FILE)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "False\n"
