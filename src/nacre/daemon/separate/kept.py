"""Events of the audit on the link between a session process and the monitor, at both ends.

The monitor believes nothing of them but what the process itself has done: who the user is, where
the connection comes from and when the event was, the monitor says.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Awaitable, Callable

from nacre.daemon.audit.events import AuditEvent, AuditMode, BadEvent, Teller, checked
from nacre.daemon.audit.frames import (
    ENOUGH,
    MOST_UNANSWERED,
    AuditedEvent,
    AuditState,
    Recorded,
)
from nacre.daemon.audit.in_order import InOrder
from nacre.daemon.audit.trail import AuditLog
from nacre.daemon.separate.link import Link, LinkError
from nacre.daemon.separate.visit import Visit
from nacre.sftp.server.receipts import UNKEPT, Receipt, settle_all
from nacre.wire.message import Message


class LinkKeeper:
    """The session process's end: has the monitor keep events.

    :ivar problem: why no event can be kept now; or empty.
    """

    def __init__(self, link: Link) -> None:
        self.problem = ""
        self._link = link
        self._receipts: deque[Receipt] = deque()
        self._gone = False

    @property
    def behind(self) -> bool:
        """Whether so many events wait that no further request should be taken."""
        return len(self._receipts) >= ENOUGH

    def keep(self, session: bytes, event: AuditEvent, *, waits: bool) -> Receipt:
        """Have an event of a connection kept."""
        receipt = Receipt()
        if self._gone or len(self._receipts) >= MOST_UNANSWERED:
            receipt.settle(UNKEPT)
            return receipt
        self._receipts.append(receipt)
        fields = event.fields.encode()
        told = AuditedEvent(session, event.event, event.outcome, waits, fields)
        # What nobody waits for wakes the monitor together with what somebody does.
        send = self._link.send if waits else self._link.send_later
        send(told.encode())
        return receipt

    def take(self, message: Recorded | AuditState) -> None:
        """Act on what the monitor says."""
        if isinstance(message, AuditState):
            self.problem = message.problem
            return
        settle_all([self._receipts.popleft() for _ in range(message.count)], message.problem)

    def end(self) -> None:
        """Give up: the monitor is gone."""
        self._gone, self.problem = True, UNKEPT
        receipts, self._receipts = self._receipts, deque()
        settle_all(receipts, UNKEPT)


class SessionKeeper:
    """What one connection of a session process has its events kept by.

    :param opens: has the monitor open a socket for a process of files; raises StateError.
    """

    def __init__(
        self,
        keeper: LinkKeeper,
        session: bytes,
        mode: AuditMode,
        opens: Callable[[bytes], Awaitable[socket.socket]],
    ) -> None:
        self._keeper = keeper
        self._session = session
        self._opens = opens
        self.hashes = mode == "hashes"

    @property
    def problem(self) -> str:
        """Why no event can be kept now; or empty."""
        return self._keeper.problem

    @property
    def behind(self) -> bool:
        """Whether so many events wait that no further request should be taken."""
        return self._keeper.behind

    def keep(self, event: AuditEvent, *, waits: bool) -> Receipt:
        """Have an event kept."""
        return self._keeper.keep(self._session, event, waits=waits)

    async def open(self, teller: Teller, report: Callable[[str], object]) -> socket.socket:
        """Return a socket on which a process of files has its operations kept.

        Whose they are the monitor says, and it hears of what the process may not say.
        """
        return await self._opens(self._session)


class ToldEvents:
    """The monitor's end: the events of one session process.

    :param send: sends a message to the process.
    """

    def __init__(self, send: Callable[[Message], object]) -> None:
        # The reason is for the log alone.
        self._answers = InOrder(
            lambda answer: send(Recorded(answer.count, UNKEPT if answer.problem else ""))
        )

    def take(self, message: AuditedEvent, visit: Visit) -> None:
        """Have an event kept that the process has told of a connection.

        :raises LinkError: it may not tell this.
        """
        log = visit.audit
        if log is None or self._answers.unanswered >= MOST_UNANSWERED:
            raise LinkError("an event where there is no audit, or one too many")
        try:
            event, outcome, fields = checked(message.event, message.outcome, message.fields)
        except BadEvent as error:
            raise LinkError(str(error)) from error
        self._answers.expect(tell(log, visit, event, outcome, fields, waits=message.waits))


def tell(
    log: AuditLog, visit: Visit, event: str, outcome: str, fields: str, *, waits: bool = True
) -> Receipt:
    """Have an event of a connection kept, with what the monitor knows of it."""
    host, port = visit.peer
    return log.tell(
        str(visit.id), visit.user, f"{host}:{port}", event, outcome, fields, waits=waits
    )
