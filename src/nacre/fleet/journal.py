"""What runs have done, in a file of SQLite: a run that broke off can be gone on with.

That a task begins at a host is in the file before it does. So a host without a verdict of which
that is noted may have been worked on, and one without the note was not.

A process that works on a run holds a lock of it, so that no other one does the same hosts. The lock
is on a file beside the database, and the system gives it up when the process is killed.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from nacre.errors import StateError
from nacre.fleet.hosts import FleetHost, host_object
from nacre.fleet.tasks import FleetTask, of_task_object, task_object
from nacre.fleet.verdicts import RUN, FleetVerdict, as_object, of_object
from nacre.value import value

_VERSION = 1
_BUSY = 10.0
"""Seconds to wait while another run writes."""

_TABLES = """
CREATE TABLE runs (
  id INTEGER PRIMARY KEY, begun REAL NOT NULL, ended REAL, task TEXT NOT NULL,
  options TEXT NOT NULL
) STRICT;
CREATE TABLE hosts (
  run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE, place INTEGER NOT NULL,
  name TEXT NOT NULL, host TEXT NOT NULL, begun INTEGER NOT NULL DEFAULT 0, verdict TEXT,
  PRIMARY KEY (run, name)
) STRICT, WITHOUT ROWID;
"""


def default_path() -> Path:
    """Return the file of this account's runs."""
    home = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return Path(home, "nacre", "fleet.db")


@value
class KeptRun:
    """A run of the file.

    :ivar options: what was given with it, for whoever goes on with it.
    :ivar ended: whether each host has a verdict.
    :ivar counts: how many hosts ended how; those without a verdict are under an empty text.
    """

    id: int
    begun: float
    ended: bool
    task: FleetTask
    options: dict[str, Any]
    counts: dict[str, int]


