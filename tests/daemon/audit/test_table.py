"""The file of the audit."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from daemon.audit.told import event
from nacre.daemon.audit.chain import faults
from nacre.daemon.audit.search import Search
from nacre.daemon.audit.table import FILE, VERSION, AuditTable, now
from nacre.errors import StateError


@pytest.fixture
def table(tmp_path: Path) -> Iterator[AuditTable]:
    with closing(AuditTable(tmp_path / FILE, create=True)) as made:
        yield made


def broken(table: AuditTable) -> list[str]:
    anchor, head, events = table.chain()
    return list(faults(events, anchor, head))


def test_events_follow_each_other(table: AuditTable) -> None:
    assert table.head().id == 0
    assert table.add([(now(), event(op="a")), (now(), event(op="b"))]).id == 2
    assert table.add([(now(), event(op="c"))]) == table.head()
    assert [one.fields for one in Search().events(table)] == [
        '{"op":"a"}',
        '{"op":"b"}',
        '{"op":"c"}',
    ]
    assert broken(table) == []


def test_its_owner_alone_can_read_it(table: AuditTable) -> None:
    table.add([(now(), event())])
    for file in table.path.parent.iterdir():
        assert file.stat().st_mode & 0o077 == 0, file


def test_two_processes_add_to_one_chain(table: AuditTable, tmp_path: Path) -> None:
    def add(adds: AuditTable) -> None:
        for _ in range(20):
            adds.add([(now(), event()), (now(), event())])

    with closing(AuditTable(tmp_path / FILE, create=False)) as other:
        threads = [threading.Thread(target=add, args=(one,)) for one in (table, other)]
        for one in threads:
            one.start()
        for one in threads:
            one.join(30)
    assert table.head().id == 80
    assert broken(table) == []


def test_each_run_has_a_number_of_its_own(table: AuditTable, tmp_path: Path) -> None:
    with closing(AuditTable(tmp_path / FILE, create=False)) as other:
        assert [table.begin_run(), other.begin_run(), table.begin_run()] == [1, 2, 3]


def test_what_is_too_old_is_removed_and_the_chain_begins_at_an_anchor(table: AuditTable) -> None:
    table.add([(at, event(op=str(at))) for at in (100, 200, 300)])
    assert table.remove(50, "1d") == 0
    assert table.remove(250, "90d") == 2
    last, told = list(Search().events(table))
    assert (last.id, last.fields) == (3, '{"op":"300"}')
    assert told.fields == '{"op":"remove","removed":2,"through":2,"keep":"90d"}'
    assert broken(table) == []
    anchor, _, _ = table.chain()
    assert anchor.id == 2
    # More goes on from there.
    assert table.add([(now(), event())]).id == 5
    assert table.remove(now() + 1, "0d") == 3
    assert broken(table) == []


def test_an_event_that_was_removed_without_leave_is_noticed(table: AuditTable) -> None:
    table.add([(now(), event(op=str(number))) for number in range(4)])
    with closing(sqlite3.connect(table.path)) as other, other:
        other.execute("DELETE FROM events WHERE id = 2")
    assert broken(table) == ["event 2 is missing"]


def test_a_file_that_was_removed_or_replaced_takes_no_events(table: AuditTable) -> None:
    table.add([(now(), event())])
    table.path.unlink()
    with pytest.raises(StateError, match="removed or replaced"):
        table.add([(now(), event())])
    AuditTable(table.path, create=True).close()
    with pytest.raises(StateError, match="removed or replaced"):
        table.add([(now(), event())])


def test_a_transaction_that_fails_leaves_nothing(table: AuditTable) -> None:
    with closing(sqlite3.connect(table.path)) as other, other:
        other.execute(
            "CREATE TRIGGER full BEFORE INSERT ON events WHEN NEW.fields LIKE '%bad%'"
            " BEGIN SELECT RAISE(ABORT, 'disk full'); END"
        )
    with pytest.raises(StateError, match="disk full"):
        table.add([(now(), event(op="good")), (now(), event(op="bad"))])
    assert table.head().id == 0
    assert table.add([(now(), event(op="good"))]).id == 1
    assert broken(table) == []


def test_a_file_that_is_none_or_newer_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="nacre serve --audit"):
        AuditTable(tmp_path / "missing", create=False)
    (tmp_path / "text").write_text("no table" * 1000)
    with pytest.raises(StateError, match="not a database"):
        AuditTable(tmp_path / "text", create=False)
    with closing(AuditTable(tmp_path / FILE, create=True)):
        pass
    with closing(sqlite3.connect(tmp_path / FILE)) as other:
        other.execute(f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(StateError, match="newer nacre"):
        AuditTable(tmp_path / FILE, create=False)
