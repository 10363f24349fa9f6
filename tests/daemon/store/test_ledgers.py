"""The ledgers that servers share, as the store knows them."""

from __future__ import annotations

from sqlalchemy import insert, select

from nacre.daemon.store.store import UserStore
from nacre.daemon.store.tables import LEDGERS
from nacre.daemon.store.values import Group, LedgerKey, StoredUser
from nacre.sftp.filesystems.quota.ledger import Ledger, open_ledger, read_ledger

ALICE, TEAM = LedgerKey("user", "alice"), LedgerKey("group", "team")


def make(store: UserStore) -> None:
    """Have a user and a group, and a server that has told their figures."""
    store.groups.add(Group(name="team"))
    store.add(StoredUser(name="alice", home="/"))
    zeros = dict.fromkeys(("period", "up", "down", "bytes", "files", "asked", "answered"), 0)
    with store._database.transaction() as connection:
        for key in (ALICE, TEAM):
            row = {"kind": key.kind, "name": key.name, "loaded": True, "record": b"figures"}
            connection.execute(insert(LEDGERS), {**row, **zeros})


def asked(store: UserStore) -> dict[tuple[str, str], int]:
    with store._database.reading() as connection:
        rows = connection.execute(select(LEDGERS.c.kind, LEDGERS.c.name, LEDGERS.c.asked))
        return {(kind, name): count for kind, name, count in rows}


def test_a_change_of_a_user_has_the_servers_count_anew(store: UserStore) -> None:
    make(store)
    store.change("alice", root="/srv")
    assert asked(store) == {ALICE: 1, TEAM: 0}
    store.groups.change("team", shared_quota_bytes=5)
    assert asked(store) == {ALICE: 1, TEAM: 1}
    assert store.groups.ledgers.recount_shared(ALICE)
    assert asked(store) == {ALICE: 2, TEAM: 1}


def test_what_no_server_shares_is_unknown(store: UserStore) -> None:
    assert store.groups.ledgers.shared(ALICE) is None
    assert not store.groups.ledgers.recount_shared(ALICE)
    make(store)
    assert store.groups.ledgers.shared(ALICE) == b"figures"


def test_who_is_removed_has_no_ledger_any_more(store: UserStore) -> None:
    make(store)
    store.remove("alice")
    store.groups.remove("team")
    assert asked(store) == {}


def test_a_server_settles_its_own_ledger(store: UserStore) -> None:
    directory = store.directory / "usage"
    ledger = Ledger(open_ledger(directory, "alice"))
    with ledger.held() as usage:
        usage.settle(5, 1)
    ledger.close()
    store.groups.ledgers.settle(ALICE)
    store.groups.ledgers.settle(TEAM)  # which has none
    found = read_ledger(directory, "alice")
    assert found is not None
    assert found.doubted
