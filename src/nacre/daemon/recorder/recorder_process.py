"""The recorder: writes what sessions send, and opens no files but those of the recordings.

It gets a socket for each session. What comes over it is checked: whoever has taken over a session
process can write into the recordings of its own sessions, and into no others.
"""

from __future__ import annotations

import asyncio
import concurrent.futures.thread  # noqa: F401  # nothing is imported later
import os
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from nacre.config.values import LogLevel
from nacre.daemon.processes.limits import allow_descriptors
from nacre.daemon.recording.cast import INPUT, OUTPUT, CastHeader, CastWriter
from nacre.daemon.recording.container import RecordingFile
from nacre.daemon.recording.directory import create, remove_old
from nacre.daemon.recording.frames import FrameKind, FrameReader, frame, unpacked_json
from nacre.daemon.sandbox import landlock
from nacre.daemon.sandbox.rules import gate_rules
from nacre.daemon.sandbox.sandbox import Sandbox
from nacre.daemon.separate.link import Link
from nacre.daemon.separate.messages import (
    TO_RECORDERS,
    BeginRecording,
    Reads,
    Ready,
    Retire,
    StartWith,
    unpacked,
)
from nacre.daemon.separate.records import LinkLog
from nacre.errors import MalformedMessage, StateError
from nacre.limits import KIB
from nacre.wire.text import safe

MOST_OF_USER = 512
"""Recordings of one user at a time."""

MOST = 8192
"""Recordings at a time."""

NO_STATUS = "-1"
"""The exit status of what a signal has ended, or of what has broken off: players want a number."""

FLUSHED = 1.0
"""Seconds after which what waits is written. After a crash no more is missing."""

_READ = 256 * KIB
_HOUR = 3600.0

