"""The revision that brought second factors."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from daemon.store.migrations.fifth import fifth_store


def test_a_password_is_as_old_as_its_user(tmp_path: Path) -> None:
    with closing(fifth_store(tmp_path)) as store:
        alice = store.user("alice")
        assert (alice.groups, alice.password, alice.second_factor) == (("staff",), "hash", "none")
        assert not alice.password_expired()
        store.groups.change("staff", password_expires=100, second_factor="required")
        alice = store.user("alice")
        assert (alice.password_expired(1099), alice.password_expired(1100)) == (False, True)
        assert not store.factors.enrolled("alice")
        store.factors.enrol("alice", bytes(20))
        store.passwords.set("alice", "next")
        assert not store.user("alice").password_expired()
        store.remove("alice")
        assert not store.factors.enrolled("alice")
