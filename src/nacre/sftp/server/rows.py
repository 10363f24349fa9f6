"""Calls that are carried out together: READs or WRITEs of one file that follow one another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nacre.limits import KIB
from nacre.sftp.protocol import extensions as ext
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.server import DATA_ROOM, Call, SFTPServerProtocol
from nacre.sftp.server.opened import OpenedFile
from nacre.wire.blocks import BLOCK

TOGETHER = 16
"""Calls of a lane that are carried out in one go, READs and WRITEs aside."""

_QUICK_BYTES = 256 * KIB
"""Bytes that are read or written from memory in less time than a thread takes to be woken."""

_QUICK_CALLS = 16

_SLOW_REQUESTS = (
    msg.ReadDir,
    ext.FSync,
    ext.TextSeek,
    ext.CopyData,
    ext.CheckFile,
    ext.CheckFileHandle,
    ext.CheckFileName,
)


_APART = (msg.Read, msg.Write, *_SLOW_REQUESTS)
"""What is carried out with its like, or alone: a session that ends waits for no other call then."""


def together(calls: Sequence[Call]) -> int:
    """Return how many calls at the front are carried out in one go: in a row, or one by one."""
    if isinstance(calls[0].request, _APART):
        return in_a_row(calls)
    count = 0
    for call in calls:
        if count == TOGETHER or isinstance(call.request, _APART):
            break
        count += 1
    return count


def in_a_row(calls: Sequence[Call]) -> int:
    """Return how many calls at the front go together: READs or WRITEs that follow one another.

    Their bytes, and the READs' headers, are no more than :data:`BLOCK`.
    """
    first: Any = calls[0].request
    opened = calls[0].files[0] if calls[0].files else None
    kind = type(first)
    if kind not in (msg.Read, msg.Write) or not isinstance(opened, OpenedFile):
        return 1
    if kind is msg.Read and not opened.file.vectors:
        return 1
    count, end, room = 0, first.offset, BLOCK
    for call in calls:
        request: Any = call.request
        if type(request) is not kind or request.offset != end:
            break
        size = request.length if kind is msg.Read else len(request.data)
        if kind is msg.Read and not size:
            return max(count, 1)  # it has no place in the buffer, and is answered alone
        room -= size + DATA_ROOM
        if count and (room < 0 or call.files[0] is not opened):
            break
        count, end = count + 1, end + size
    return count


def are_quick(calls: Sequence[Call]) -> bool:
    """Return whether calls take less than a moment as a rule."""
    size = 0
    for call in calls:
        request = call.request
        if isinstance(request, _SLOW_REQUESTS):
            return False
        if isinstance(request, msg.Read):
            size += request.length
        elif isinstance(request, msg.Write):
            size += 4 * len(request.data)  # all of it is written, where a READ may find less
    return size <= _QUICK_BYTES and len(calls) <= _QUICK_CALLS


def fills_buffer(call: Call) -> bool:
    """Return whether a call is a READ of a file that reads into buffers."""
    return isinstance(call.request, msg.Read) and call.files[0].file.vectors  # type: ignore[attr-defined]


async def read_row(calls: Sequence[Call], buffer: memoryview, *, wait: bool = True) -> int:
    """Read for calls in a row into ``buffer``; return how many bytes there are.

    :raises BlockingIOError: not without ``wait``.
    """
    first: Any = calls[0].request
    opened: Any = calls[0].files[0]
    lengths = [call.request.length for call in calls]  # type: ignore[attr-defined]
    return await opened.read_into(buffer, lengths, first.offset, wait=wait)  # type: ignore[no-any-return]


async def write_row(calls: Sequence[Call]) -> None:
    """Write for calls in a row."""
    first: Any = calls[0].request
    opened: Any = calls[0].files[0]
    row = [call.request.data for call in calls]  # type: ignore[attr-defined]
    await opened.write(row, first.offset)


def answer_row(
    server: SFTPServerProtocol, calls: Sequence[Call], buffer: memoryview, size: int
) -> None:
    """Answer READs in a row, of which ``size`` bytes are in ``buffer``."""
    filled, empty = [], []
    for call in calls:
        part = min(size, call.request.length)  # type: ignore[attr-defined]
        if part:
            filled.append((call.id, part))
        else:
            empty.append(call.id)
        size -= part
    if filled:
        server.send_filled(filled, buffer)
    # In the order of the requests: PuTTY takes no end of the file before the data in front of it.
    for number in empty:
        server.send_eof(number)
