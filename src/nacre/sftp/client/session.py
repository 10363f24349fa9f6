"""One SFTP session of a client: requests out, results to the callers that wait for them.

Operations wanted: ``request`` (send, wait), ``start`` and ``result`` (send now, wait later),
``post`` (send and forget), and for pumps ``read`` and ``write`` with a callback.

Goals: requests of one turn of the loop leave as one packet; a caller that waits for one answer is
resumed in the turn in which it arrives; when the session ends, each caller gets what ended it; a
handle that arrives after its caller gave up is closed.

Plan: a table of request ids and callbacks; a queue of what the line has not taken; one
:class:`~nacre.sftp.protocol.pipeline.Window` for all transfers, and a queue of pumps that wait for
room in it.
"""

from __future__ import annotations

import asyncio
import errno
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Protocol, TypeVar

from nacre.aio.home import check_loop, own
from nacre.aio.line import Line
from nacre.aio.waiting import Gate, Reply
from nacre.errors import (
    ConnectionLost,
    NacreError,
    NotUsableHere,
    PeerSilent,
    RemoteProtocolError,
    SFTPError,
)
from nacre.limits import DEFAULT_SFTP_LIMITS, KIB, MIB
from nacre.sftp.client.disk import Disk
from nacre.sftp.client.turns import Turns, Watch
from nacre.sftp.protocol.client import HandleReused, OpenHandle, Result, SFTPClientProtocol
from nacre.sftp.protocol.extensions import LimitsRequest, ServerLimits
from nacre.sftp.protocol.messages import VERSION_3, Close, HandleRequest, SFTPRequest
from nacre.sftp.protocol.pipeline import Window, request_sizes
from nacre.wire.blocks import BlockPool
from nacre.wire.codec import Buffer

T = TypeVar("T")

Waiter = Callable[[Result], None]
"""Called with the answer: a result, an SFTPError, or the error that ended the session."""

HEAD_ROOM = 512
"""Bytes before the data in a block: the head of the WRITE goes there, so one piece is sent."""

_CEILING = 32 * MIB
"""Bytes in flight at most: both ends hold them in memory."""

_JOINED = 32 * KIB
"""Bytes of small requests that are joined: as many as a packet takes."""

_SPARE_BLOCKS = 32

IDLE_TIMEOUT = 120.0
"""Seconds without a byte from a server that has requests to answer, by default. A server that drops
READs is told from one whose disk is slow by nothing else; a disk that has to start takes 30 s."""
_running_loop = asyncio._get_running_loop


class Pump(Protocol):
    """A transfer that sends as many requests as the window allows."""

    def fill(self) -> None:
        """Send more requests now."""

    def stop(self, failure: BaseException | None) -> None:
        """End the transfer; ``failure`` is what it raises."""


