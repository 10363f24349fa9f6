"""The revision that brought rights for directories."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from daemon.store.migrations.fifth import fifth_store


def test_users_and_groups_have_no_rules(tmp_path: Path) -> None:
    with closing(fifth_store(tmp_path)) as store:
        assert store.user("alice").rights is None
        store.groups.change("staff", rights="/:list")
        assert store.user("alice").rights == "/:list"
        store.change("alice", rights="/:none")
        assert store.user("alice").rights == "/:none"
