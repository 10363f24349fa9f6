"""When the disk is waited for, and how a table that fails is tried again."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from daemon.audit.told import event
from nacre.daemon.audit import durable as module
from nacre.daemon.audit.durable import DurableTable
from nacre.daemon.audit.events import AuditEvent, AuditPlan
from nacre.daemon.audit.search import Search
from nacre.daemon.audit.table import FILE, AuditTable, Timed
from nacre.daemon.hooks.table import HookTable
from nacre.daemon.hooks.values import Hook


class Disk:
    """What the disk was asked to confirm: the number of events in the table each time."""

    def __init__(self) -> None:
        self.confirmed: list[int] = []
        self.fails = False


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    made, sync = Disk(), AuditTable.sync

    def noted(self: AuditTable) -> None:
        if made.fails:
            raise OSError(errno.EIO, "Input/output error")
        sync(self)
        made.confirmed.append(self.head().id)

    monkeypatch.setattr(AuditTable, "sync", noted)
    return made


@pytest.fixture
def table(tmp_path: Path, disk: Disk) -> Iterator[DurableTable]:
    with closing(DurableTable(tmp_path / FILE)) as made:
        yield made


def one(op: str) -> list[Timed]:
    return [(1, event(op=op))]


def test_the_disk_is_waited_for_where_that_is_asked_for(table: DurableTable, disk: Disk) -> None:
    table.write(one("a"), syncs=True)
    assert (disk.confirmed, table.patience) == ([1], None)
    assert table.synced is not None
    assert table.synced.id == 1


def ops(directory: Path) -> list[str | None]:
    with closing(AuditTable(directory / FILE, create=False)) as found:
        return [json.loads(row.fields).get("op") for row in Search().events(found)]


def connected() -> list[Timed]:
    return [(1, AuditEvent("1.1", "", "192.0.2.1:7", "connect", "success", "{}"))]


def test_connections_are_kept_where_the_plan_has_them(tmp_path: Path) -> None:
    with closing(DurableTable(tmp_path / FILE, AuditPlan("on"))) as table:
        table.write([*connected(), *one("a")], syncs=False)
        table.write(connected(), syncs=False)
    assert ops(tmp_path) == ["a"]
    with closing(DurableTable(tmp_path / FILE, AuditPlan("on", connections=True))) as table:
        table.write([*connected(), *one("b")], syncs=False)
    assert ops(tmp_path) == ["a", None, "b"]


@pytest.mark.parametrize(
    ("events", "wanted"), [(("login",), False), (("login", "connect"), True), ((), True)]
)
def test_connections_are_kept_while_a_hook_asks_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, events: tuple[str, ...], wanted: bool
) -> None:
    monkeypatch.setattr(module, "AGAIN", 0.0)
    asked = Hook(name="a", kind="command", target="/bin/true", events=events)
    with closing(DurableTable(tmp_path / FILE, AuditPlan("on", hooks=True))) as table:
        table.write(connected(), syncs=False)
        assert ops(tmp_path) == []
        with closing(HookTable(tmp_path / FILE)) as hooks:
            hooks.add(asked)
        table.write(connected(), syncs=False)
        assert ops(tmp_path) == [None] * wanted
        with closing(HookTable(tmp_path / FILE)) as hooks:
            hooks.remove("a")
        table.write(connected(), syncs=False)
        assert ops(tmp_path) == [None] * wanted


def test_a_hook_of_a_server_without_hooks_asks_for_nothing(tmp_path: Path) -> None:
    with closing(DurableTable(tmp_path / FILE, AuditPlan("on"))) as table:
        with closing(HookTable(tmp_path / FILE)) as hooks:
            hooks.add(Hook(name="a", kind="command", target="/bin/true", events=()))
        table.write(connected(), syncs=False)
        assert ops(tmp_path) == []


def test_the_disk_confirms_the_rest_in_time_and_together(
    table: DurableTable, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SYNC_AFTER", 1e9)
    for op in "ab":
        table.write(one(op), syncs=False)
        assert table.sync_in_time()
    assert disk.confirmed == []
    assert table.patience is not None
    assert table.patience > 0
    monkeypatch.setattr(module, "SYNC_AFTER", 0.0)
    assert table.patience == 0
    assert table.sync_in_time()
    assert (disk.confirmed, table.patience) == ([2], None)


def test_a_disk_that_does_not_confirm_is_tried_again_and_must_then(
    tmp_path: Path, table: DurableTable, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SYNC_AFTER", 0.0)
    disk.fails = True
    table.write(one("a"), syncs=False)
    assert not table.sync_in_time()
    assert "Input/output error" in table.problem
    table.write(one("lost"), syncs=False)
    assert table.dropped == 1
    monkeypatch.setattr(module, "AGAIN", 0.0)
    table.write(one("b"), syncs=False)
    assert "Input/output error" in table.problem
    disk.fails = False
    table.write(one("c"), syncs=False)
    assert (table.problem, len(disk.confirmed)) == ("", 1)
    with closing(AuditTable(tmp_path / FILE, create=False)) as found:
        fields = [json.loads(row.fields) for row in Search().events(found)]
    assert [row["op"] for row in fields] == ["a", "resume", "b", "resume", "c"]
    assert fields[1]["lost"] == 1
