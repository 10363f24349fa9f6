"""The revision that brought the roles of users who sign in."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from daemon.store.migrations.fifth import fifth_store


def test_nobody_may_sign_in_before_somebody_says_so(tmp_path: Path) -> None:
    with closing(fifth_store(tmp_path)) as store:
        assert store.own("alice").role is None
        assert store.user("alice").role == "none"
        store.groups.change("staff", role="auditor")
        assert store.user("alice").role == "auditor"
        store.change("alice", role="none")
        assert store.user("alice").role == "none"
