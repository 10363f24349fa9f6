"""The database of logins, as last reads it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from nacre.daemon.processes import wtmpdb

TIME = 1_800_000_000.25


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "wtmp.db"
    monkeypatch.setattr(wtmpdb, "DATABASE", os.fsencode(path))
    return path


@pytest.fixture
def written(database: Path) -> Path:
    """A database that the library can write."""
    if not wtmpdb.available():
        pytest.skip("no libwtmpdb")
    return database


def rows(database: Path) -> list[tuple[object, ...]]:
    query = "SELECT Type, User, Login, Logout, TTY, RemoteHost FROM wtmp ORDER BY ID"
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(query).fetchall()


def test_a_login_and_its_end(written: Path) -> None:
    wtmpdb.note_login(b"alice", b"pts/7", b"192.0.2.1", TIME)
    wtmpdb.note_login(b"bob", b"pts/8", b"host.example", TIME + 1)
    alice = [3, "alice", 1_800_000_000_250_000]
    bob = (3, "bob", 1_800_000_001_250_000, None, "pts/8", "host.example")
    assert rows(written) == [(*alice, None, "pts/7", "192.0.2.1"), bob]
    wtmpdb.note_logout(b"pts/7", TIME + 60)
    assert rows(written) == [(*alice, 1_800_000_060_250_000, "pts/7", "192.0.2.1"), bob]


def test_an_end_without_a_login_is_not_written(written: Path) -> None:
    wtmpdb.note_login(b"alice", b"pts/7", b"192.0.2.1", TIME)
    before = rows(written)
    wtmpdb.note_logout(b"pts/9", TIME)
    assert rows(written) == before


def test_last_shows_a_login(written: Path) -> None:
    last = shutil.which("wtmpdb")
    if last is None:
        pytest.skip("no wtmpdb")
    wtmpdb.note_login(b"alice", b"pts/7", b"192.0.2.1", TIME)
    wtmpdb.note_logout(b"pts/7", TIME + 61)
    shown = subprocess.run(
        [last, "last", "-f", written],
        capture_output=True,
        text=True,
        check=True,
        env={"LC_ALL": "C", "TZ": "UTC"},
        timeout=20,
    ).stdout.split()
    assert shown[:3] == ["alice", "pts/7", "192.0.2.1"]
    assert "(00:01)" in shown


def test_a_file_that_is_no_database_is_left(written: Path) -> None:
    written.write_text("no database")
    wtmpdb.note_login(b"alice", b"pts/7", b"192.0.2.1", TIME)
    wtmpdb.note_logout(b"pts/7", TIME)
    assert written.read_text() == "no database"


def test_a_system_without_the_library_has_no_database(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wtmpdb, "_libraries", lambda: None)
    assert not wtmpdb.available()
    wtmpdb.note_login(b"alice", b"pts/7", b"192.0.2.1", TIME)
    wtmpdb.note_logout(b"pts/7", TIME)
    assert not database.exists()
