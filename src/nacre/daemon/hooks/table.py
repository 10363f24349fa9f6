"""The hooks in the file of the audit: who is told of events, and how far each one is."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from nacre.daemon.audit.chain import Kept
from nacre.daemon.audit.table import AUDIT_FORMAT, CHAIN, DEAD_LETTERS, EVENTS, HOOKS, upgrade
from nacre.daemon.hooks.values import MOST_HOOKS, DeadLetter, Hook, Progress, StoredHook
from nacre.daemon.store.sqlite_file import SQLiteFile
from nacre.errors import StateError

MOST_DEAD_LETTERS = 1000
"""Events that were given up, which are kept for each hook: the newest ones."""

_DEFINED = (
    *("name", "any_outcome", "kind", "target", "secret_file", "ca_file"),
    *("timeout", "give_up"),
)
_PROGRESS = ("position", "delivered", "dead", "last", "attempts", "since", "problem")


class HookTable:
    """The hooks of a file. A process may have it open as a table of events, too.

    :raises StateError: every method raises it where the file can't be used.
    """

    def __init__(self, path: Path, *, create: bool = False, lazily: bool = False) -> None:
        """Open the file.

        :param create: make it when it is missing.
        :param lazily: what is written may be missing after a loss of power: how far hooks are, say,
            which are told of some events again then.
        """
        self._file = SQLiteFile(path, AUDIT_FORMAT, upgrade, create=create)
        self._before = "PRAGMA synchronous = NORMAL" if lazily else ""

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def add(self, hook: Hook) -> None:
        """Add a hook, which is told of what happens from now on.

        :raises StateError: there is one of this name, or there are too many.
        """
        row = {name: getattr(hook, name) for name in _DEFINED}
        row |= {"events": ",".join(hook.events), "created": int(time.time())}
        try:
            with self._changing() as connection:
                many = connection.execute(select(func.count()).select_from(HOOKS)).scalar_one()
                if many >= MOST_HOOKS:
                    raise StateError(f"there are {many} hooks, and there may be {MOST_HOOKS}")
                row["position"] = connection.execute(select(CHAIN.c.last)).scalar_one()
                connection.execute(insert(HOOKS), row)
        except IntegrityError:
            raise StateError(
                f"there is a hook {hook.name} already: `nacre hook remove {hook.name}` removes it"
            ) from None

    def remove(self, name: str) -> None:
        """Remove a hook.

        :raises StateError: there is none of this name.
        """
        with self._changing() as connection:
            number = connection.execute(select(HOOKS.c.number).where(HOOKS.c.name == name)).scalar()
            if number is None:
                raise _no_such(name)
            connection.execute(delete(DEAD_LETTERS).where(DEAD_LETTERS.c.hook == number))
            connection.execute(delete(HOOKS).where(HOOKS.c.number == number))

    def rewind(self, name: str, number: int) -> None:
        """Have a hook be told of an event and all behind it, again if it has been.

        It gets a new number: what a server has told it meanwhile does not count.

        :raises StateError: there is no such hook, or no such event.
        """
        with self._changing() as connection:
            row = connection.execute(select(HOOKS).where(HOOKS.c.name == name)).mappings().first()
            if row is None:
                raise _no_such(name)
            if connection.execute(select(EVENTS.c.id).where(EVENTS.c.id == number)).first() is None:
                raise StateError(f"the audit has no event {number}: see `nacre audit`")
            connection.execute(delete(DEAD_LETTERS).where(DEAD_LETTERS.c.hook == row["number"]))
            connection.execute(delete(HOOKS).where(HOOKS.c.number == row["number"]))
            kept = {key: value for key, value in row.items() if key not in ("number", "dead")}
            again = {"position": number - 1, "attempts": 0, "since": 0, "problem": ""}
            connection.execute(insert(HOOKS), {**kept, **again})

    def all(self) -> list[StoredHook]:
        """Return all hooks, by their names."""
        with self._file.reading() as connection:
            rows = connection.execute(select(HOOKS).order_by(HOOKS.c.name)).all()
        return [_stored(row._mapping) for row in rows]

    def one(self, name: str) -> StoredHook:
        """Return a hook.

        :raises StateError: there is none of this name.
        """
        found = next((one for one in self.all() if one.hook.name == name), None)
        if found is None:
            raise _no_such(name)
        return found

    def head(self) -> int:
        """Return the number of the last event."""
        with self._file.reading() as connection:
            return int(connection.execute(select(CHAIN.c.last)).scalar_one())

    def events(self, after: int, most: int) -> list[Kept]:
        """Return the next events behind one."""
        chosen = select(EVENTS).where(EVENTS.c.id > after).order_by(EVENTS.c.id).limit(most)
        with self._file.reading() as connection:
            return [Kept(*row) for row in connection.execute(chosen)]

    def save(self, progress: dict[int, Progress], dead: Sequence[DeadLetter] = ()) -> None:
        """Note how far hooks are, by their numbers, and what was given up."""
        with self._changing() as connection:
            for number, one in progress.items():
                row = {name: getattr(one, name) for name in _PROGRESS}
                connection.execute(update(HOOKS).where(HOOKS.c.number == number), row)
            for letter in dead:
                self._add_dead(connection, letter)

    @staticmethod
    def _add_dead(connection: Connection, letter: DeadLetter) -> None:
        known = select(HOOKS.c.number).where(HOOKS.c.number == letter.hook)
        if connection.execute(known).first() is None:
            return  # it was removed meanwhile
        row = {name: getattr(letter, name) for name in ("hook", "event", "time", "reason")}
        connection.execute(insert(DEAD_LETTERS).prefix_with("OR REPLACE"), row)
        own = DEAD_LETTERS.c.hook == letter.hook
        newest = select(DEAD_LETTERS.c.event).where(own).order_by(DEAD_LETTERS.c.event.desc())
        last = connection.execute(newest.offset(MOST_DEAD_LETTERS).limit(1)).scalar()
        if last is not None:
            connection.execute(delete(DEAD_LETTERS).where(own, DEAD_LETTERS.c.event <= last))

    def dead_letters(self, number: int, most: int) -> list[DeadLetter]:
        """Return the newest events that a hook was given up for, newest first."""
        chosen = select(DEAD_LETTERS).where(DEAD_LETTERS.c.hook == number)
        chosen = chosen.order_by(DEAD_LETTERS.c.event.desc()).limit(most)
        with self._file.reading() as connection:
            return [DeadLetter(**row._mapping) for row in connection.execute(chosen)]

    def _changing(self) -> AbstractContextManager[Connection]:
        return self._file.transaction(before=self._before)


def _no_such(name: str) -> StateError:
    return StateError(f"there is no hook {name}: see `nacre hook list`")


def _stored(row: Any) -> StoredHook:
    events = tuple(filter(None, row["events"].split(",")))
    hook = Hook(events=events, **{name: row[name] for name in _DEFINED})
    progress = Progress(**{name: row[name] for name in _PROGRESS})
    return StoredHook(number=row["number"], hook=hook, progress=progress)
