"""A session's answers on their way to the client, and the blocks that hold the data of READs.

Wanted: data goes from the file to the channel without a copy; small answers leave together; a
client that reads slowly costs a bounded amount of memory.

Plan: READs in a row are read into one block of the shared pool, with room for each packet's header.
The block is lent until the line has taken it, or until its data was copied to small answers. At
most :data:`BUFFERS` blocks of a session are lent: further READs wait for one to come back.
"""

from __future__ import annotations

import errno
import logging
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from nacre.limits import KIB
from nacre.sftp.protocol.server import DATA_ROOM, Call, SFTPServerProtocol
from nacre.sftp.protocol.status import numbered
from nacre.sftp.server.calls import answer, internal
from nacre.sftp.server.journal import Journal
from nacre.sftp.server.receipts import UNKEPT
from nacre.sftp.server.rows import answer_row
from nacre.wire.blocks import SHARED_BLOCKS, Block
from nacre.wire.codec import Buffer

BUFFERS = 3
"""Blocks of a session that are filled or wait to be sent: one is read while another is sealed."""

_SMALL = 16 * KIB
"""Bytes below which an answer is copied to its neighbours: fewer writes cost less than the copy."""

_MODEST = 64 * KIB
"""Bytes up to which READs get memory of their own: a block would be mostly empty."""

_logger = logging.getLogger("nacre.server")


class Answers:
    """Turns the outcomes of calls into output, and keeps it until the line takes it.

    :ivar queue: the output, in order.
    :ivar unsent: answers given since the queue was last empty, and those that are held.
    :ivar held: answers that wait until the journal's record of their call is kept.
    :ivar journal: records the calls, or None.
    :ivar lent: blocks that are being filled or sent.
    """

    def __init__(
        self,
        server: SFTPServerProtocol,
        journal: Journal | None = None,
        released: Callable[[], object] = int,
    ) -> None:
        """Answer the calls of ``server``, and record them in ``journal``.

        :param released: called when an answer that was held has been given.
        """
        self._server = server
        self.journal = journal
        self.queue: deque[Buffer] = deque()
        self.unsent = 0
        self.lent = 0
        self.held = 0
        self._released = released

    def give(
        self, calls: list[Call], buffer: bytearray | None, value: Any, error: Exception | None
    ) -> None:
        """Answer a row of calls.

        :param buffer: what :meth:`take_buffer` returned for them, if they are READs: filled.
        :param value: with a buffer, the number of bytes in it; otherwise a pair for each call,
            its value and its failure, or None when all have succeeded without a value.
        :param error: what all of them failed with, or None.
        """
        if error is not None:
            failed = numbered(error) if isinstance(error, OSError) else internal(error)
            value = [(None, failed)] * len(calls)
        elif buffer is not None:
            self.unsent += len(calls)
            answer_row(self._server, calls, memoryview(buffer), value)
            if self.journal is not None and self.journal.detailed:
                self.journal.read_row(calls, memoryview(buffer), value)
            if not value:
                self.release(buffer)
            return
        elif value is None:
            value = [(None, None)] * len(calls)
        if buffer is not None:
            self.release(buffer)
        for call, (result, problem) in zip(calls, value, strict=True):
            self.give_one(call, result, problem)

    def give_one(self, call: Call, value: Any, problem: OSError | None) -> None:
        """Answer one call; log the bug of a filesystem that failed with no OSError."""
        if problem is not None and isinstance(problem.__cause__, Exception):
            _logger.error("a filesystem failed", exc_info=problem.__cause__)
        if self.journal is not None and (problem is not None or self.journal.detailed):
            receipt = self.journal.done(call, value, problem)
            if receipt is not None:
                self.held += 1
                self.unsent += 1
                receipt.then(partial(self._release, call, value))
                return
        self.unsent += 1
        answer(self._server, call, value, problem)

    def _release(self, call: Call, value: Any, unkept: str) -> None:
        """Answer a call that has succeeded, when it is known whether the record of it is kept."""
        self.held -= 1
        answer(self._server, call, value, OSError(errno.EIO, UNKEPT) if unkept else None)
        self._released()

    # --- memory for what is read ---

    def take_buffer(self, row: Sequence[Call]) -> bytearray | None:
        """Return memory for the answers to READs; None when all blocks are lent."""
        size = sum([DATA_ROOM + call.request.length for call in row])  # type: ignore[attr-defined]
        if size <= _MODEST:
            return bytearray(size)
        if self.lent == BUFFERS:
            return None
        self.lent += 1
        return SHARED_BLOCKS.take()

    def release(self, buffer: object) -> None:
        """Return memory that :meth:`take_buffer` gave, and that no answer refers to."""
        if type(buffer) is Block:
            self.lent -= 1
            SHARED_BLOCKS.give(buffer)

    def _forget(self, piece: memoryview) -> None:
        """Release the memory behind a piece that was sent or copied."""
        memory = piece.obj
        if type(memory) is Block:
            piece.release()  # the pool takes no block that a view refers to
            self.release(memory)

    # --- output ---

    def collect(self) -> None:
        """Move the protocol's output to the queue, small pieces joined."""
        pieces = self._server.data_to_send()
        if len(pieces) == 1 and type(pieces[0]) is bytes:
            self.queue.append(pieces[0])
            return
        small = bytearray()
        for piece in pieces:
            if len(piece) < _SMALL:
                small += piece
                if type(piece) is memoryview:
                    self._forget(piece)
                continue
            if small:
                self.queue.append(small)
                small = bytearray()
            self.queue.append(piece)
        if small:
            self.queue.append(small)

    def sent(self) -> None:
        """Drop the first piece of the queue: the line has taken all of it."""
        piece = self.queue.popleft()
        if type(piece) is memoryview:
            self._forget(piece)
        if not self.queue:
            self.unsent = self.held
