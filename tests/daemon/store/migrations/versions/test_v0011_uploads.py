"""The revision that brought how uploads come to be."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from daemon.store.migrations.fifth import fifth_store


def test_users_and_groups_say_nothing_of_uploads(tmp_path: Path) -> None:
    with closing(fifth_store(tmp_path)) as store:
        alice = store.user("alice")
        assert store.own("alice").uploads is None
        assert (alice.uploads, alice.partial_uploads) == ("direct", "keep")
        store.groups.change("staff", uploads="atomic", partial_uploads="remove")
        assert store.user("alice").uploads == "atomic"
