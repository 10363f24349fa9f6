"""A server that is restarted without an end: what it hands over, and when.

The successor listens before this server stops to, on the same sockets. When it can't start, this
server has lost nothing, and goes on.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Sequence
from typing import Protocol

from nacre.daemon.background import PidFile
from nacre.daemon.control.place import ControlPlace
from nacre.daemon.handover.estate import NOTHING, Estate
from nacre.daemon.handover.predecessor import Predecessor
from nacre.daemon.handover.successor import PATIENCE, Invocation, Successor
from nacre.daemon.notify import notify
from nacre.daemon.processes.template import LIMITS
from nacre.daemon.sockets import ListeningSockets, Passed
from nacre.errors import StateError

_HUNDRED = 100
"""The numbers of a successor's gates, workers and listeners begin at the next one."""


class HandsOver(Protocol):
    """What answers on the control socket."""

    def hand_over(self, sock: socket.socket) -> None:
        """Leave the control socket, and answer on ``sock`` from now on."""


class SharedCounts(Protocol):
    """The counts of users' connections, in memory that servers share."""

    @property
    def descriptor(self) -> int:
        """The descriptor of the memory."""

    @property
    def used(self) -> Sequence[tuple[int, int]]:
        """The parts of it that are in use."""

    def forget_others(self) -> None:
        """Forget the counts of servers that have ended."""


class ListensBeside(Protocol):
    """What listens beside the server."""

    sockets: ListeningSockets


class ServedAPI(ListensBeside, Protocol):
    """The API of a server."""

    def own(self) -> None:
        """Have what was inherited as this server's."""

    def leave(self) -> None:
        """End its process: a successor serves it."""


class Restart:
    """What a server has for its successor, and what it has of its predecessor.

    :ivar predecessor: the server that this one follows; None for the first one.
    :ivar control: what answers on the control socket.
    :ivar metrics: what listens for monitoring; ``api`` what serves the API.
    :ivar node: what all processes of the node have in common; empty without a shared store.
    """

    control: HandsOver | None = None
    metrics: ListensBeside | None = None
    api: ServedAPI | None = None
    node = ""

    def __init__(
        self,
        command: Invocation,
        sockets: ListeningSockets,
        place: ControlPlace | None,
        file: PidFile,
        counts: SharedCounts | None,
        predecessor: Predecessor | None,
    ) -> None:
        self._command = command
        self._sockets = sockets
        self._place = place
        self._file = file
        self._counts = counts
        self._asking: socket.socket | None = None
        self._over = False
        self._gone = asyncio.Event()
        self.predecessor = predecessor

    @property
    def first(self) -> int:
        """A number above those of the predecessor; 0 for the first server."""
        return 0 if self.predecessor is None else self.predecessor.estate.first

    # --- as a successor ---

    def take_over(self) -> None:
        """Take over from the predecessor, if there is one. Blocks for a moment.

        :raises StateError: it does not answer.
        """
        if self.predecessor is not None:
            self.predecessor.take_over()
            if self._place is not None:
                self._place.own()
            if self.api is not None:
                self.api.own()

    async def attend(self) -> None:
        """Wait for the predecessor's end, and forget its connections then."""
        if self.predecessor is None:
            return
        loop = asyncio.get_running_loop()
        loop.add_reader(self.predecessor.fileno(), self._gone.set)
        try:
            await self._gone.wait()
        finally:
            loop.remove_reader(self.predecessor.fileno())
        self.forget_gone()

    async def wait_gone(self) -> None:
        """Return when the predecessor has ended, which :meth:`attend` notices."""
        if self.predecessor is not None:
            await self._gone.wait()

    def forget_gone(self) -> None:
        """Forget the connections of a predecessor that has ended."""
        if self.predecessor is not None and self.predecessor.gone and self._counts is not None:
            self._counts.forget_others()

    # --- with a successor ---

    def begin(self, last: int) -> Successor:
        """Start a successor. Blocks for some milliseconds.

        :param last: the highest number of a gate, worker or listener.
        :raises StateError: it can't be started, or one has taken over.
        """
        if self._over:
            raise StateError("another server has taken over already")
        if os.getpid() == 1:
            raise StateError("a container ends with its process 1: start another container")
        data, descriptors = self._sockets.pack()
        self._close_asking()
        self._asking, theirs = socket.socketpair()
        with theirs:
            estate = Estate(
                sockets=Passed(data, descriptors),
                asking=theirs.fileno(),
                metrics=_passed(self.metrics),
                api=_passed(self.api),
                control=None if self._place is None else self._place.listener.fileno(),
                counts=None if self._counts is None else self._counts.descriptor,
                parts=() if self._counts is None else self._counts.used,
                first=(last // _HUNDRED + 1) * _HUNDRED,
                node=self.node,
                limits=LIMITS,
            )
            return Successor(self._command, estate)

    async def prepare(self, last: int) -> Successor:
        """Start a successor; return when it listens.

        :raises StateError: it can't, and has ended; the message says why.
        """
        loop = asyncio.get_running_loop()
        successor = await loop.run_in_executor(None, self.begin, last)
        heard = asyncio.Event()
        loop.add_reader(successor.fileno(), heard.set)
        try:
            async with asyncio.timeout(PATIENCE):
                while not successor.listens():
                    await heard.wait()
                    heard.clear()
        except BaseException as error:
            loop.remove_reader(successor.fileno())
            await loop.run_in_executor(None, self.give_up, successor)
            if isinstance(error, TimeoutError):
                raise late() from None
            raise
        loop.remove_reader(successor.fileno())
        return successor

    def hand_over(self, successor: Successor) -> None:
        """Have a successor take over, and leave it what only one server can have.

        :raises StateError: it is gone, and this server goes on.
        """
        notify(f"MAINPID={successor.pid}")
        try:
            successor.go()
        except StateError:
            notify(f"MAINPID={os.getpid()}")
            self.give_up(successor)
            raise
        self._over = True
        self._file.leave()
        if self.api is not None:
            self.api.leave()
        if self.control is not None and self._asking is not None:
            self.control.hand_over(self._asking)
            self._asking = None  # it is the other's from now on
        else:
            self._close_asking()

    def give_up(self, successor: Successor) -> None:
        """End a successor, and go on as before; a second call does nothing."""
        successor.end()
        self._close_asking()

    def _close_asking(self) -> None:
        if self._asking is not None:
            self._asking.close()
            self._asking = None


def _passed(beside: ListensBeside | None) -> Passed:
    return NOTHING if beside is None else Passed(*beside.sockets.pack())


def late() -> StateError:
    """Return the error of a successor that does not listen in time."""
    return StateError(f"the successor did not listen after {PATIENCE:.0f} seconds")
