"""A file of SQLite: made, brought up to date, read and written beside other processes."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from nacre.daemon.store.sqlite_file import FileFormat, SQLiteFile
from nacre.errors import StateError
from nacre.value import replace

FORMAT = FileFormat("ledger", "nacre book", 3, busy=0.05, connections=2)


def make(connection: Connection, version: int) -> None:
    """Make a table with the version that was found in it."""
    connection.exec_driver_sql("CREATE TABLE found (version INTEGER PRIMARY KEY)")
    connection.exec_driver_sql("INSERT INTO found VALUES (?)", (version,))


def opened(path: Path, *, create: bool = True, kind: FileFormat = FORMAT) -> SQLiteFile:
    return SQLiteFile(path, kind, make, create=create)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def file(path: Path) -> Iterator[SQLiteFile]:
    with closing(opened(path)) as made:
        yield made


def versions(file: SQLiteFile) -> list[int]:
    with file.reading() as connection:
        return list(connection.exec_driver_sql("SELECT version FROM found").scalars())


def test_a_new_file_is_for_its_owner_and_is_made_once(file: SQLiteFile, path: Path) -> None:
    assert versions(file) == [0]
    with closing(opened(path, create=False)) as again:
        assert versions(again) == [0]
    modes = {stat.S_IMODE(one.stat().st_mode) for one in path.parent.iterdir()}
    assert modes == {0o600}


def test_an_older_version_is_brought_up_to_date(path: Path) -> None:
    with closing(sqlite3.connect(path)) as older:
        older.execute("PRAGMA user_version = 2")
    with closing(opened(path, create=False)) as file:
        assert versions(file) == [2]


def test_a_newer_version_is_refused(file: SQLiteFile, path: Path) -> None:
    with pytest.raises(StateError, match=r"the ledger .* has version 3, made by a newer nacre"):
        opened(path, kind=replace(FORMAT, version=2))


def test_one_that_is_missing_is_not_made_where_it_is_read(path: Path) -> None:
    with pytest.raises(StateError, match=r"can't open the ledger .*: `nacre book` makes it"):
        opened(path, create=False)
    assert not path.exists()


def test_an_upgrade_that_fails_leaves_the_file_as_it_was(path: Path) -> None:
    def fail(connection: Connection, version: int) -> None:
        make(connection, version)
        connection.exec_driver_sql("SELECT 1 FROM nowhere")

    with pytest.raises(StateError, match=r"can't use the ledger .*nowhere"):
        SQLiteFile(path, FORMAT, fail, create=True)
    with closing(opened(path)) as file:
        assert versions(file) == [0]


def test_a_statement_before_the_upgrade_holds_for_it_alone(path: Path) -> None:
    found = []

    def note(connection: Connection, version: int) -> None:
        found.append(connection.exec_driver_sql("PRAGMA foreign_keys").scalar_one())

    before = "PRAGMA foreign_keys = OFF"
    file = SQLiteFile(path, FORMAT, note, create=True, before=before)
    with closing(file), file.reading() as connection:
        found.append(connection.exec_driver_sql("PRAGMA foreign_keys").scalar_one())
    assert found == [0, 1]


def test_one_that_was_removed_or_replaced_is_noticed(file: SQLiteFile, path: Path) -> None:
    assert not file.is_replaced()
    path.rename(path.with_suffix(".old"))
    assert file.is_replaced()
    path.touch()
    assert file.is_replaced()


def test_a_transaction_is_kept_or_undone(file: SQLiteFile) -> None:
    for keep in (False, True):
        with file.transaction(keep=keep) as connection:
            connection.exec_driver_sql("INSERT INTO found VALUES (7)")
        assert (7 in versions(file)) is keep


def test_what_a_constraint_forbids_is_for_the_caller_to_report(file: SQLiteFile) -> None:
    statement = "INSERT INTO found VALUES (0)"
    with pytest.raises(IntegrityError), file.transaction() as connection:
        connection.exec_driver_sql(statement)
    with pytest.raises(StateError, match="UNIQUE"), file.used(), file.transaction() as connection:
        connection.exec_driver_sql(statement)


def test_a_lock_of_another_process_is_waited_for_no_longer_than_the_format_says(
    file: SQLiteFile, path: Path
) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StateError, match="locked"), file.transaction():
            pass
        assert versions(file) == [0]


def test_reading_may_have_an_end(file: SQLiteFile) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    with pytest.raises(TimeoutError), file.reading(seconds=0.05) as connection:
        connection.exec_driver_sql(endless)


def test_errors_of_the_driver_name_the_file(file: SQLiteFile) -> None:
    reported = pytest.raises(StateError, match="can't use the ledger")
    with closing(file.driver()) as driver, reported, file.used():
        driver.cursor().execute("SELECT 1 FROM nowhere")
