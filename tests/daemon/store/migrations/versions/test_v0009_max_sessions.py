"""The revision that brought the maximum of connections."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from daemon.store.migrations.fifth import fifth_store


def test_users_of_before_have_no_maximum(tmp_path: Path) -> None:
    with closing(fifth_store(tmp_path)) as store:
        assert store.user("alice").max_sessions is None
        store.groups.change("staff", max_sessions=3)
        assert store.user("alice").max_sessions == 3
        store.change("alice", max_sessions=0)
        assert store.user("alice").max_sessions == 0
