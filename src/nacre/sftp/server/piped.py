"""Serves SFTP over two descriptors of this process, without an event loop.

It is for a process that does nothing else: it reads, carries out the calls in their order, and
writes the answers. Over the channels of a server, :mod:`nacre.sftp.server.service` does this.
"""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress
from typing import Any

from nacre.aio.maybe import settled
from nacre.errors import NacreError
from nacre.limits import MIB
from nacre.sftp.filesystems.base import Filesystem
from nacre.sftp.protocol.messages import Read, ReadDir, Write
from nacre.sftp.protocol.server import Call, SFTPServerProtocol
from nacre.sftp.protocol.status import numbered
from nacre.sftp.protocol.versions import Version
from nacre.sftp.server.agreed import Agreed
from nacre.sftp.server.calls import answer, outcome_now
from nacre.sftp.server.journal import Journal
from nacre.sftp.server.opened import OpenedDirectory, OpenedFile, carried_out
from nacre.sftp.server.receipts import UNKEPT, Receipt
from nacre.sftp.server.restrictions import UNRESTRICTED, SFTPRestrictions
from nacre.sftp.server.rows import answer_row, in_a_row, read_row, write_row
from nacre.wire.blocks import BLOCK
from nacre.wire.codec import Buffer

_PORTION = 2 * MIB
_UNSENT = 1 * MIB
_PIPE = 1 * MIB


def widen_pipes() -> None:
    """Let more bytes wait in standard input and output, where these are pipes."""
    for number in (0, 1):
        with suppress(OSError):
            fcntl.fcntl(number, getattr(fcntl, "F_SETPIPE_SZ", 1031), _PIPE)


def start_in(filesystem: Filesystem, directory: str, journal: Journal) -> None:
    """Make relative paths start at ``directory``; where that can't be, they start as before."""
    try:
        carried_out(settled(filesystem.start_at(directory)))
    except OSError as error:
        journal.no_start(directory, error)


def serve(
    journal: Journal,
    filesystem: Filesystem,
    source: int = 0,
    target: int = 1,
    *,
    restrictions: SFTPRestrictions = UNRESTRICTED,
    peer: str = "",
) -> int:
    """Serve SFTP over two descriptors until the client ends it; returns the exit status.

    :param restrictions: those on requests. The other ones are the caller's: :func:`start_in`, the
        umask of this process, and a ``filesystem`` that is read-only.
    :param peer: the client's identification line.
    """
    work = _Service(filesystem, journal, target, restrictions, peer)
    server = work.server
    try:
        while data := os.read(source, _PORTION):
            server.receive(data)
            work.run()
            work.read_ahead()
        server.receive_eof()
    except NacreError as error:
        journal.broken(error)
        return 1
    except BrokenPipeError:
        return 1
    finally:
        for opened in server.files:
            if isinstance(opened, OpenedFile):
                journal.ended(opened)
            if isinstance(opened, (OpenedFile, OpenedDirectory)):
                with suppress(OSError):
                    carried_out(opened.end(complete=False))
        filesystem.close()
    return 0


class _Service:
    """Carries out calls in order; those that follow one another in a file become one call."""

    def __init__(
        self,
        filesystem: Filesystem,
        journal: Journal,
        target: int,
        restrictions: SFTPRestrictions,
        peer: str,
    ) -> None:
        self.server = SFTPServerProtocol(
            denied=restrictions.denials(),
            peer=peer,
            highest=restrictions.version,
            agreed=self._agree,
        )
        self._agreed = Agreed(filesystem, journal.before)
        self._journal = journal
        self._held: list[tuple[Call, Any, Receipt]] = []
        self._target = target
        self._buffer: memoryview | None = None
        self._listed: OpenedDirectory | None = None

    def _agree(self, version: Version) -> None:
        self._agreed.on(version)
        self._journal.codes = version.codes

    def run(self) -> None:
        """Carry out all calls that were received."""
        server = self.server
        while True:
            calls: list[Call] = []
            while (call := server.next_call()) is not None:
                calls.append(call)
            if refusals := server.take_refusals():
                self._journal.refused(refusals)
            while calls:
                row = self._one_row(calls)
                del calls[:row]
            self._flush()
            if server.wants_input:
                return

    def _one_row(self, calls: list[Call]) -> int:
        first = calls[0]
        file = first.files[0] if first.files else None
        vectors = isinstance(file, OpenedFile) and file.file.vectors
        if not vectors or not isinstance(first.request, (Read, Write)):
            self._answer(
                first, *outcome_now(self._agreed.filesystem, first, self._agreed.operations)
            )
            return 1
        row = calls[: in_a_row(calls)]
        try:
            if isinstance(first.request, Read):
                buffer = self._read_buffer()
                size = carried_out(read_row(row, buffer))
                answer_row(self.server, row, buffer, size)
                if self._journal.detailed:
                    self._journal.read_row(row, buffer, size)
                self._flush()  # the buffer is needed for the next row
            else:
                carried_out(write_row(row))
                for call in row:
                    self._answer(call, None, None)
        except OSError as error:
            for call in row:
                self._answer(call, None, numbered(error))
        return len(row)

    def _read_buffer(self) -> memoryview:
        """Return what files are read into; a session that reads none does without."""
        if self._buffer is None:
            self._buffer = memoryview(bytearray(BLOCK))
        return self._buffer

    def read_ahead(self) -> None:
        """Go on with the directory that was listed last, while the client looks at the answer."""
        listed, self._listed = self._listed, None
        if listed is not None:
            carried_out(listed.read_ahead())

    def _answer(self, call: Call, value: Any, error: OSError | None) -> None:
        if error is not None or self._journal.detailed:
            receipt = self._journal.done(call, value, error)
            if receipt is not None:
                self._held.append((call, value, receipt))
                return
        if isinstance(call.request, ReadDir) and value:
            self._listed = call.files[0]  # type: ignore[assignment]
        answer(self.server, call, value, error)

    def _release(self) -> None:
        """Give the answers that wait for the journal: all of them wait together."""
        held, self._held = self._held, []
        if held:
            carried_out(self._journal.kept())
        for call, value, receipt in held:
            unkept = receipt.problem
            answer(self.server, call, value, OSError(errno.EIO, UNKEPT) if unkept else None)

    def _flush(self) -> None:
        self._release()
        pieces = self.server.data_to_send()
        small: list[Buffer] = []
        for piece in pieces:
            if len(piece) < _UNSENT // 64:
                small.append(piece)
                continue
            write_all(self._target, b"".join(small))
            small = []
            write_all(self._target, piece)
        write_all(self._target, b"".join(small))


def write_all(target: int, data: Buffer) -> None:
    """Write all of ``data`` to a descriptor that blocks."""
    view = memoryview(data)
    while len(view):
        view = view[os.write(target, view) :]