_ALLOWED = (
    *(landlock.READ_FILE, landlock.WRITE_FILE, landlock.READ_DIR, landlock.TRUNCATE),
    *(landlock.MAKE_REG, landlock.MAKE_DIR, landlock.REMOVE_FILE, landlock.REMOVE_DIR),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecorderSettings:
    """What the recorder is started with; the directory's descriptor comes along.

    :ivar rights: the numbers of its account and group; None to keep those of the server.
    :ivar recipient: the public key that recordings are sealed for, or None.
    :ivar keep: seconds after which recordings are removed, or None.
    :ivar log_level: the level of the log.
    """

    rights: tuple[int, int] | None
    recipient: bytes | None
    keep: float | None
    log_level: LogLevel


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedBy:
    """Whose session is recorded, as the server knows it.

    :ivar user: the user's name.
    :ivar address: the client's address, ``host`` its name or address.
    :ivar connection: the number of the connection in the log, at the ``gate`` if there are some.
    """

    user: str
    address: str
    host: str
    connection: int
    gate: int | None = None


class RecorderServer:
    """All recordings that go on.

    :param sock: the socket of the link to the server.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._link = Link(sock, self._on_message, self._on_lost)
        self._loop = asyncio.get_running_loop()
        self._begun: asyncio.Future[StartWith] = self._loop.create_future()
        self._over = asyncio.Event()
        self._retired = False
        self._sessions: set[SessionWriter] = set()
        self.directory = -1
        self.recipient: bytes | None = None

    async def run(self) -> None:
        """Record until the server retires this process, or is gone, and all sessions have ended."""
        self._link.send(Reads().encode())
        begin = await self._begun
        given: RecorderSettings = unpacked(begin.settings)
        self.directory = self._link.descriptor()
        self.recipient = given.recipient
        self.log = LinkLog(self._link, given.log_level)
        self.log.attend(self._loop)
        confine(given.rights, self.directory)
        if given.keep is not None:
            await self._remove_old(given.keep)
            self._loop.call_later(_HOUR, self._remove_again, given.keep)
        self._link.send(Ready().encode())
        await self._over.wait()

    async def _remove_old(self, keep: float) -> None:
        before = time.time() - keep
        try:
            removed = await self._loop.run_in_executor(None, remove_old, self.directory, before)
        except OSError as error:
            what = "old recordings can't be removed"
            self.log({"event": "error", "what": what, "error": safe(str(error))})
        else:
            if removed:
                self.log({"event": "recordings", "removed": removed})

    def _remove_again(self, keep: float) -> None:
        self._removing = self._loop.create_task(self._remove_old(keep))
        self._loop.call_later(_HOUR, self._remove_again, keep)

    def _on_message(self, data: bytes) -> None:
        message = TO_RECORDERS[data[0]].decode(data)
        if isinstance(message, StartWith):
            self._begun.set_result(message)
        elif isinstance(message, Retire):
            self._retire()
        elif isinstance(message, BeginRecording):
            sock = socket.socket(fileno=self._link.descriptor())
            by: RecordedBy = unpacked(message.about)
            mine = sum(one.by.user == by.user for one in self._sessions)
            session = SessionWriter(self, sock, by)
            self._sessions.add(session)
            if mine >= MOST_OF_USER or len(self._sessions) > MOST:
                session.fail("there are too many recordings at a time")

    def _on_lost(self, reason: str | None) -> None:
        self._retire()

    def _retire(self) -> None:
        if not self._begun.done():
            self._begun.cancel()
        self._retired = True
        self._look()

    def ended(self, session: SessionWriter) -> None:
        """Forget a session, whose socket is closed."""
        self._sessions.discard(session)
        self._look()

    def _look(self) -> None:
        if self._retired and not self._sessions:
            self._over.set()


class SessionWriter:
    """Writes the recording of one session.

    :ivar by: whose session it is.
    """

    def __init__(self, recorder: RecorderServer, sock: socket.socket, by: RecordedBy) -> None:
        sock.setblocking(False)
        self.by = by
        self._recorder = recorder
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._frames = FrameReader(FrameKind)
        self._file: RecordingFile | None = None
        self._cast = CastWriter(0.0)
        self._flushing: asyncio.TimerHandle | None = None
        self._loop.add_reader(sock, self._on_readable)

    def fail(self, reason: str) -> None:
        """Tell the session and the log why nothing is recorded any more."""
        by = self.by
        about = {"user": safe(by.user), "connection": by.connection}
        gate = {} if by.gate is None else {"gate": by.gate}
        what = "a session is not recorded"
        self._recorder.log({"event": "error", "what": what, "error": reason, **about, **gate})
        self._answer(FrameKind.FAILED, reason.encode()[:1024])
        self._close()

    def _on_readable(self) -> None:
        try:
            data = self._sock.recv(_READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        try:
            if not data:
                self._break_off()
                return
            for kind, payload in self._frames.feed(data):
                if self._sock.fileno() < 0:
                    return  # nothing counts behind the end
                self._take(kind, payload)
        except (MalformedMessage, OSError, StateError) as error:
            self._end_for(error)

    def _take(self, kind: FrameKind, payload: bytes) -> None:
        at = self._loop.time()
        if kind is FrameKind.OPEN:
            self._open(at, unpacked_json(payload, dict))
        elif self._file is None:
            raise MalformedMessage("nothing was begun")
        elif kind in _STREAMS:
            code, errors = _STREAMS[kind]
            self._add(self._cast.data(at, code, payload, errors=errors))
        elif kind is FrameKind.RESIZE:
            self._add(self._cast.resize(at, *_numbers(unpacked_json(payload, list))))
        elif kind is FrameKind.EVENT:
            self._add(self._cast.note(at, unpacked_json(payload, dict)))
        elif kind is FrameKind.END:
            self._finish(self._cast.end(at, _status(payload)))
            self._answer(FrameKind.ENDED)
            self._close()
        else:
            raise MalformedMessage("a session has no such frame")

    def _open(self, at: float, told: dict[str, Any]) -> None:
        if self._file is not None:
            raise MalformedMessage("a recording begins once")
        started, by = time.time(), self.by
        kind = str(told.get("kind", ""))[:16]
        context: dict[str, object] = {"user": safe(by.user), "from": by.address, "host": by.host}
        context |= {"started": round(started, 3), "kind": kind, "connection": by.connection}
        context |= {} if by.gate is None else {"gate": by.gate}
        recipient = self._recorder.recipient
        descriptor, _ = create(
            self._recorder.directory, by.user, started, sealed=recipient is not None
        )
        # The context is readable without the key: what the session does is not in it.
        self._file = RecordingFile(descriptor, context, recipient)
        self._cast = CastWriter(at)
        command = told.get("command")
        columns, rows = _numbers([told.get("columns", 0), told.get("rows", 0)])
        header = CastHeader(
            started=started,
            columns=columns,
            rows=rows,
            term=str(told.get("term", "")),
            command=None if command is None else str(command),
            about={
                **context,
                **({"subsystem": str(told["subsystem"])} if "subsystem" in told else {}),
                "terminal": bool(told.get("terminal")),
            },
        )
        self._file.add(header.line())
        self._file.flush()
        self._answer(FrameKind.STARTED)

    def _add(self, lines: bytes) -> None:
        assert self._file is not None
        self._file.add(lines)
        if self._flushing is None and self._file.waits:
            self._flushing = self._loop.call_later(FLUSHED, self._flush)

    def _flush(self) -> None:
        self._flushing = None
        try:
            if self._file is not None and self._file.waits:
                self._file.flush()
        except (OSError, StateError) as error:
            self._end_for(error)

    def _end_for(self, error: Exception) -> None:
        told = str(error)
        if isinstance(error, OSError):
            told = f"the recording can't be written: {error.strerror}"
        self.fail(told)

    def _finish(self, lines: bytes) -> None:
        assert self._file is not None
        self._file.add(lines)
        self._file.finish()

    def _break_off(self) -> None:
        """Note that the session's process has gone without an end."""
        if self._file is not None:
            at = self._loop.time()
            note = {"event": "ended", "reason": "the process of the session is gone"}
            self._finish(self._cast.note(at, note) + self._cast.end(at, NO_STATUS))
        self._close()

    def _answer(self, kind: FrameKind, payload: bytes = b"") -> None:
        with suppress(OSError):  # it is gone
            self._sock.send(frame(kind, payload))

    def _close(self) -> None:
        if self._sock.fileno() < 0:
            return
        self._loop.remove_reader(self._sock)
        self._sock.close()
        if self._flushing is not None:
            self._flushing.cancel()
        if self._file is not None:
            self._file.close()
        self._recorder.ended(self)


_STREAMS = {
    FrameKind.OUTPUT: (OUTPUT, False),
    FrameKind.ERRORS: (OUTPUT, True),
    FrameKind.INPUT: (INPUT, False),
}


def _numbers(values: list[object]) -> tuple[int, int]:
    """Return columns and rows.

    :raises MalformedMessage: they are none.
    """
    if len(values) == 2:
        columns, rows = values
        if isinstance(columns, int) and isinstance(rows, int) and columns >= 0 and rows >= 0:
            return columns, rows
    raise MalformedMessage("a size is none")


def _status(payload: bytes) -> str:
    if payload and not (payload.isdigit() and len(payload) <= 10):
        raise MalformedMessage("an exit status is none")
    return payload.decode() or NO_STATUS


def confine(rights: tuple[int, int] | None, directory: int, allowed: int = sum(_ALLOWED)) -> None:
    """Give up all rights, and all files but those below the directory.

    :param rights: the numbers of the account and of its group to take on; None to keep them.
    :param allowed: what may be done below the directory.
    :raises OSError: the kernel refuses what it has.
    """
    os.umask(0o077)
    if rights is not None:
        uid, gid = rights
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    below = f"/proc/self/fd/{directory}", allowed
    Sandbox(gate_rules(os.getpid()), (below,)).enter()


def load() -> None:
    """Load all that the recorder needs, before it is forked."""


def main(given: dict[str, Any], sock: socket.socket) -> None:
    """Be the recorder: what to do comes over the link."""
    allow_descriptors()
    asyncio.run(_run(sock))


async def _run(sock: socket.socket) -> None:
    await RecorderServer(sock).run()
