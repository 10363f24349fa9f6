"""The keeper of bans: what the log tells it, and what it tells the store and others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from nacre.daemon.bans.keeper import BanKeeper
from nacre.daemon.store.store import FILE, UserStore
from nacre.errors import StateError
from nacre.server.admission.bans import Ban
from nacre.server.admission.networks import parse_network, show_network
from parties import until

SIGN_IN = {"event": "api", "action": "sessions.add", "peer": "127.0.0.1:1", "client": "192.0.2.7"}
CLOSED: Mapping[str, object] = {
    "event": "closed", "peer": "192.0.2.7:40000", "offence": "authfail",
}  # fmt: skip


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[UserStore]:
    store = UserStore(tmp_path / FILE)
    yield store
    store.close()


@pytest.fixture
async def keeper(store: UserStore) -> AsyncIterator[BanKeeper]:
    keeper = BanKeeper(store.bans, 30, (32, 128))
    yield keeper
    keeper.close()


async def test_offences_lead_to_a_ban_which_is_stored_and_told(
    keeper: BanKeeper, store: UserStore
) -> None:
    records: list[Mapping[str, object]] = []
    told: list[tuple[Sequence[Ban], bool]] = []
    keeper.begin(records.append)
    keeper.subscribe(lambda bans, whole: told.append((bans, whole)))
    for _ in range(2):
        keeper.note(CLOSED)
        assert not keeper.table.refuses("192.0.2.7")
    keeper.note({"event": "refused", "peer": "192.0.2.7:40001", "reason": "unknown user"})
    assert keeper.table.refuses("192.0.2.7")
    assert not keeper.table.refuses("192.0.2.8")
    assert keeper.banned() == 1
    assert [(one["event"], one["network"], one["seconds"]) for one in records] == [
        ("ban", "192.0.2.7", 600)
    ]
    assert [(len(bans), whole) for bans, whole in told][:1] == [(1, False)]
    await until(lambda: len(store.bans.all()) == 1)
    again = BanKeeper(store.bans, 30, (32, 128))
    assert again.table.refuses("192.0.2.7")


async def test_who_fails_to_sign_in_through_a_program_is_counted_and_the_program_is_not(
    keeper: BanKeeper,
) -> None:
    for _ in range(3):
        keeper.note({**SIGN_IN, "status": 401, "offence": "authfail"})
    assert keeper.table.refuses("192.0.2.7")
    assert not keeper.table.refuses("127.0.0.1")


@pytest.mark.parametrize(
    "record",
    [
        {"event": "closed", "peer": "192.0.2.7:40000"},
        {"event": "closed", "peer": "192.0.2.7:40000", "offence": "made up"},
        {"event": "closed", "peer": "192.0.2.7:40000", "offence": 5},
        {"event": "closed", "offence": "authfail"},
        {"event": "closed", "peer": "/run/socket:0", "offence": "authfail"},
        {"event": "refused", "peer": "192.0.2.7:1", "reason": "the user has expired"},
        {"event": "auth", "peer": "192.0.2.7:1", "outcome": "failure"},
        {**SIGN_IN, "status": 201},
        {**SIGN_IN, "status": 401},
    ],
)
async def test_other_records_are_no_offences(
    keeper: BanKeeper, record: Mapping[str, object]
) -> None:
    for _ in range(10):
        keeper.note(record)
    assert keeper.all() == []


async def test_a_network_is_as_large_as_configured_and_one_of_ipv6_no_smaller_than_a_lan(
    store: UserStore,
) -> None:
    keeper = BanKeeper(store.bans, 10, (24, 128))
    keeper.offend("192.0.2.7", "authfail")
    keeper.offend("2001:db8::1:2:3:4", "authfail")
    shown = {show_network(one.network) for one in keeper.all()}
    assert shown == {"192.0.2.0/24", "2001:db8::/64"}


async def test_who_is_allowed_is_never_banned(store: UserStore) -> None:
    store.bans.put([Ban(parse_network("192.0.2.0/24"), 0, allowed=True)])
    keeper = BanKeeper(store.bans, 10, (32, 128))
    keeper.offend("192.0.2.7", "authfail")
    assert not keeper.table.refuses("192.0.2.7")
    assert len(keeper.all()) == 1


async def test_with_0_points_nobody_is_banned_but_by_hand(store: UserStore) -> None:
    store.bans.put([Ban(parse_network("192.0.2.8"), 0)])
    keeper = BanKeeper(store.bans, 0, (32, 128))
    for _ in range(100):
        keeper.offend("192.0.2.7", "authfail")
    assert not keeper.table.refuses("192.0.2.7")
    assert keeper.table.refuses("192.0.2.8")


async def test_changes_of_the_store_are_followed(keeper: BanKeeper, store: UserStore) -> None:
    told: list[tuple[Sequence[Ban], bool]] = []
    keeper.subscribe(lambda bans, whole: told.append((bans, whole)))
    keeper.begin(lambda record: None)
    network = parse_network("192.0.2.0/24")
    store.bans.put([Ban(network, 0)])
    await until(lambda: keeper.table.refuses("192.0.2.7"))
    assert told == [([Ban(network, 0)], True)]
    store.bans.remove([network])
    await until(lambda: not keeper.table.refuses("192.0.2.7"))


async def test_a_further_ban_lasts_longer(keeper: BanKeeper) -> None:
    network = parse_network("192.0.2.7")
    keeper.table.put(Ban(network, 1, level=1))  # long over
    for _ in range(3):
        keeper.note(CLOSED)
    (first,) = keeper.all()
    assert first.level == 1
    keeper.table.put(Ban(network, first.until - 700, level=first.level))  # just over
    for _ in range(3):
        keeper.note(CLOSED)
    (second,) = keeper.all()
    assert second.level == 2


async def test_a_store_that_fails_is_told_once_and_bans_hold(
    keeper: BanKeeper, store: UserStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    records: list[Mapping[str, Any]] = []
    failed = 0

    def fail(*_: object) -> None:
        nonlocal failed
        failed += 1
        raise StateError("the disk is full")

    monkeypatch.setattr(store.bans, "put", fail)
    keeper.begin(records.append)
    keeper.offend("192.0.2.7", "authfail")
    for _ in range(2):
        keeper.offend("192.0.2.7", "authfail")
    await until(lambda: failed > 2)
    await asyncio.sleep(0)
    assert [one["event"] for one in records] == ["ban", "error"]
    assert keeper.table.refuses("192.0.2.7")
    monkeypatch.undo()
    await until(lambda: len(store.bans.all()) == 1)
