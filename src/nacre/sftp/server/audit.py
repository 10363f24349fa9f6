"""What a session does with files, as events that must not be lost.

A journal tells a log, which may drop lines. An :class:`AuditJournal` tells a :class:`Trail` too:
the answer to a request that has changed something waits until its event is kept. Requests whose
events wait together are kept together, so a client that sends many at once waits once.
"""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import Any

from nacre.sftp.protocol import extensions as ext
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.server import DATA_ROOM, Call, Refusal
from nacre.sftp.server.calls import BASIC
from nacre.sftp.server.journal import Journal, Recorder
from nacre.sftp.server.opened import OpenedFile
from nacre.sftp.server.receipts import UNKEPT, Receipt, Trail
from nacre.wire.codec import Buffer
from nacre.wire.text import safe

_UNCHANGED = (
    *(msg.Open, msg.Write, msg.Close, ext.FSync),
    *ext.LATER_EXTENSIONS.values(),
    *BASIC.looks,
)
"""Requests that are answered at once: their change, if any, is told when the file is closed."""

_UNORDERED = "not read or written from beginning to end"
"""Why a transfer has no hash."""


class _Contents:
    """The hash of what goes through a file in one direction."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._end = 0
        self._ordered = True

    def feed(self, data: Buffer | msg.Pieces, offset: int) -> None:
        """Take what was read or written; what is not next to the bytes before ends the hash."""
        self._ordered = self._ordered and offset == self._end
        if self._ordered:
            for part in data.parts if isinstance(data, msg.Pieces) else (data,):
                self._hash.update(part)
                self._end += len(part)

    def digest(self) -> str | None:
        """Return the hash in hexadecimal; None if bytes came out of order."""
        return self._hash.hexdigest() if self._ordered else None


class _Transfer:
    """A file from its opening to its end."""

    def __init__(self, *, hashes: bool) -> None:
        self.began = monotonic()
        self.contents = (_Contents(), _Contents()) if hashes else None

    def fields(self, read: int, written: int) -> dict[str, object]:
        """Return what the end of the file tells besides the bytes."""
        found: dict[str, object] = {"seconds": _rounded(monotonic() - self.began)}
        if self.contents is None:
            return found
        for count, contents, name in zip(
            (read, written), self.contents, ("sha256_read", "sha256_written"), strict=True
        ):
            if count:
                found[name] = contents.digest()
                if found[name] is None:
                    found["unhashed"] = _UNORDERED
        return found


class AuditJournal(Journal):
    """A journal whose operations are events of a trail."""

    def __init__(self, trail: Trail, record: Callable[..., None], *, logs: bool) -> None:
        """Write to ``record`` what a journal does, and operations to ``trail``.

        :param logs: whether the log takes a record of each operation, too.
        """
        super().__init__(record, detailed=True)
        self._tells_all = logs
        self.before = self._before
        self._trail = trail
        self._logs = logs
        self._began: dict[int, float] = {}
        self._transfers: dict[object, _Transfer] = {}
        self._more: dict[str, object] = {}
        self._waits = False
        self._receipt: Receipt | None = None
        self._copy = _Transfer(hashes=trail.hashes)

    def _before(self, call: Call) -> None:
        """Note when a call begins.

        :raises OSError: no event can be kept now, so nothing may happen that would be one.
        """
        self._check(closes=isinstance(call.request, msg.Close))
        self._began[call.id] = monotonic()

    def _check(self, *, closes: bool) -> None:
        # A file that is open can be closed: the failure of its event is the answer.
        if self._trail.problem and not closes:
            raise OSError(errno.EIO, UNKEPT)

    @property
    def behind(self) -> bool:  # type: ignore[override]
        """Whether the session should take no further request until :meth:`when_kept`."""
        return self._trail.behind

    def when_kept(self, call: Callable[[], object]) -> None:
        """Call ``call`` when the operations so far are kept."""
        self._trail.last.then(lambda _: call())

    async def kept(self) -> None:
        """Return when it is known of each operation so far whether it is kept."""
        await self._trail.settled()

    async def settled(self) -> None:
        """Return when the operation that was noted last is kept.

        :raises OSError: it can't be.
        """
        if await self._trail.settled():
            raise OSError(errno.EIO, UNKEPT)

    # --- the contents of files ---

    def read_row(self, row: Sequence[Call], buffer: memoryview, size: int) -> None:
        """Count bytes that the client has read, and hash them."""
        opened: Any = row[0].files[0]
        self.read(opened, size)
        transfer = self._transfers.get(opened)
        if transfer is None or transfer.contents is None:
            return
        at = 0
        for call in row:
            request: Any = call.request
            part = min(size, request.length)
            if part:
                data = buffer[at + DATA_ROOM : at + DATA_ROOM + part]
                transfer.contents[0].feed(data, request.offset)
            at, size = at + DATA_ROOM + request.length, size - part

    def _feed(self, call: Call, value: Any) -> None:
        transfer = self._transfers.get(call.files[0])
        if transfer is None or transfer.contents is None:
            return
        request = call.request
        if isinstance(request, msg.Write):
            transfer.contents[1].feed(request.data, request.offset)
        elif isinstance(request, msg.Read):
            transfer.contents[0].feed(value, request.offset)

    # --- operations ---

    def done(self, call: Call, value: Any, problem: OSError | None) -> Receipt | None:
        """Note a call that was carried out; return a receipt if its answer must wait for it."""
        if problem is None and isinstance(call.request, msg.Read | msg.Write):
            self._feed(call, value)
        if problem is None and isinstance(value, OpenedFile):
            self._transfers[value] = _Transfer(hashes=self._trail.hashes)
        self._waits = problem is None and _changes(call)
        began = self._began.pop(call.id, None)
        self._more = {} if began is None else {"seconds": _rounded(monotonic() - began)}
        if isinstance(call.request, msg.Close):
            self._end_of(call.files[0])
        super().done(call, value, problem)
        receipt, self._receipt, self._waits = self._receipt, None, False
        return receipt

    def ended(self, opened: OpenedFile) -> None:
        """Note that the session ended with a file still open."""
        self._end_of(opened)
        super().ended(opened)

    def _end_of(self, opened: object) -> None:
        if (transfer := self._transfers.pop(opened, None)) is not None:
            read, written = self._bytes.get(opened, (0, 0))
            self._more = transfer.fields(read, written)
            if getattr(opened, "writable", False):
                # An empty file that was stored looks like an empty one that was read.
                self._more["writable"] = True

    def refused(self, refusals: Iterable[Refusal]) -> None:
        """Have requests kept that did not become calls, and record the first ones."""
        refusals = list(refusals)
        for request, why, _ in refusals:
            self._trail.add(
                {"op": request.lower(), "reason": safe(why), "outcome": "refused"}, waits=False
            )
        super().refused(refusals)

    def _tell(self, **fields: object) -> None:
        more, self._more = self._more, {}
        receipt = self._trail.add({**fields, **more}, waits=self._waits)
        self._receipt = receipt if self._waits else None
        if self._logs:
            super()._tell(**fields)

    # --- copies by scp ---

    def begin(self) -> None:
        """Note that a file begins to be copied.

        :raises OSError: no event can be kept now.
        """
        self._check(closes=False)
        self._copy = _Transfer(hashes=self._trail.hashes)

    def copied(self, data: Buffer, offset: int, *, reads: bool) -> None:
        """Take what was read or written of this file."""
        if self._copy.contents is not None:
            self._copy.contents[0 if reads else 1].feed(data, offset)

    def copy_ended(self, op: str, problem: OSError | None, path: str, size: int) -> None:
        """Note how the copy of a file has ended; :meth:`settled` returns when that is kept."""
        reads = op == "download"
        self._more = self._copy.fields(*((size, 0) if reads else (0, size)))
        self._waits = True
        super().copy_ended(op, problem, path, size)
        self._waits, self._receipt = False, None


def journal_of(connection: Recorder) -> Journal:
    """Return the journal of a session of ``connection``, whose operations may have to be kept."""
    trail: Trail | None = getattr(connection, "trail", None)
    if trail is None:
        return Journal.of(connection)
    return AuditJournal(trail, connection.record, logs=getattr(connection, "detailed", False))


def _changes(call: Call) -> bool:
    """Tell whether the answer to a call that has succeeded says that something has changed."""
    request = call.request
    if isinstance(request, msg.Close):
        return bool(getattr(call.files[0], "writable", False))
    return not isinstance(request, _UNCHANGED)


def _rounded(seconds: float) -> float:
    return round(seconds, 6)
