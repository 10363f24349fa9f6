"""The revision that brought what is recorded."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from daemon.store.migrations.versions.early.test_v0005_groups import BEFORE
from nacre.daemon.store.store import FILE, UserStore
from nacre.daemon.store.values import Group


def test_who_says_nothing_has_the_usual(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        connection.executescript(BEFORE)
    with closing(UserStore(tmp_path / FILE, create=False)) as store:
        assert [store.own(name).record for name in ("alice", "bob")] == [None, None]
        assert store.user("alice").record == "output"
        store.groups.add(Group(name="g", record="input"))
        store.change("alice", groups=["g"])
        assert store.user("alice").record == "input"
        store.change("alice", record="no")
        assert store.user("alice").record == "no"
