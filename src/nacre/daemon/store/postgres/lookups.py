"""What logins ask of a database that others change, too: asked once, and remembered until a change.

What is remembered counts only while changes are told. A name that nobody has is remembered as well,
so that an answer does not show by its speed whether there is such a user.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nacre.daemon.store.postgres.changes import BANS, USER

if TYPE_CHECKING:
    from nacre.daemon.store.postgres.shared_database import SharedDatabase
    from nacre.daemon.store.values import User
    from nacre.keys import PublicKey

KEPT = 4096
"""Names that are remembered. One takes some kilobytes."""

_LONGEST = 0.05
"""Seconds that an answer from memory is held back at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundLogin:
    """What a login asks of a name.

    :ivar user: the user with the settings that hold; None if there is none of this name.
    :ivar keys: the options of the user's keys, by the blobs of these.
    :ivar public: these keys.
    :ivar enrolled: whether the user has a second factor.
    :ivar policies: which authentication policies the users have.
    """

    user: User | None = None
    keys: Mapping[bytes, str] = field(default_factory=dict)
    public: tuple[PublicKey, ...] = ()
    enrolled: bool = False
    policies: tuple[str, ...] = ()


class Lookups:
    """The lookups of one process. Safe to use from several threads.

    :param ask: asks the database for a name; blocks.
    """

    def __init__(self, database: SharedDatabase, ask: Callable[[str], FoundLogin]) -> None:
        self._database = database
        self._ask = ask
        self._lock = threading.Lock()
        self._found: OrderedDict[str, FoundLogin] = OrderedDict()
        self._changes = 0
        self._followed = False
        self.pace = 0.0
        """Seconds that the database took for its last answer, up to a bound."""

    def remembered(self, name: str) -> FoundLogin | None:
        """Return what is known of a name; None if the database has to be asked."""
        if not self._database.is_followed():
            return None
        with self._lock:
            found = self._found.get(name)
            if found is not None:
                self._found.move_to_end(name)
            return found

    def look_up(self, name: str) -> FoundLogin:
        """Ask the database. Blocks.

        :raises StateError: it gives no answer.
        """
        with self._lock:
            if not self._followed:
                self._followed = True
                self._database.subscribe(self._forget)
            before = self._changes
        began = time.monotonic()
        found = self._ask(name)
        self.pace = min(time.monotonic() - began, _LONGEST)
        with self._lock:
            # What has changed meanwhile may be missing in the answer.
            if self._changes == before:
                self._found[name] = found
                self._found.move_to_end(name)
                if len(self._found) > KEPT:
                    self._found.popitem(last=False)
        return found

    def _forget(self, what: str) -> None:
        kind, _, name = what.partition(" ")
        if kind == BANS:
            return
        with self._lock:
            self._changes += 1
            if kind == USER:
                self._found.pop(name, None)
            else:
                self._found.clear()