class FleetFile:
    """The file. It is used from one thread at a time. It holds its runs until it is closed.

    :raises StateError: it can't be opened, or a newer nacre has made it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._held: dict[Path, int] = {}
        with self._used():
            try:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                with suppress(FileExistsError):
                    # SQLite gives its other files the mode of this one.
                    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            except OSError as error:
                raise StateError(f"can't open {path}: {error.strerror}") from error
            self._connection = sqlite3.connect(
                path, timeout=_BUSY, isolation_level=None, check_same_thread=False
            )
            try:
                self._prepare()
            except BaseException:
                self._connection.close()
                raise

    def _prepare(self) -> None:
        for words in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            self._connection.execute(f"PRAGMA {words}")
        with self._transaction() as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version > _VERSION:
                raise StateError(f"{self.path} has version {version}, made by a newer nacre")
            if version < _VERSION:
                for statement in filter(str.strip, _TABLES.split(";")):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {_VERSION}")

    def close(self) -> None:
        """Close the file, and let other processes work on its runs."""
        self._connection.close()
        while self._held:
            _let_go(*self._held.popitem())

    @contextmanager
    def _used(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StateError(f"can't use {self.path}: {error}") from error

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._used():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def begin(self, task: FleetTask, hosts: Sequence[FleetHost], options: dict[str, Any]) -> int:
        """Note a run with its hosts, and hold it; return its number.

        :raises StateError: it can't be written.
        """
        given = json.dumps(task_object(task)), json.dumps(options)
        with self._transaction() as connection:
            made = connection.execute(
                "INSERT INTO runs (begun, task, options) VALUES (?, ?, ?)", (time.time(), *given)
            )
            connection.executemany(
                "INSERT INTO hosts (run, place, name, host) VALUES (?, ?, ?, ?)",
                [
                    (made.lastrowid, place, host.name, json.dumps(host_object(host)))
                    for place, host in enumerate(hosts)
                ],
            )
            assert made.lastrowid is not None
            self.hold(made.lastrowid)  # before anybody else can see it
        return made.lastrowid

    def hold(self, run: int) -> None:
        """Have no other process work on a run until this file is closed.

        :raises StateError: another one does, or the file of the lock can't be made.
        """
        if not self._hold(run):
            raise StateError(
                f"run {run} is still running, in another process: `nacre fleet resume {run}` can "
                "go on with it when that has ended"
            )

    def _hold(self, run: int) -> bool:
        path = self.path.with_name(f"{self.path.name}-run{run}")
        if path not in self._held:
            try:
                descriptor = _locked(path)
            except OSError as error:
                raise StateError(f"can't lock {path}: {error.strerror}") from error
            if descriptor is None:
                return False
            self._held[path] = descriptor
        return True

    def note(self, run: int, begun: Sequence[str], verdicts: Sequence[FleetVerdict]) -> None:
        """Note at which hosts the task begins, and the verdicts of others."""
        with self._transaction() as connection:
            connection.executemany(
                "UPDATE hosts SET begun = 1 WHERE run = ? AND name = ?",
                [(run, name) for name in begun],
            )
            connection.executemany(
                "UPDATE hosts SET verdict = ? WHERE run = ? AND name = ?",
                [(json.dumps(as_object(one)), run, one.host) for one in verdicts],
            )

    def end(self, run: int) -> None:
        """Note that a run has ended, if each host has a verdict."""
        with self._transaction() as connection:
            connection.execute(
                "UPDATE runs SET ended = ? WHERE id = ? AND NOT EXISTS "
                "(SELECT 1 FROM hosts WHERE run = id AND verdict IS NULL)",
                (time.time(), run),
            )

    def runs(self) -> list[KeptRun]:
        """Return all runs, oldest first."""
        with self._used():
            rows = self._connection.execute(
                "SELECT id, begun, ended, task, options FROM runs ORDER BY id"
            ).fetchall()
            counted = self._connection.execute(
                "SELECT run, coalesce(json_extract(verdict, '$.ending'), ''), count(*) FROM hosts "
                "GROUP BY 1, 2"
            ).fetchall()
        counts: dict[int, dict[str, int]] = {}
        for run, ending, count in counted:
            counts.setdefault(run, {})[ending] = count
        return [
            KeptRun(
                number,
                begun,
                ended is not None,
                of_task_object(json.loads(task)),
                json.loads(options),
                counts.get(number, {}),
            )
            for number, begun, ended, task, options in rows
        ]

    def run(self, number: int | None) -> KeptRun:
        """Return a run, by default the last one.

        :raises StateError: there is none.
        """
        found = [one for one in self.runs() if number in (None, one.id)]
        if not found:
            which = "no run" if number is None else f"no run {number}"
            raise StateError(f"{self.path} has {which}: see `nacre fleet runs`")
        return found[-1]

    def left(self, run: KeptRun) -> tuple[list[FleetHost], list[FleetVerdict]]:
        """Return the hosts that a run has left to do, and the verdicts that others get now.

        A host where the task had begun is left if the task is idempotent; otherwise its verdict is
        ``unknown``.
        """
        with self._used():
            rows = self._connection.execute(
                "SELECT host, begun, json_extract(verdict, '$.ending') FROM hosts WHERE run = ? "
                "ORDER BY place",
                (run.id,),
            ).fetchall()
        hosts: list[FleetHost] = []
        verdicts: list[FleetVerdict] = []
        again = run.task.idempotent
        for text, begun, ending in rows:
            if ending not in (None, "unknown") or (ending == "unknown" and not again):
                continue
            host = FleetHost(**json.loads(text))
            if again or not begun:
                hosts.append(host)
            else:
                why = "the run broke off when the task had begun"
                verdicts.append(FleetVerdict(host.name, "unknown", RUN, reason=why))
        return hosts, verdicts

    def verdicts(self, run: int) -> Iterator[FleetVerdict]:
        """Return the verdicts of a run, one after the other: all their outputs may be too large."""
        with self._used():
            for (text,) in self._connection.execute(
                "SELECT verdict FROM hosts WHERE run = ? AND verdict IS NOT NULL ORDER BY place",
                (run,),
            ):
                yield of_object(json.loads(text))

    def remove(self, before: float) -> int:
        """Remove the runs that began before a time, but those still running; return how many."""
        with self._transaction() as connection:
            old = "SELECT id, ended FROM runs WHERE begun < ?"
            found = connection.execute(old, (before,)).fetchall()
            over = [(run,) for run, ended in found if ended is not None or self._hold(run)]
            connection.executemany("DELETE FROM runs WHERE id = ?", over)
        return len(over)


def _locked(path: Path) -> int | None:
    """Lock a file, which is made; return its descriptor, or None if somebody else has it locked.

    :raises OSError: as ``open`` and ``flock`` do.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever had it locked before has removed it.
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                    return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _let_go(path: Path, descriptor: int) -> None:
    with suppress(OSError):
        path.unlink()
    os.close(descriptor)


class FleetJournal:
    """Notes one run in a file. What comes while a thread writes is written together after it.

    :param run: the number of the run.
    """

    def __init__(self, file: FleetFile, run: int) -> None:
        self._file = file
        self._run = run
        self._thread = ThreadPoolExecutor(1, "nacre-fleet")
        self._begun: list[str] = []
        self._verdicts: list[FleetVerdict] = []
        self._next: asyncio.Task[None] | None = None
        self._writing: asyncio.Task[None] | None = None

    async def begin(self, host: str) -> None:
        """Note that the task begins at a host; return when it is on the disk.

        :raises StateError: it can't be written.
        """
        self._begun.append(host)
        await self._written()

    async def end(self, verdict: FleetVerdict) -> None:
        """Note a host's verdict; return when it is on the disk.

        :raises StateError: it can't be written.
        """
        self._verdicts.append(verdict)
        await self._written()

    async def _written(self) -> None:
        if self._next is None:
            self._next = asyncio.create_task(self._write(self._writing))
        await asyncio.shield(self._next)

    async def _write(self, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        self._writing, self._next = self._next, None
        begun, self._begun = self._begun, []
        verdicts, self._verdicts = self._verdicts, []
        await self._do(lambda: self._file.note(self._run, begun, verdicts))

    async def _do(self, work: Callable[[], None]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def close(self) -> None:
        """Note that the run has ended, if each host has a verdict."""
        for task in (self._writing, self._next):
            if task is not None:
                await asyncio.wait([task])
        await self._do(lambda: self._file.end(self._run))
        self._thread.shutdown(wait=False)
