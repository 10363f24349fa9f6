"""What a session of files writes to the log: operations, refused requests, lost writes.

Each operation is one record ``file``, where the log takes these (:attr:`Journal.detailed`). A
request that was refused (``refused``), and the first write to a file that failed (``lost``), are
always recorded: the user may not have been told, or may not have looked. So is what a storage did
not do, or not wholly (``failed``).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from nacre.sftp.filesystems.base import DamagedFile, NotPermitted
from nacre.sftp.protocol import extensions as ext
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.attributes import Attributes
from nacre.sftp.protocol.messages import FXP, OpenFlag, SFTPRequest
from nacre.sftp.protocol.server import Call, Refusal
from nacre.sftp.protocol.status import CODES, ToldError
from nacre.sftp.server.opened import OpenedFile
from nacre.wire.codec import Buffer
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.sftp.server.receipts import Receipt

REFUSED = 20
"""Refused requests of a session that are recorded: a client may send any number of them."""

FAILED = 20
"""Failures of the storage in a session that are recorded."""

LONGEST = 4096
"""Characters of a path in the log: Linux's PATH_MAX."""

_DATA = (msg.Read, msg.Write, msg.ReadDir)
"""Requests that are not recorded one by one: the record of CLOSE has the bytes."""

_STORES = (msg.Write, ext.FSync, ext.CopyData)

FIELDS = frozenset(
    {"op", "path", "to", "flags", "set", "read", "written", "outcome", "request", "reason", "error"}
)
"""The fields of the records."""


class Recorder(Protocol):
    """What records a connection's events."""

    def record(self, event: str, **fields: object) -> None:
        """Log an event."""


