"""What a connection tells: records of its log that are events, and operations on files."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import Protocol

from nacre.daemon.audit.events import (
    EVENTS,
    SYNCED,
    AuditEvent,
    Teller,
    of_file,
    of_record,
    written,
)
from nacre.server.peer import Client, Log
from nacre.sftp.server.receipts import Receipt
from nacre.wire.text import safe


class Keeper(Protocol):
    """What has events kept: the thread that writes them, or the link to the process that does."""

    @property
    def problem(self) -> str:
        """Why no event can be kept now; or empty."""

    @property
    def behind(self) -> bool:
        """Whether so many events wait that no further request should be taken."""

    @property
    def hashes(self) -> bool:
        """Whether the contents of transfers are hashed."""

    def keep(self, event: AuditEvent, *, waits: bool) -> Receipt:
        """Have an event kept."""

    async def open(self, teller: Teller, report: Callable[[str], object]) -> socket.socket:
        """Return a socket on which a process of files has its operations kept.

        :param report: called with the reason when the process says what it may not.
        :raises StateError: there is none.
        """


class AuditLog:
    """A log whose records of logins, sessions and forwarding are events, too.

    :param log: gets all records.
    :param keeper: gets the events.
    :param prefix: what stands in front of a connection's number, so that no other one has it.
    :param only: the events that are kept.
    :ivar last: the receipt of the event that was told last.
    """

    def __init__(
        self,
        log: Log,
        keeper: Keeper,
        prefix: str = "",
        only: frozenset[str] = frozenset(EVENTS),
    ) -> None:
        self._log = log
        self.keeper = keeper
        self._prefix = prefix
        self._only = only
        self.last = Receipt()
        self.last.settle("")

    def __call__(self, record: Mapping[str, object]) -> None:
        """Log a record, and keep it if it is an event."""
        self.note(record)
        self._log(record)

    @property
    def detailed(self) -> bool:
        """Whether the log takes a record of each operation on files."""
        return bool(getattr(self._log, "detailed", True))

    def note(self, record: Mapping[str, object]) -> None:
        """Keep a record that is an event, and do not log it."""
        if (found := of_record(record)) is None:
            return
        event, outcome, fields = found
        if event not in self._only:
            return
        user = str(record.get("user") or record.get("name") or "")
        peer = str(record["peer"])
        connection, waits = str(record["connection"]), event in SYNCED
        self.tell(connection, user, peer, event, outcome, written(fields), waits=waits)

    def tell(
        self,
        connection: str,
        user: str,
        peer: str,
        event: str,
        outcome: str,
        fields: str,
        *,
        waits: bool = True,
    ) -> Receipt:
        """Have an event kept.

        :param fields: an object of JSON.
        """
        told = AuditEvent(self.name(connection), user, peer, event, outcome, fields)
        self.last = self.keeper.keep(told, waits=waits)
        return self.last

    def name(self, connection: object) -> str:
        """Return the name of a connection in the table."""
        return f"{self._prefix}{connection}"

    def trail(self, client: Client) -> ConnectionTrail:
        """Return where the operations on files of a connection go to."""
        return ConnectionTrail(self, client)


class ConnectionTrail:
    """Where the operations on files of one connection go to."""

    def __init__(self, log: AuditLog, client: Client) -> None:
        self._log = log
        self._client = client

    @property
    def problem(self) -> str:
        """Why no event can be kept now; or empty."""
        return self._log.keeper.problem

    @property
    def behind(self) -> bool:
        """Whether so many events wait that no further request should be taken."""
        return self._log.keeper.behind

    @property
    def hashes(self) -> bool:
        """Whether the contents of transfers are hashed."""
        return self._log.keeper.hashes

    @property
    def last(self) -> Receipt:
        """The receipt of the event that was told last."""
        return self._log.last

    def add(self, fields: Mapping[str, object], *, waits: bool) -> Receipt:
        """Have an operation on a file kept."""
        _, outcome, kept = of_file(fields)
        client = self._client
        return self._log.tell(
            str(client.id),
            client.user,
            _address(client),
            "file",
            outcome,
            written(kept),
            waits=waits,
        )

    async def open(self) -> socket.socket:
        """Return a socket on which a process of files has its operations kept.

        :raises StateError: there is none.
        """
        client = self._client
        teller = Teller(self._log.name(client.id), client.user, _address(client))

        def report(problem: str) -> None:
            what = "a process of files tells no events"
            client.record("error", what=what, error=safe(problem))

        return await self._log.keeper.open(teller, report)

    async def settled(self) -> str:
        """Return when the event that was told last is kept; empty, or why it can't be."""
        return await self._log.last.settled()


def _address(client: Client) -> str:
    host, port = client.peer
    return f"{host}:{port}"
