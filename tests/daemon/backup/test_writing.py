"""Backups of a state that changes meanwhile."""

from __future__ import annotations

import io
import sqlite3
import tarfile
import threading
from contextlib import closing
from pathlib import Path

import pytest

from nacre.daemon.backup.restoring import restore
from nacre.daemon.backup.writing import back_up
from nacre.daemon.hostkeys import load_host_keys
from nacre.daemon.store.store import FILE, UserStore
from nacre.daemon.store.values import StoredUser
from nacre.errors import StateError


@pytest.fixture
def state(tmp_path: Path) -> Path:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    load_host_keys(state, ["ssh-ed25519"])
    with closing(UserStore(state / FILE)) as store:
        store.add(StoredUser(name="alice", password="hash"))
    return state


def test_all_files_but_passing_ones_are_in_it(state: Path, tmp_path: Path) -> None:
    (state / "more").mkdir()
    (state / "more" / "notes").write_text("n")
    (state / ".key.unfinished").touch()
    (state / "link").symlink_to("/etc/passwd")
    entries = back_up(state, tmp_path / "backup")
    assert [one.path for one in entries] == ["more/notes", "ssh_host_ed25519_key", FILE]
    assert (tmp_path / "backup").stat().st_mode & 0o777 == 0o600
    with tarfile.open(tmp_path / "backup") as archive:
        assert archive.getnames()[-1] == "manifest.json"
    assert {path.name for path in tmp_path.iterdir()} == {"state", "backup"}


def test_it_is_of_one_moment_while_users_are_added(state: Path, tmp_path: Path) -> None:
    """Each transaction adds a pair of users: no backup has half of one, and nobody waits."""
    over, added = threading.Event(), []

    def add() -> None:
        with closing(UserStore(state / FILE)) as store:
            number = 0
            while not over.is_set() and number < 500:
                pair = [StoredUser(name=f"{letter}{number}") for letter in "ab"]
                store.add_all((user, ()) for user in pair)
                added.append(number)
                number += 1

    thread = threading.Thread(target=add)
    thread.start()
    try:
        for number in range(5):
            out = io.BytesIO()
            back_up(state, None, out)
            out.seek(0)
            where = tmp_path / f"restored{number}"
            restore(out, where)
            with closing(UserStore(where / FILE, create=False)) as store:
                names = {user.name for user, _ in store.stored()} - {"alice"}
            assert {f"b{name[1:]}" for name in names if name[0] == "a"} == {
                name for name in names if name[0] == "b"
            }
    finally:
        over.set()
        thread.join(30)
    assert added


def test_a_target_is_whole_or_as_it_was(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "backup"
    target.write_text("before")
    (state / "broken.db").write_text("this is no database, however long it may be" * 100)
    with pytest.raises(StateError, match=r"database .*broken\.db"):
        back_up(state, target)
    assert target.read_text() == "before"
    assert {path.name for path in tmp_path.iterdir()} == {"state", "backup"}


def test_errors_name_the_place(state: Path, tmp_path: Path) -> None:
    with pytest.raises(StateError, match="No such file"):
        back_up(state, tmp_path / "none" / "backup")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(StateError, match="nothing in"):
        back_up(empty, tmp_path / "backup")


def test_a_database_in_use_by_a_writer_is_copied_as_it_was(state: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(state / FILE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("DELETE FROM users")
        back_up(state, tmp_path / "backup")
        other.execute("ROLLBACK")
    with (tmp_path / "backup").open("rb") as file:
        restore(file, tmp_path / "second")
    with closing(UserStore(tmp_path / "second" / FILE, create=False)) as store:
        assert store.user("alice").password == "hash"