class Journal:
    """Records what one session does with files.

    :ivar detailed: whether each operation is recorded.
    :ivar codes: the status for an ``errno`` in the session's version.
    :ivar before: called before each call is carried out, or None; it may raise OSError.
    :ivar behind: whether the session should take no further request until :meth:`when_kept`.
    """

    codes: Mapping[int, int] = CODES
    before: Callable[[Call], None] | None = None
    behind = False

    def __init__(self, record: Callable[..., None], *, detailed: bool) -> None:
        """Write to ``record``, which takes the name of an event, and fields by their names."""
        self.detailed = self._tells_all = detailed
        self._record = record
        self._left = REFUSED
        self._failures = FAILED
        self._bytes: dict[object, list[int]] = {}
        self._lost: set[object] = set()

    @classmethod
    def of(cls, connection: Recorder) -> Journal:
        """Return the journal of a session of ``connection``."""
        # A program's own stand-in for a connection may have no more than the method.
        return cls(connection.record, detailed=getattr(connection, "detailed", False))

    def refused(self, refusals: Iterable[Refusal]) -> None:
        """Record requests that did not become calls."""
        for request, reason, _ in refusals:
            self._left -= 1
            if self._left > 0 or self._tells_all:
                self._record("refused", request=request.lower(), reason=safe(reason))
            elif self._left == 0:
                self._record("refused", request=request.lower(), reason="further ones are not told")

    def broken(self, error: Exception) -> None:
        """Record that the client broke the protocol, which ended the session."""
        self._record("sftp", error=safe(str(error)))

    def no_start(self, path: str, problem: OSError) -> None:
        """Record that relative paths do not start at ``path``, as was configured."""
        where = safe(path, LONGEST)
        self._record("sftp", error=f"the session can't start in {where}: {reason(problem)}")

    def read(self, opened: object, size: int) -> None:
        """Count bytes that the client has read."""
        self._counted(opened)[0] += size

    def read_row(self, row: Sequence[Call], buffer: memoryview, size: int) -> None:
        """Take the bytes that READs in a row have read into ``buffer``, behind room for headers."""
        self.read(row[0].files[0], size)

    def take_bytes(self, opened: object) -> tuple[int, int]:
        """Return the bytes that were read and written of a file, and forget it."""
        read, written = self._bytes.pop(opened, (0, 0))
        return read, written

    def _counted(self, opened: object) -> list[int]:
        return self._bytes.setdefault(opened, [0, 0])

    def done(self, call: Call, value: Any, problem: OSError | None) -> Receipt | None:
        """Record a call that was carried out; without ``detailed``, only a write that failed.

        :returns: what the answer has to wait for, or None.
        """
        request, opened = call.request, call.files[0] if call.files else None
        if problem is not None and opened is not None:
            self._note_lost(request, call.files[-1], problem)
        if not self.detailed:
            self._note_denied(operation_name(request), problem)
            if isinstance(problem, ToldError) and not isinstance(request, (*_STORES, msg.Close)):
                self._failed(call, problem)
            return None
        if problem is None and isinstance(request, _DATA):
            if isinstance(request, msg.Write):
                self._counted(opened)[1] += len(request.data)
            elif isinstance(request, msg.Read):
                self.read(opened, len(value))
            return None
        if problem is None and isinstance(request, ext.CopyData):
            self.read(opened, value)
            self._counted(call.files[1])[1] += value
        self.describe(call, opened, value, problem)
        return None

    def describe(self, call: Call, opened: Any, value: Any, problem: OSError | None) -> None:
        """Record an operation; for :attr:`detailed` journals.

        :param opened: what the request's first handle refers to, or None.
        """
        request = call.request
        path, to = request.paths
        fields: dict[str, object] = {"path": opened.path if opened else path}
        if to is not None:
            fields["to"] = to
        if isinstance(request, msg.Open):
            fields["flags"] = _flags(request.flags)
        if (attributes := getattr(request, "attributes", None)) and attributes != Attributes():
            fields["set"] = _changes(attributes)
        if isinstance(request, msg.Close) and isinstance(opened, OpenedFile):
            fields["read"], fields["written"] = self.take_bytes(opened)
        self.operation(operation_name(request), problem, **fields)

    def _note_denied(self, op: str, problem: OSError | None) -> None:
        if isinstance(problem, (NotPermitted, DamagedFile)):
            self.refused([Refusal(op, problem.strerror or "")])

    def _failed(self, call: Call, problem: ToldError) -> None:
        self._failures -= 1
        if self._failures >= 0:
            path, to = call.request.paths
            opened: Any = call.files[0] if call.files else None
            found = {"path": opened.path if opened else path, "to": to}
            shown = {name: _shown(value) for name, value in found.items() if value is not None}
            op = operation_name(call.request)
            self._record("failed", op=op, **shown, reason=reason(problem))

    def _note_lost(self, request: SFTPRequest[Any], target: Any, problem: OSError) -> None:
        known = target in self._lost
        if isinstance(request, msg.Close):
            self._lost.discard(target)
            stores = getattr(target, "writable", False)
        else:
            stores = isinstance(request, _STORES)
        if stores and not known:
            if not isinstance(request, msg.Close):
                self._lost.add(target)
            self.lost(operation_name(request), target.path, problem)

    def lost(self, op: str, path: str, problem: OSError) -> None:
        """Record that bytes of a file were not stored."""
        self._record("lost", op=op, path=safe(path, LONGEST), reason=reason(problem))

    def ended(self, opened: OpenedFile) -> None:
        """Record that the session ended with a file still open."""
        if self.detailed:
            read, written = self.take_bytes(opened)
            self._tell(
                op="close",
                path=safe(opened.path, LONGEST),
                read=read,
                written=written,
                outcome="the session ended before it was closed",
            )

    def operation(self, op: str, problem: OSError | None, **fields: object) -> None:
        """Record an operation, where the log takes these; ``problem`` is why it failed.

        What the operator's rules deny, and a file that can't be verified, is always recorded.
        """
        self._note_denied(op, problem)
        if self.detailed:
            outcome = "success" if problem is None else reason(problem)
            shown = {name: _shown(value) for name, value in fields.items() if value is not None}
            self._tell(op=op, **shown, outcome=outcome)

    def _tell(self, **fields: object) -> None:
        self._record("file", **fields)

    # --- copies by scp, which has no requests ---

    def begin(self) -> None:
        """Note that a file begins to be copied; raises OSError if that may not be."""

    def copied(self, data: Buffer, offset: int, *, reads: bool) -> None:
        """Take what was read or written of this file."""

    def copy_ended(self, op: str, problem: OSError | None, path: str, size: int) -> None:
        """Record how the copy of a file has ended.

        :param op: ``download`` or ``upload``, of ``size`` bytes.
        """
        count = {"read": size} if op == "download" else {"written": size}
        self.operation(op, problem, path=path, **count)

    async def kept(self) -> None:
        """Return when it is known of each record so far whether it is kept."""

    async def settled(self) -> None:
        """Return when the last record is kept as it must be; raises OSError if it can't be."""

    def when_kept(self, call: Callable[[], object]) -> None:
        """Call ``call`` when the session may go on that is :attr:`behind`."""


def operation_name(request: SFTPRequest[Any] | type[SFTPRequest[Any]]) -> str:
    """Return a request's name: that of the draft, or of its extension."""
    return request.EXTENSION or FXP(request.NUMBER).name.lower()


def _shown(value: object) -> object:
    return safe(value, LONGEST) if isinstance(value, str) else value


def reason(problem: OSError) -> str:
    """Return why something failed, in one line."""
    return safe(problem.strerror or os.strerror(problem.errno or 0))


def _flags(flags: int) -> str:
    """Return the flags of OPEN by their names."""
    names = [str(flag.name).lower() for flag in OpenFlag if flags & flag]
    return ",".join(names)


def _changes(attributes: Attributes) -> str:
    """Return the attributes to be set: size, mode, owner, times."""
    found = []
    if attributes.size is not None:
        found.append(f"size:{attributes.size}")
    if attributes.permissions is not None:
        found.append(f"mode:{stat.S_IMODE(attributes.permissions):04o}")
    if attributes.uid is not None:
        found.append(f"owner:{attributes.uid}:{attributes.gid}")
    elif attributes.details.owner is not None:
        found.append(f'owner:"{attributes.details.owner}":"{attributes.details.group}"')
    if attributes.atime is not None or attributes.mtime is not None:
        found.append(f"times:{attributes.atime}:{attributes.mtime}")
    return ",".join(found)
