"""Keeps a server's bans: what is in the store, and what the offences in its log lead to."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from nacre.daemon.accounts.virtual.users import UNKNOWN_USER
from nacre.errors import NacreError
from nacre.server.admission.bans import POINTS, Ban, BanTable, OffenceScores, next_ban
from nacre.server.admission.networks import Network, host_network, show_network
from nacre.server.peer import Log
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.daemon.store.bans import StoredBans

EVERY = 0.4
"""Seconds between two looks whether somebody has changed the store."""

_LAN = 64
"""The bits of an IPv6 network of which one host may have all addresses (RFC 4291 section 2.5.1)."""

Changed = Callable[[Sequence[Ban], bool], None]
"""Called with entries: all that there are, or one that is new."""


class BanKeeper:
    """The bans of one process that serves, or of the monitor.

    A thread reads and writes the store, where a disk or another process may hold it up.

    :param store: the bans of the store.
    :param most: the points from which on a network is banned; 0 for none.
    :param bits: the size of an IPv4 and of an IPv6 network.
    :ivar table: the bans as they are.
    """

    def __init__(self, store: StoredBans, most: int, bits: tuple[int, int]) -> None:
        """Read the store.

        :raises StateError: it can't be read.
        """
        self._store = store
        self._most = most
        self._bits = bits[0], min(bits[1], _LAN)
        self._scores = OffenceScores()
        self._seen = store.version()
        self._stored = store.all()
        self.table = BanTable(self._stored)
        self._unsaved: dict[Network, Ban] = {}
        self._changed: list[Changed] = []
        self._report: Log | None = None
        self._over = threading.Event()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, report: Log) -> None:
        """Follow the store from now on, on the running loop."""
        self._report = report
        self._store.follow()
        loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._follow, args=(loop,), name="bans", daemon=True)
        self._thread.start()

    def subscribe(self, changed: Changed) -> None:
        """Call ``changed`` when the bans change."""
        self._changed.append(changed)

    def all(self) -> list[Ban]:
        """Return all entries, those included that are not saved yet."""
        return [*(one for one in self._stored if one.network not in self._unsaved),
                *self._unsaved.values()]  # fmt: skip

    def banned(self) -> int:
        """Return how many networks are banned now."""
        return self.table.banned(time.time())

    def close(self) -> None:
        """Stop following the store. What is not saved yet, the thread still saves."""
        self._over.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(1.0)

    # --- offences ---

    def note(self, record: Mapping[str, object]) -> None:
        """Take note of a record of the log, which may tell of an offence."""
        event, offence = record.get("event"), None
        if event in ("closed", "api"):
            offence = record.get("offence")
        elif event == "refused" and record.get("reason") == UNKNOWN_USER:
            offence = "unknown-user"
        if isinstance(offence, str) and offence in POINTS:
            # A program that signs users in tells where they are, and the fault is not its own.
            host = record.get("client") or str(record.get("peer", "")).rpartition(":")[0]
            self.offend(str(host), offence)

    def offend(self, host: str, offence: str) -> None:
        """Count an offence of a client; ban its network if that is too much."""
        network, now = host_network(host, self._bits), time.time()
        if network is None or not self._most or self.table.allows(network, now):
            return
        score = self._scores.add(network, POINTS[offence], now)
        before = self.table.get(network)
        # What decays within the same minutes is not to need one offence more.
        if math.ceil(score) < self._most or (before is not None and before.holds(now)):
            return
        self._scores.forget(network)
        ban = next_ban(before, network, offence, now)
        self._unsaved[network] = ban
        self.table.put(ban)
        for changed in self._changed:
            changed([ban], False)
        self._wake.set()
        if self._report is not None:
            seconds = ban.until - int(now)
            name = show_network(network)
            self._report({"event": "ban", "network": name, "seconds": seconds, "reason": offence})

    # --- in the thread ---

    def _follow(self, loop: asyncio.AbstractEventLoop) -> None:
        failed = False
        while not self._over.is_set():
            self._wake.wait(EVERY)
            self._wake.clear()
            try:
                self._save()
                version = self._store.version()
                if version != self._seen:
                    bans = self._store.all()
                    self._seen = version
                    with suppress(RuntimeError):  # the loop is closed
                        loop.call_soon_threadsafe(self._replace, bans)
                failed = False
            except NacreError as error:
                if not failed:
                    with suppress(RuntimeError):
                        loop.call_soon_threadsafe(self._tell_failure, str(error))
                failed = True
                self._over.wait(EVERY)

    def _save(self) -> None:
        bans = list(self._unsaved.values())
        if bans:
            self._store.put(bans)
            for ban in bans:
                if self._unsaved.get(ban.network) is ban:
                    self._unsaved.pop(ban.network, None)

    def _tell_failure(self, error: str) -> None:
        if self._report is not None:
            what = "the bans of the store can't be used"
            self._report({"event": "error", "what": what, "error": safe(error)})

    def _replace(self, bans: list[Ban]) -> None:
        if bans == self._stored and not self._unsaved:
            return  # something else of the store has changed
        self._stored = bans
        everything = self.all()
        self.table.replace(everything)
        for changed in self._changed:
            changed(everything, True)
