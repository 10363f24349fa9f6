"""Bans in the store: kept, replaced, bounded and forgotten."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from daemon.store.postgres.cluster import StorePlace
from nacre.daemon.store import bans as bans_module
from nacre.daemon.store.store import FILE, UserStore
from nacre.errors import UserStoreError
from nacre.server.admission.bans import MEMORY, Ban
from nacre.server.admission.networks import parse_network

ONE, TWO = parse_network("192.0.2.0/24"), parse_network("2001:db8::1")


def test_bans_last_over_a_restart(place: StorePlace, store: UserStore) -> None:
    bans = [Ban(ONE, 0, reason="why"), Ban(TWO, int(time.time()) + 60, allowed=True, level=2)]
    store.bans.put(bans)
    store.close()
    again = place.open()
    assert sorted(again.bans.all(), key=lambda one: one.network) == bans
    again.close()


def test_an_entry_is_replaced_and_removed(store: UserStore) -> None:
    store.bans.put([Ban(ONE, 0)])
    store.bans.put([Ban(ONE, 0, allowed=True)])
    assert store.bans.all() == [Ban(ONE, 0, allowed=True)]
    with pytest.raises(UserStoreError, match="not in the list"):
        store.bans.remove([ONE, TWO])
    assert len(store.bans.all()) == 1
    store.bans.remove([ONE])
    assert store.bans.all() == []


def test_what_is_over_is_forgotten_when_it_counts_for_nothing(store: UserStore) -> None:
    now = int(time.time())
    store.bans.put([Ban(ONE, now - 10), Ban(TWO, now - 10, level=1)])
    old = parse_network("192.0.2.1")
    store.bans.put([Ban(old, now - MEMORY - 10, level=1)])
    store.bans.put([])
    assert store.bans.all() == [Ban(TWO, now - 10, level=1)]


def test_the_list_is_bounded(store: UserStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bans_module, "MOST_BANS", 1)
    store.bans.put([Ban(ONE, 0)])
    with pytest.raises(UserStoreError, match="has room for 1"):
        store.bans.put([Ban(TWO, 0)])
    store.bans.put([Ban(ONE, 0, reason="replaced")])


def test_the_version_changes_when_another_program_changes_the_store(
    tmp_path: Path,
) -> None:
    store = UserStore(tmp_path / FILE)
    before = store.bans.version()
    assert store.bans.version() == before
    store.bans.put([Ban(ONE, 0)])
    assert store.bans.version() != before
