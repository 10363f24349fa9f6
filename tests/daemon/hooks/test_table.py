"""The hooks in the file of the audit."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from daemon.hooks.made import add_events, hook, make_audit, upload
from nacre.daemon.audit.table import FILE, VERSION, AuditTable, now
from nacre.daemon.hooks.table import MOST_DEAD_LETTERS, HookTable
from nacre.daemon.hooks.values import MOST_HOOKS, DeadLetter, Progress
from nacre.errors import StateError
from nacre.value import replace


@pytest.fixture
def table(tmp_path: Path) -> Iterator[HookTable]:
    with closing(HookTable(make_audit(tmp_path))) as made:
        yield made


def test_a_hook_is_told_of_what_comes_after_it_was_added(table: HookTable, tmp_path: Path) -> None:
    add_events(tmp_path / FILE, upload("/a"), upload("/b"))
    made = hook(
        events=("upload", "delete"),
        any_outcome=True,
        kind="url",
        target="https://example.com/",
        secret_file="/s",
        ca_file="/c",
        timeout=7,
        give_up=9,
    )
    table.add(made)
    add_events(tmp_path / FILE, upload("/c"))
    one = table.one("one")
    assert one.hook == made
    assert one.progress == Progress(position=2)
    assert [event.id for event in table.events(one.progress.position, 10)] == [3]
    assert table.head() == 3


def test_names_are_there_once_and_numbers_are_not_used_again(table: HookTable) -> None:
    table.add(hook())
    number = table.one("one").number
    with pytest.raises(StateError, match="already"):
        table.add(hook())
    table.remove("one")
    table.add(hook())
    assert table.one("one").number > number
    for wrong in (table.remove, table.one):
        with pytest.raises(StateError, match="no hook two"):
            wrong("two")
    with pytest.raises(StateError, match="no hook two"):
        table.rewind("two", 1)


def test_there_are_not_too_many(table: HookTable) -> None:
    for number in range(MOST_HOOKS):
        table.add(hook(f"h{number}"))
    with pytest.raises(StateError, match="may be 32"):
        table.add(hook())


def test_progress_is_kept_and_what_was_given_up(table: HookTable) -> None:
    table.add(hook())
    number = table.one("one").number
    progress = Progress(
        position=4, delivered=3, dead=1, last=5, attempts=2, since=6, problem="it is ill"
    )
    letters = [
        DeadLetter(hook=number, event=one, time=now(), reason="no") for one in range(1, 1203)
    ]
    stranger = DeadLetter(hook=number + 1, event=1, time=now(), reason="no")
    table.save({number: progress}, [*letters, stranger])
    assert table.one("one").progress == progress
    kept = table.dead_letters(number, 5000)
    assert len(kept) == MOST_DEAD_LETTERS
    assert kept[0] == letters[-1]
    assert table.dead_letters(number + 1, 5) == []


def test_a_hook_goes_back(table: HookTable, tmp_path: Path) -> None:
    table.add(hook())
    before = table.one("one")
    last = add_events(tmp_path / FILE, upload("/a"), upload("/b"), upload("/c"))
    letter = DeadLetter(hook=before.number, event=2, time=now(), reason="no")
    table.save({before.number: Progress(position=last, delivered=2, dead=1)}, [letter])
    with pytest.raises(StateError, match="no event 9"):
        table.rewind("one", 9)
    table.rewind("one", 2)
    after = table.one("one")
    assert after.hook == before.hook
    assert after.number > before.number
    assert after.progress == Progress(position=1, delivered=2)
    # What a server has not saved yet of the one before changes nothing.
    table.save({before.number: Progress(position=last)}, [letter])
    assert table.one("one").progress.position == 1


def test_events_that_a_hook_has_not_had_are_not_removed(table: HookTable, tmp_path: Path) -> None:
    path = tmp_path / FILE
    add_events(path, upload("/a"))
    table.add(hook())
    add_events(path, upload("/b"), upload("/c"))
    with closing(AuditTable(path, create=False)) as audit:
        assert audit.remove(now(), "0d") == 1
        assert audit.waited_for(now()) == ["one"]
        one = table.one("one")
        table.save({one.number: replace(one.progress, position=3)})
        assert audit.waited_for(now() - 60_000_000) == []
        assert audit.remove(now(), "0d") == 2


def test_the_tables_of_an_older_audit_are_made(tmp_path: Path) -> None:
    path = make_audit(tmp_path)
    with closing(sqlite3.connect(path)) as older, older:
        older.execute("DROP TABLE dead_letters")
        older.execute("DROP TABLE hooks")
        older.execute("PRAGMA user_version = 1")
    add_events(path, upload("/a"))
    with closing(HookTable(path)) as table:
        table.add(hook())
        assert table.one("one").progress.position == 1
    with closing(sqlite3.connect(path)) as newer:
        assert newer.execute("PRAGMA user_version").fetchone() == (VERSION,)


def test_a_file_that_can_not_be_used_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StateError, match=r"missing.*nacre serve --audit"):
        HookTable(tmp_path / "missing")
    (tmp_path / "other").write_bytes(b"no database" * 100)
    with pytest.raises(StateError, match=r"can't use the audit .*other"):
        HookTable(tmp_path / "other")
