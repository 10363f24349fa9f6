"""Reads the table of events for the hooks, in one thread, and notes what each hook has had.

A disk that hangs holds up the hooks, and nothing else. The process of hooks gets some events of
each hook ahead. What it says of them moves the hook's place in the table, which is saved a few
times each second: after a kill a hook is told of its last events again.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic

from nacre.daemon.hooks.cursor import HookCursor
from nacre.daemon.hooks.secret_files import read_authorities, read_secret
from nacre.daemon.hooks.table import HookTable
from nacre.daemon.hooks.values import HookPlan, StoredHook
from nacre.daemon.separate.messages import HooksAre, HookTold, packed
from nacre.errors import StateError
from nacre.wire.message import Message

Record = Mapping[str, object]
Passed = Callable[[int, Sequence[Message], Sequence[Record]], None]
"""Gets, on the loop, what is to be sent to the process of a number, and records for the log."""

EVERY = 0.2
"""Seconds between two looks at the table, and between two times that progress is saved."""

READ_AGAIN = 1.0
"""Seconds between two times that the hooks and their files are read."""

TOGETHER = 200
"""Events that are read at once."""

MOST_WAITING = 16384
"""What a process has said and the disk has not let be noted, at most."""

_PATIENCE_AT_END = 2.0


class HookFeed:
    """Feeds the process of hooks.

    :param path: the file of the audit, which exists.
    :param passed: see :data:`Passed`.
    """

    def __init__(self, path: Path, passed: Passed) -> None:
        """Open the file and start the thread; call this on the loop.

        :raises StateError: the file can't be used.
        """
        self._table = HookTable(path, lazily=True)
        self._passed = passed
        self._loop = asyncio.get_running_loop()
        self._inbox: SimpleQueue[tuple[int, HookTold | None]] = SimpleQueue()
        self._wake = threading.Event()
        self._over = threading.Event()
        # The thread's.
        self._process = 0
        self._cursors: dict[int, HookCursor] = {}
        self._plans: list[HookPlan] | None = None
        self._read = self._saved = float("-inf")
        self._broken = ""
        self._records: list[Record] = []
        self._thread = threading.Thread(target=self._run, name="hooks", daemon=True)
        self._thread.start()

    def begin(self, process: int) -> None:
        """Feed another process, which has had nothing; 0 for none.

        :param process: a number that no process before has had.
        """
        self._inbox.put((process, None))
        self._wake.set()

    def told(self, process: int, message: HookTold) -> bool:
        """Take what a process says of an attempt; return whether there was room for it."""
        if self._inbox.qsize() >= MOST_WAITING:
            return False
        self._inbox.put((process, message))
        self._wake.set()
        return True

    def close(self) -> None:
        """Save how far all hooks are, for some seconds at most, and end the thread."""
        self._over.set()
        self._wake.set()
        self._thread.join(_PATIENCE_AT_END)

    # --- in the thread ---

    def _run(self) -> None:
        at_end = False
        while not at_end:
            self._wake.wait(EVERY)
            self._wake.clear()
            at_end = self._over.is_set()
            self._step(at_end=at_end)
        self._table.close()

    def _step(self, *, at_end: bool) -> None:
        table = self._table
        messages: list[Message] = []
        try:
            self._listen()
            if monotonic() - self._read >= READ_AGAIN and not at_end:
                messages += self._read_hooks(table)
                self._read = monotonic()
            if self._process and not at_end:
                self._take_events(table, messages)
            if at_end or monotonic() - self._saved >= EVERY:
                self._save(table)
                self._saved = monotonic()
            self._note_broken("")
        except StateError as error:
            self._note_broken(str(error))
        except Exception as error:  # this thread goes on whatever is in the table
            self._note_broken(repr(error))
        records, self._records = self._records, []
        if messages or records:
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._passed, self._process, messages, records)

    def _note_broken(self, problem: str) -> None:
        if problem and not self._broken:
            self._records.append({"event": "error", "what": "hooks wait", "error": problem})
        self._broken = problem

    def _listen(self) -> None:
        """Take what processes have said."""
        with suppress(Empty):
            while True:
                process, message = self._inbox.get_nowait()
                if message is None:
                    self._process, self._plans = process, None
                    self._read = float("-inf")
                    for one in self._cursors.values():
                        one.again()
                elif process == self._process and message.hook in self._cursors:
                    record = self._cursors[message.hook].told(message)
                    self._records += [] if record is None else [record]

    def _read_hooks(self, table: HookTable) -> list[Message]:
        """Read the hooks and their files; return what the process has to know of them."""
        stored = {one.number: one for one in table.all()}
        for number in self._cursors.keys() - stored.keys():
            del self._cursors[number]
        for number, one in stored.items():
            cursor = self._cursors.setdefault(number, HookCursor(one))
            try:
                cursor.plan = _plan(one)
            except StateError as error:
                record = cursor.hold(str(error))
                self._records += [] if record is None else [record]
        plans = [one.plan for one in self._cursors.values() if one.plan is not None]
        if plans == self._plans:
            return []
        self._plans = plans
        return [HooksAre(packed(plans))]

    def _take_events(self, table: HookTable, messages: list[Message]) -> None:
        """Add what hooks are to be told next: what was added is sent, also if others fail."""
        head = table.head() if self._cursors else 0
        for one in self._cursors.values():
            if one.has_room and one.scanned < head:
                messages += one.take(table.events(one.scanned, TOGETHER))
                if one.has_room and one.scanned < head:
                    self._wake.set()  # after what the others get

    def _save(self, table: HookTable) -> None:
        changed = [one for one in self._cursors.values() if one.changed]
        if not changed:
            return
        dead = [letter for one in changed for letter in one.dead]
        table.save({one.number: one.progress for one in changed}, dead)
        for one in changed:
            one.changed = False
            one.dead.clear()


def _plan(stored: StoredHook) -> HookPlan:
    hook = stored.hook
    return HookPlan(
        number=stored.number,
        name=hook.name,
        kind=hook.kind,
        target=hook.target,
        secret=read_secret(hook.secret_file) if hook.secret_file else b"",
        authorities=read_authorities(hook.ca_file) if hook.ca_file else "",
        timeout=hook.timeout,
        give_up=hook.give_up,
    )