class SFTPSession:
    """Matches answers to requests, and shares the window among transfers.

    It is the sink of its channel: the line's owner calls :meth:`feed` and :meth:`end`. Call
    :meth:`begin` before any request.

    :ivar client: the protocol's state.
    :ivar window: how many bytes may be in flight, for all transfers of the session together.
    :ivar disk: threads for local files.
    :ivar blocks: memory for WRITEs: head room, then as many bytes as one takes.
    :ivar read_size: bytes of one READ.
    :ivar write_size: bytes of one WRITE.
    :ivar turns: how many files may be open, and the rate of transfers.
    :ivar error: what ended the session, or None.
    :ivar pumps: transfers that run: all of them are told of the session's end.
    :ivar waiting_pumps: those that wait for room in the window, the first one first.
    """

    def __init__(self, peer: str = "") -> None:
        """Begin a session.

        :param peer: the server's identification line; empty if unknown.
        """
        self.client = SFTPClientProtocol(peer=peer)
        self.window = Window(ceiling=_CEILING)
        self.loop = asyncio.get_running_loop()
        self.disk = Disk()
        self.read_size, self.write_size = request_sizes(None)
        self.blocks = self._make_pool()
        self._changed = Gate()
        self.turns = Turns(self.client, self._settled)
        self.error: NacreError | None = None
        self._line: Line | None = None
        self._waiters: dict[int, Waiter] = {}
        self._answered: list[Reply[Any]] = []
        self._queue: deque[memoryview] = deque()
        self._scheduled = False
        self._consumed = 0
        self._sender: asyncio.Task[None] | None = None
        self.pumps: set[Pump] = set()
        self.waiting_pumps: deque[Pump] = deque()
        self._watch = Watch(self.client, self._look)
        own(self)

    def disown(self, error: NotUsableHere) -> None:
        """Give the session up in a forked child; see :mod:`nacre.aio.home`."""
        self.error = self.error or error
        self._line = self._sender = None

    # --- the session's life ---

    async def begin(
        self,
        line: Line,
        *,
        read_size: int | None = None,
        window: int | None = None,
        idle_timeout: float | None = IDLE_TIMEOUT,
        version: int = VERSION_3,
    ) -> None:
        """Exchange versions, and request the server's limits if it offers that extension.

        :param read_size: bytes of a READ and of a WRITE, instead of the server's limits.
        :param window: bytes in flight, at first and at most.
        :param idle_timeout: seconds without a byte from a server that has requests to answer, at
            which the session ends; None waits for ever.
        :param version: the version of SFTP to ask for, 3 to 6; the server chooses it or an earlier
            one.
        :raises ValueError: one of them is not positive, or there is no such version.
        """
        for name, given in (
            ("read_size", read_size),
            ("window", window),
            ("idle_timeout", idle_timeout),
        ):
            if given is not None and not given > 0:
                raise ValueError(f"{name} is {given}: give a positive number, or None")
        if version != VERSION_3:
            self.client.propose(version)
        self._line = line
        self._watch.timeout = idle_timeout
        self._flush()
        try:
            async with asyncio.timeout(idle_timeout):
                while not self.client.ready:
                    self.check()
                    await self._changed.wait()
        except TimeoutError:
            raise PeerSilent(
                f"the server did not begin SFTP within {idle_timeout:g} s; give a longer "
                "idle_timeout if it is slow"
            ) from None
        limits: ServerLimits | None = None
        if self.client.offers(LimitsRequest.EXTENSION):
            asked = self.loop.time()
            # A server that announces the extension and refuses it has no limits to tell.
            with suppress(SFTPError):
                limits = await self.request(LimitsRequest())
                self.turns.handles = min(limits.handles, DEFAULT_SFTP_LIMITS.handles)
            self.window.expect(self.loop.time() - asked)
        self.read_size, self.write_size = request_sizes(limits)
        if read_size is not None:
            bound = DEFAULT_SFTP_LIMITS.read
            self.read_size = self.write_size = min(read_size, bound)
        self.blocks = self._make_pool()
        if window is not None:
            self.window = Window(floor=window, ceiling=window)

    def _make_pool(self) -> BlockPool:
        return BlockPool(HEAD_ROOM + self.write_size, _SPARE_BLOCKS)

    def check(self) -> None:
        """Raise the error that ended the session, if it has ended.

        :raises NotUsableHere: another event loop has the session.
        """
        if self.error is not None:
            raise self.error.with_traceback(None)
        check_loop(self.loop)

    def close(self) -> None:
        """End the session; calls that wait fail with ConnectionLost."""
        self.fail(ConnectionLost("the SFTP session is closed"))

    async def wait_ended(self) -> None:
        """Return when the session has ended and none of its tasks runs."""
        while self.error is None:
            await self._changed.wait()
        if self._sender is not None:
            await asyncio.wait([self._sender])
        if self._line is not None:
            await self._line.wait_closed()

    def fail(self, error: NacreError) -> None:
        """End the session: all calls that wait raise ``error``. Only the first call counts."""
        if self.error is not None:
            return
        self.error = error
        waiters, self._waiters = self._waiters, {}
        for waiter in waiters.values():
            waiter(error)
        # Not at once: a task may be ending the session, and one task can't run another.
        for reply in self._answered:
            reply.wake_soon()
        self._answered.clear()
        self._queue.clear()
        self.waiting_pumps.clear()
        for pump in tuple(self.pumps):
            pump.stop(error)
        if self._sender is not None:
            self._sender.cancel()
        self._watch.stop()
        if self._line is not None:
            self._line.close()
        self.disk.close()
        self._changed.wake()

    # --- input from the line ---

    def feed(self, data: Buffer) -> None:
        """Take bytes from the server."""
        if self.error is not None:
            return
        size = len(data)
        self._consumed += size
        self._watch.received += size
        if not self._scheduled and self._line is not None:
            self._scheduled = True
            self._line.before_write(self._flush, at_once=True)
        try:
            results = self.client.receive(data)
        except RemoteProtocolError as error:
            self.fail(error)
            return
        waiters = self._waiters
        for number, result in results:
            waiters.pop(number)(result)
        if results:
            self._changed.wake()
            if self.waiting_pumps:
                self.share_window()
        elif not waiters:
            self._changed.wake()  # ``begin`` waits for the server's VERSION.

    def end(self, error: NacreError | None = None) -> None:
        """End the session because the line has ended, with an error or without."""
        if self.error is None and error is None:
            try:
                self.client.receive_eof()
                error = ConnectionLost("the server ended the SFTP session")
            except RemoteProtocolError as broken:
                error = broken
        if error is not None:
            self.fail(error)

    # --- requests ---

    async def request(self, request: SFTPRequest[T]) -> T:
        """Send a request and return its result.

        :raises SFTPError: the server refused it.
        :raises NacreError: what ended the session; ConnectionLost if the line was lost.
        """
        while self.client.room <= 0:
            self.check()
            await self._changed.wait()
        if self.error is not None or _running_loop() is not self.loop:
            self.check()
        reply: Reply[T | NacreError] = Reply(self.loop)
        self._ask(request, reply)
        try:
            result = await reply
        except asyncio.CancelledError:
            if not reply.cancelled():
                self._let_go(request, reply.result())
            raise
        if isinstance(result, NacreError):
            raise result.with_traceback(None)
        return result

    def start(self, request: SFTPRequest[T]) -> asyncio.Future[T | NacreError]:
        """Send a request now; pass the future to :meth:`result` to wait for the answer."""
        self.check()
        future: asyncio.Future[T | NacreError] = self.loop.create_future()
        self._ask(request, future)
        return future

    async def result(self, future: asyncio.Future[T | NacreError]) -> T:
        """Return the result of a request that :meth:`start` sent, or raise its error."""
        result = await future
        if isinstance(result, NacreError):
            raise result.with_traceback(None)
        return result

    def _ask(self, request: SFTPRequest[T], answer: asyncio.Future[Any] | Reply[Any]) -> None:
        self._waiters[self.client.send(request)] = partial(self._settle, request, answer)
        if not self._scheduled:
            self._schedule()

    def _settle(
        self, request: SFTPRequest[Any], answer: asyncio.Future[Any] | Reply[Any], result: Result
    ) -> None:
        if isinstance(result, HandleReused) and not isinstance(request, Close):
            self.close_handle(result.handle)
        if answer.done():
            self._let_go(request, result)
            return
        # Errors are results here: asyncio logs a future's exception that no caller retrieves.
        answer.set_result(result)
        if type(answer) is Reply:
            self._answered.append(answer)

    def _let_go(self, request: SFTPRequest[Any], result: Result) -> None:
        """Drop the answer of a caller that was cancelled; close the handle it opened."""
        if isinstance(request, HandleRequest) and isinstance(result, bytes):
            self.close_handle(result)

    async def _settled(self) -> None:
        """Return when every OPEN and CLOSE was answered: files that were given up are closed."""
        while self.client.opening_or_closing:
            self.check()
            await self._changed.wait()

    def check_handle(self, handle: bytes) -> None:
        """Raise if the server gave the handle of this open file to another file as well.

        :raises SFTPError: what was read from it may be the other file's.
        """
        if isinstance(handle, OpenHandle) and handle.spoiled:
            raise SFTPError(
                errno.EBADF, "The server gave one handle to two open files; open one at a time"
            )

    def close_handle(self, handle: bytes) -> None:
        """Close a handle without waiting for the answer."""
        self.post(Close(handle))

    def post(self, request: SFTPRequest[Any]) -> None:
        """Send a request and ignore its answer; nothing happens after the session's end."""
        if self.error is None:
            self._waiters[self.client.send(request)] = lambda result: None
            self._schedule()

    def read(self, handle: bytes, offset: int, length: int, waiter: Waiter) -> None:
        """Send a READ; ``waiter`` gets a list of ``memoryview``, an error, or None at the end."""
        self._waiters[self.client.send_read(handle, offset, length)] = waiter
        if not self._scheduled:
            self._schedule()

    def start_read(
        self, handle: bytes, offset: int, length: int
    ) -> asyncio.Future[list[memoryview] | NacreError | None]:
        """Send a READ; the future's result is what :meth:`read` passes to its waiter."""
        self.check()
        return self._expect(self.client.send_read(handle, offset, length))

    def start_write(
        self, handle: bytes, offset: int, data: bytes
    ) -> asyncio.Future[NacreError | None]:
        """Send ``data`` as a WRITE, joined with other requests if it is small."""
        self.check()
        return self._expect(self.client.send_write(handle, offset, data))

    def _expect(self, number: int) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = self.loop.create_future()

        def accept(result: Result) -> None:
            if not future.done():
                future.set_result(result)

        self._waiters[number] = accept
        self._schedule()
        return future

    def write(
        self, handle: bytes, offset: int, block: bytearray, size: int, waiter: Waiter
    ) -> None:
        """Send the ``size`` bytes that follow the head room of ``block`` as a WRITE.

        The session owns the block from now on. ``waiter`` gets None, or an error.
        """
        self._take_output()
        end = HEAD_ROOM + size
        number = self.client.send_write(handle, offset, memoryview(block)[HEAD_ROOM:end])
        self._waiters[number] = waiter
        head = self.client.data_to_send()[0]
        start = HEAD_ROOM - len(head)
        block[start:HEAD_ROOM] = head
        self._queue.append(memoryview(block)[start:end])
        if not self._watch.running:
            self._watch.start()
        # Sent now, the bytes are still in the processor's cache for the cipher.
        self._send_now()

    @property
    def clogged(self) -> bool:
        """Whether requests wait for the line to take them; :meth:`wait_turn` calls when not."""
        return len(self._queue) > 0

    @property
    def room(self) -> bool:
        """Whether a READ or WRITE may be sent: the session runs and its table has room."""
        return self.error is None and self.client.room > 64

    # --- the window ---

    def wait_turn(self, pump: Pump) -> None:
        """Call ``pump.fill`` when the window has room again, or stop it with the session."""
        if self.error is not None:
            pump.stop(self.error)
        elif pump not in self.waiting_pumps:
            self.waiting_pumps.append(pump)

    def share_window(self) -> None:
        """Resume the transfers that wait for the window, while it has room."""
        self._changed.wake()
        waiting = self.waiting_pumps
        for _ in range(len(waiting)):
            if not self.window.fits(self.read_size):
                break
            waiting.popleft().fill()

    def _look(self) -> bool:
        """Shrink the window of a server that stalls, and end the session if it stays silent."""
        waiting = self.client.waiting
        if not waiting or self.error is not None:
            return False
        self.window.tick(self.loop.time())
        if self._watch.silent() and self.client.waits_for_quick_answers:
            self.fail(
                PeerSilent(
                    f"the SFTP server did not answer {waiting} requests for "
                    f"{self._watch.timeout:g} s; give a smaller read_size and window if it drops "
                    "requests, a longer idle_timeout if it is slow"
                )
            )
        return self.error is None

    # --- sending ---

    def _schedule(self) -> None:
        """Send at the end of this turn of the loop, so that all requests of the turn are joined."""
        if not self._watch.running and self.error is None:
            self._watch.start()
        if not self._scheduled and self._line is not None:
            self._scheduled = True
            self._line.before_write(self._flush)

    def _take_output(self) -> None:
        """Move the protocol's output to the queue, small requests joined."""
        pieces = self.client.data_to_send()
        if len(pieces) == 1:
            self._queue.append(memoryview(pieces[0]))
            return
        joined: list[Buffer] = []
        room = _JOINED
        for piece in pieces:
            room -= len(piece)
            if room < 0 and joined:
                self._queue.append(memoryview(b"".join(joined)))
                joined = []
                room = _JOINED - len(piece)
            joined.append(piece)
        if joined:
            self._queue.append(memoryview(b"".join(joined)))

    def _flush(self) -> None:
        """Resume the tasks that have answers, then send what they and others requested."""
        if self._answered:
            self._go_on()
        self._scheduled = False
        if self._consumed and self.error is None and self._line is not None:
            data, self._consumed = self._consumed, 0
            self._line.adjust_window(data)
        self._take_output()
        self._send_now()

    def _go_on(self) -> None:
        answered, self._answered = self._answered, []
        inside = asyncio.current_task(self.loop) is not None
        for reply in answered:
            # asyncio can't run a task inside of another.
            if inside:
                reply.wake_soon()
            else:
                reply.wake()

    def _send_now(self) -> None:
        """Send as much as the line takes without waiting; a task sends the rest."""
        if self.error is not None or self._sender is not None or self._line is None:
            return
        queue = self._queue
        while queue:
            data = queue[0]
            taken = self._line.try_write(data)
            if taken < len(data):
                queue[0] = data[taken:]
                if not taken:
                    self._sender = self.loop.create_task(self._send())
                    return
            else:
                memory = data.obj
                del queue[0], data  # the last views of it
                self.blocks.give(memory)

    async def _send(self) -> None:
        """Send the rest of the queue, waiting for the line."""
        assert self._line is not None
        try:
            while self._queue:
                await self._line.write(self._queue[0])
                self.blocks.give(self._queue.popleft().obj)
        except NacreError as error:
            self.fail(error)
        finally:
            self._sender = None
            self.share_window()
