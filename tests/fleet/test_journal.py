"""The file of runs."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from fleet.made import hosts
from nacre.errors import StateError
from nacre.fleet.hosts import FleetHost
from nacre.fleet.journal import FleetFile, FleetJournal, default_path
from nacre.fleet.tasks import CopyFiles, FleetTask, RunCommand
from nacre.fleet.verdicts import FleetVerdict

A = FleetHost("a", "192.0.2.1", 22, "root", {"rack": "1"})


def opened(tmp_path: Path, *, task: FleetTask | None = None) -> tuple[FleetFile, int]:
    file = FleetFile(tmp_path / "new" / "fleet.db")
    return file, file.begin(task or RunCommand("x", b"\0"), [A, *hosts("b", "c")], {"o": [1]})


async def test_a_run_that_broke_off_is_there_with_what_is_left(tmp_path: Path) -> None:
    file, number = opened(tmp_path)
    journal = FleetJournal(file, number)
    await asyncio.gather(journal.begin("a"), journal.begin("b"))
    done = FleetVerdict("b", "failed", exit_status=1, stdout=b"\xff", attempts=1)
    await journal.end(done)
    file.close()  # as if the process had been killed
    journal._thread.shutdown()

    file = FleetFile(file.path)
    run = file.run(None)
    assert (run.id, run.ended, run.task, run.options) == (
        number,
        False,
        RunCommand("x", b"\0"),
        {"o": [1]},
    )
    assert run.counts == {"failed": 1, "": 2}
    left, verdicts = file.left(run)
    assert left == hosts("c")
    assert [(one.host, one.ending) for one in verdicts] == [("a", "unknown")]
    assert list(file.verdicts(run.id)) == [done]
    file.close()


async def test_a_host_that_was_begun_is_left_if_the_task_is_idempotent(tmp_path: Path) -> None:
    file, number = opened(tmp_path, task=CopyFiles(("/x",), "y"))
    file.note(number, ["a", "b"], [FleetVerdict("b", "unknown", "run")])
    left, verdicts = file.left(file.run(number))
    assert [host.name for host in left] == ["a", "b", "c"]
    assert left[0] == A
    assert verdicts == []
    file.close()


async def test_a_run_has_ended_when_each_host_has_a_verdict(tmp_path: Path) -> None:
    file, number = opened(tmp_path)
    journal = FleetJournal(file, number)
    await asyncio.gather(*(journal.end(FleetVerdict(name, "ok")) for name in "abc"))
    await journal.close()
    assert file.run(number).ended
    assert file.remove(before=0) == 0
    assert file.remove(before=2**40) == 1
    with pytest.raises(StateError, match="no run: see"):
        file.run(None)
    with pytest.raises(StateError, match=f"no run {number}"):
        file.run(number)
    file.close()


def test_no_two_processes_work_on_a_run(tmp_path: Path) -> None:
    file, number = opened(tmp_path)
    with closing(FleetFile(file.path)) as other:
        with pytest.raises(StateError, match=f"run {number} is still running, in another process"):
            other.hold(number)
        assert other.begin(RunCommand("y"), hosts("a"), {}) == number + 1
        assert other.remove(before=2**40) == 1  # not the one that runs
        assert [run.id for run in other.runs()] == [number]
        file.close()
        other.hold(number)
        with closing(FleetFile(file.path)) as third, pytest.raises(StateError, match="is still"):
            third.hold(number)
    assert list(file.path.parent.glob("*-run*")) == []


def test_a_lock_whose_file_was_removed_meanwhile_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, number = opened(tmp_path)
    lock = file.path.with_name(f"{file.path.name}-run{number}")
    flock = fcntl.flock

    def ended_meanwhile(descriptor: int, how: int) -> None:
        file.close()
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", ended_meanwhile)
    with closing(FleetFile(file.path)) as other:
        other.hold(number)
        assert os.path.samestat(os.fstat(other._held[lock]), os.stat(lock))


def test_a_lock_that_can_not_be_made_is_named(tmp_path: Path) -> None:
    with closing(FleetFile(tmp_path / "fleet.db")) as file:
        (tmp_path / "fleet.db-run1").mkdir()
        with pytest.raises(StateError, match=r"can't lock .*fleet\.db-run1: "):
            file.begin(RunCommand("x"), hosts("a"), {})
        assert file.runs() == []


async def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    file, _ = opened(tmp_path)
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert file.path.parent.stat().st_mode & 0o777 == 0o700
    file.close()


async def test_a_file_that_can_not_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="can't open"):
        FleetFile(Path("/dev/null/fleet.db"))
    (tmp_path / "text").write_text("no database" * 1000)
    with pytest.raises(StateError, match="can't use"):
        FleetFile(tmp_path / "text")
    newer = sqlite3.connect(tmp_path / "newer")
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(StateError, match="made by a newer nacre"):
        FleetFile(tmp_path / "newer")


async def test_what_can_not_be_written_ends_the_call(tmp_path: Path) -> None:
    file, number = opened(tmp_path)
    journal = FleetJournal(file, number)
    file.close()
    with pytest.raises(StateError, match="can't use"):
        await journal.begin("a")
    journal._thread.shutdown()


def test_the_usual_file_is_that_of_the_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/s")
    assert default_path() == Path("/s/nacre/fleet.db")
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/h")
    assert default_path() == Path("/h/.local/state/nacre/fleet.db")
