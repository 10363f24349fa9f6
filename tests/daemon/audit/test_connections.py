"""How many connections become events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from nacre.daemon.audit import connections as module
from nacre.daemon.audit.connections import ConnectionBound
from nacre.daemon.audit.events import AuditEvent, AuditPlan
from nacre.daemon.audit.search import Search
from nacre.daemon.audit.table import FILE, AuditTable
from nacre.daemon.audit.writer import AuditWriter


def connect(address: str) -> AuditEvent:
    return AuditEvent("1.1", "", f"{address}:7", "connect", "success", "{}")


class Bounded:
    """A bound with a clock that stands still, and the counts that it has told."""

    def __init__(self) -> None:
        self.now = 0.0
        self.told: list[AuditEvent] = []
        self.bound = ConnectionBound(self.told.append, lambda: self.now)

    def taken(self, address: str, times: int) -> int:
        return sum(self.bound.take(connect(address)) for _ in range(times))

    def counts(self) -> list[int]:
        return [json.loads(one.fields)["left_out"] for one in self.told]


@pytest.fixture
async def bounded() -> AsyncIterator[Bounded]:
    made = Bounded()
    yield made
    made.bound.tell()


async def test_a_network_has_some_at_once_and_then_a_rate(bounded: Bounded) -> None:
    assert bounded.taken("192.0.2.1", 1000) == module.BURST
    assert bounded.taken("192.0.2.2", 3) == 3
    bounded.now = 5.0
    assert bounded.taken("192.0.2.1", 1000) == 5 * module.RATE
    bounded.bound.tell()
    assert bounded.counts() == [1975]
    assert (bounded.told[0].event, bounded.told[0].peer) == ("connect", "")


async def test_one_host_has_one_bound_for_all_its_addresses_of_ipv6(bounded: Bounded) -> None:
    assert sum(bounded.taken(f"2001:db8::{last:x}", 1) for last in range(100)) == module.BURST
    assert bounded.taken("2001:db8:0:1::1", 1) == 1


async def test_what_one_network_has_no_room_for_takes_none_from_others(bounded: Bounded) -> None:
    bounded.taken("192.0.2.1", 10_000)
    others = int(module.ALL_BURST - module.BURST)
    assert sum(bounded.taken(f"198.51.{n // 200}.{n % 200}", 1) for n in range(others)) == others


async def test_all_networks_together_have_a_bound(bounded: Bounded) -> None:
    times = int(module.ALL_BURST) + 100
    taken = sum(bounded.taken(f"198.51.{n // 200}.{n % 200}", 1) for n in range(times))
    assert taken == module.ALL_BURST
    bounded.bound.tell()
    assert bounded.counts() == [100]


async def test_the_count_comes_by_itself_and_once(
    bounded: Bounded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "COUNTED_AFTER", 0.01)
    bounded.taken("192.0.2.1", 30)
    async with asyncio.timeout(20):
        while not bounded.told:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    bounded.bound.tell()
    assert bounded.counts() == [10]


async def test_the_table_has_the_count_of_what_was_left_out_before_its_end(tmp_path: Path) -> None:
    writer = AuditWriter(tmp_path / FILE, lambda record: None, AuditPlan("on", connections=True))
    for _ in range(1000):
        writer.keep(connect("192.0.2.1"), waits=False)
    writer.close()
    with closing(AuditTable(tmp_path / FILE, create=False)) as table:
        found = list(Search(event="connect").events(table))
    assert [json.loads(one.fields) for one in found][-1] == {"left_out": 980}
    assert len(found) == module.BURST + 1
