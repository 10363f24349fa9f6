"""The legacy scp protocol, both roles: BSD's ``rcp`` over a channel, as OpenSSH speaks it.

The source sends records, each a line, and the sink answers each by one byte: 0 is yes, 1 with a
line of text is a warning, 2 with a line is the end. ``C`` is a file, its bytes and a 0 follow;
``D`` and ``E`` are around a directory's content; ``T`` in front of either has its times.

Nothing of what a source sends is trusted. A name is one component; without ``recursive`` there is
no directory; and of what was asked for, only names that match the request are taken: otherwise a
server could put a file of its choice where the user only asked for another.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from nacre.errors import LocalProtocolError, MalformedMessage, PacketTooLarge, RemoteProtocolError
from nacre.limits import DEFAULT_SFTP_LIMITS, SFTPLimits
from nacre.sftp.protocol.paths import alternatives, check_name, is_name, last_name, matches
from nacre.wire.codec import Buffer
from nacre.wire.text import safe

_RECORD = re.compile(rb"([CD])([0-7]{4}) (\d{1,19}) (.+)", re.DOTALL)
_TIMES = re.compile(rb"T(\d{1,19}) (\d{1,6}) (\d{1,19}) (\d{1,6})")
_LARGEST_FILE = (1 << 63) - 1
_OK = b"\0"


@dataclass(frozen=True, slots=True)
class Times:
    """Times of a file, in seconds since 1970."""

    mtime: int
    atime: int


@dataclass(frozen=True, slots=True)
class FileStart:
    """A file comes: answer by ``accept`` or ``refuse``.

    :ivar path: the directories it is in, then its name; each is one component.
    :ivar mode: permission bits; without ``preserve`` none but the lower nine.
    :ivar times: with ``preserve``, where the source sent them.
    """

    path: tuple[str, ...]
    mode: int
    size: int
    times: Times | None


@dataclass(frozen=True, slots=True)
class FileEnd:
    """All bytes of the file were given out: answer by ``accept`` or ``refuse``.

    :ivar error: why the source says they are not those of the file, or None.
    """

    error: str | None


@dataclass(frozen=True, slots=True)
class DirectoryStart:
    """A directory comes, its content follows: answer by ``accept`` or ``refuse``."""

    path: tuple[str, ...]
    mode: int
    times: Times | None


@dataclass(frozen=True, slots=True)
class DirectoryEnd:
    """The directory's content is complete; needs no answer."""

    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Warned:
    """The other end could not do one thing and goes on; ``text`` is safe to print."""

    text: str


@dataclass(frozen=True, slots=True)
class Aborted:
    """The other end gave up; ``text`` is safe to print."""

    text: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """The sink took the record, or the file."""


SinkEvent: TypeAlias = (
    FileStart | memoryview | FileEnd | DirectoryStart | DirectoryEnd | Warned | Aborted
)
"""What a source sent; a ``memoryview`` is bytes of the file that started last."""

SourceEvent: TypeAlias = Accepted | Warned | Aborted
"""What a sink answered."""


class _Lines:
    """Bytes in, taken off as lines, single bytes or amounts."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._held = bytearray()
        self._view = memoryview(b"")

    def feed(self, data: Buffer) -> None:
        rest = bytes(self._view) if len(self._view) else b""
        self._view = memoryview(rest + bytes(data) if rest else data)

    @property
    def empty(self) -> bool:
        return not self._held and not len(self._view)

    def line(self) -> bytes | None:
        """Return the next line without its end, or None when it is not whole."""
        room = self._bound - len(self._held)
        part = bytes(self._view[: room + 1])
        end = part.find(b"\n")
        if end < 0:
            if len(part) > room:
                raise PacketTooLarge(f"a record of scp longer than {self._bound} bytes")
            self._held += part
            self._view = memoryview(b"")
            return None
        self._view = self._view[end + 1 :]
        line = bytes(self._held) + part[:end]
        self._held.clear()
        return line

    def byte(self) -> int | None:
        """Return the next byte and leave it, or None."""
        if self._held:
            return self._held[0]
        return self._view[0] if len(self._view) else None

    def skip(self) -> None:
        """Take one byte off, which is not part of a line."""
        self._view = self._view[1:]

    def take(self, most: int) -> memoryview:
        """Return up to ``most`` bytes."""
        part = self._view[:most]
        self._view = self._view[len(part) :]
        return part


class ScpSink:
    """Receives files: a client's copy from a server, or ``scp -t`` on a server.

    ::

        while (event := sink.next_event()) is not None: …
        if sink.wants_input: sink.receive(stream.read())
    """

    def __init__(
        self,
        *,
        requested: Sequence[str] | None,
        recursive: bool = False,
        preserve: bool = False,
        limits: SFTPLimits = DEFAULT_SFTP_LIMITS,
    ) -> None:
        """Take what a source sends.

        :param requested: what a client asked a server for, as paths that may hold wildcards: no
            other name is taken at the top. None on a server, where the source chooses names.
        :param recursive: whether directories are taken.
        :param preserve: whether times and all permission bits are.
        :raises ValueError: ``requested`` stands for too many names.
        """
        self._patterns = None if requested is None else _names_of(requested)
        self._recursive = recursive
        self._preserve = preserve
        self._limits = limits
        self._lines = _Lines(limits.scp_line)
        self._output = bytearray(_OK)
        self._path: list[str] = []
        self._times: Times | None = None
        self._asked: FileStart | DirectoryStart | FileEnd | None = None
        self._missing: int | None = None
        self._ended = False

    @property
    def wants_input(self) -> bool:
        """Whether more can be taken: no question is open."""
        return self._asked is None and not self._ended

    def data_to_send(self) -> bytes:
        """Return what is to be sent, and forget it."""
        output = bytes(self._output)
        self._output.clear()
        return output

    def receive(self, data: Buffer) -> None:
        """Take what the source sent; ``data`` must not change afterwards.

        :raises LocalProtocolError: ``wants_input`` is false.
        """
        if not self.wants_input:
            raise LocalProtocolError("no more is taken now")
        self._lines.feed(data)

    def receive_eof(self) -> None:
        """The stream ended.

        :raises RemoteProtocolError: in the middle of a file or a directory.
        """
        whole = not self._path and self._missing is None and self._asked is None
        whole = self._ended or (whole and self._lines.empty and self._times is None)
        self._ended = True
        if not whole:
            raise RemoteProtocolError("the source broke off")

    def next_event(self) -> SinkEvent | None:
        """Return what came next; None when more input or an answer is needed.

        :raises RemoteProtocolError: the source broke the protocol, or sends what was not asked
            for; the text for it is ready to be sent, and nothing more is taken.
        """
        try:
            return self._next()
        except RemoteProtocolError as error:
            self._ended = True
            self._output += _refusal(2, str(error))
            raise

    def accept(self) -> None:
        """Say yes to what was asked last."""
        asked = self._take_asked()
        self._output += _OK
        if isinstance(asked, FileStart):
            self._missing = asked.size
        elif isinstance(asked, DirectoryStart):
            self._path.append(asked.path[-1])

    def refuse(self, text: str) -> None:
        """Say no to what was asked last: the source leaves that file or directory out."""
        self._take_asked()
        self._output += _refusal(1, text)

    def fail(self, text: str) -> None:
        """Give up."""
        self._asked = None
        self._ended = True
        self._output += _refusal(2, text)

    def _take_asked(self) -> FileStart | DirectoryStart | FileEnd:
        asked = self._asked
        if asked is None:
            raise LocalProtocolError("nothing is asked")
        self._asked = None
        return asked

    def _next(self) -> SinkEvent | None:
        while self._asked is None and not self._ended:
            if self._missing is not None:
                return self._next_data()
            line = self._lines.line()
            if line is None:
                return None
            if (event := self._accept_line(line)) is not None:
                return event
        return None

    def _next_data(self) -> SinkEvent | None:
        if self._missing:
            part = self._lines.take(self._missing)
            self._missing -= len(part)
            return part if len(part) else None
        byte = self._lines.byte()
        if byte is None:
            return None
        error = None
        if byte == 0:
            self._lines.skip()
        elif byte in (1, 2):
            if (line := self._lines.line()) is None:
                return None
            if byte == 2:
                self._ended = True
                return Aborted(safe(line[1:]))
            error = safe(line[1:])
        else:
            raise RemoteProtocolError("more data than the file's size")
        self._missing = None
        self._asked = FileEnd(error)
        return self._asked

    def _accept_line(self, line: bytes) -> SinkEvent | None:
        kind = line[:1]
        if kind == b"\x01":
            return Warned(safe(line[1:]))
        if kind == b"\x02":
            self._ended = True
            return Aborted(safe(line[1:]))
        if kind == b"E":
            return self._accept_end(line)
        if kind == b"T":
            self._accept_times(line)
            return None
        return self._accept_record(line)

    def _accept_end(self, line: bytes) -> DirectoryEnd:
        if line != b"E" or self._times is not None:
            raise MalformedMessage("a malformed end of a directory")
        if not self._path:
            raise RemoteProtocolError("the end of a directory that was not begun")
        path = tuple(self._path)
        self._path.pop()
        self._output += _OK
        return DirectoryEnd(path)

    def _accept_times(self, line: bytes) -> None:
        found = _TIMES.fullmatch(line)
        if found is None or self._times is not None:
            raise MalformedMessage("malformed times of a file")
        mtime, _, atime, _ = (int(number) for number in found.groups())
        if max(mtime, atime) > _LARGEST_FILE:
            raise MalformedMessage("times of a file that are out of range")
        self._times = Times(mtime, atime)
        self._output += _OK

    def _accept_record(self, line: bytes) -> SinkEvent:
        found = _RECORD.fullmatch(line)
        if found is None:
            raise MalformedMessage(f"not a record of scp: '{safe(line, 64)}'")
        kind, octal, digits, data = found.groups()
        size = int(digits)
        if size > _LARGEST_FILE:
            raise PacketTooLarge(f"a file of {size} bytes")
        name = check_name(data.decode("utf-8", "surrogateescape"))
        self._check_requested(name)
        mode = int(octal, 8) & (0o7777 if self._preserve else 0o777)
        times = self._times if self._preserve else None
        self._times = None
        path = (*self._path, name)
        if kind == b"C":
            self._asked = FileStart(path, mode, size, times)
        else:
            self._check_directory(name)
            self._asked = DirectoryStart(path, mode, times)
        return self._asked

    def _check_requested(self, name: str) -> None:
        if self._path or self._patterns is None:
            return
        if not any(name == p or matches(name, p, hidden=True) for p in self._patterns):
            raise RemoteProtocolError(f"'{safe(name, 256)}' was not asked for")

    def _check_directory(self, name: str) -> None:
        if not self._recursive:
            raise RemoteProtocolError(f"'{safe(name, 256)}' is a directory, and none was asked for")
        if len(self._path) >= self._limits.scp_depth:
            raise RemoteProtocolError(f"directories more than {len(self._path)} deep")


class ScpSource:
    """Sends files: a client's copy to a server, or ``scp -f`` on a server.

    Each ``send_*`` that makes a record may be called when ``ready``; its answer is an event.
    """

    def __init__(self, *, limits: SFTPLimits = DEFAULT_SFTP_LIMITS) -> None:
        """Wait for the sink's first byte."""
        self._lines = _Lines(limits.scp_line)
        self._output: list[Buffer] = []
        self._waiting = 1
        self._depth = 0
        self._started = False
        self._record: bytes | None = None
        self._sending: int | None = None
        self._accepted_ahead = False
        self._size = 0
        self._entering = False
        self._ended = False

    @property
    def ready(self) -> bool:
        """Whether the next record may be sent: every one before was answered."""
        return not self._waiting and self._sending is None and not self._ended

    @property
    def remaining(self) -> int:
        """Bytes of the present file that are still to be sent; 0 without one."""
        return self._sending or 0

    def data_to_send(self) -> list[Buffer]:
        """Return what is to be sent, in pieces, and forget it; data of files is not copied."""
        output = self._output
        self._output = []
        return output

    def send_file(self, name: str, mode: int, size: int, times: Times | None = None) -> None:
        """Announce a file. ``Accepted``: send ``size`` bytes and ``finish_file``; else leave it.

        :param name: its name, or a path whose last component that is.
        :raises LocalProtocolError: not ``ready``, or there is no name in ``name``.
        """
        self._send_record("C", name, mode, size, times)
        self._size = size

    def send_directory(self, name: str, mode: int, times: Times | None = None) -> None:
        """Announce a directory. ``Accepted``: what follows is in it; else leave it out."""
        self._send_record("D", name, mode, 0, times)
        self._entering = True

    def leave_directory(self) -> None:
        """End the directory that was accepted last."""
        self._check_ready()
        if not self._depth:
            raise LocalProtocolError("not in a directory")
        self._depth -= 1
        self._send(b"E\n")

    def send_data(self, data: Buffer) -> None:
        """Send bytes of the file; ``data`` must stay as it is until it was sent.

        :raises LocalProtocolError: no file was accepted, or they are more than its size.
        """
        if self._sending is None or len(data) > self._sending:
            raise LocalProtocolError("more data than was announced")
        self._sending -= len(data)
        self._output.append(data)

    def finish_file(self, error: str | None = None) -> Accepted | None:
        """End the file. Return its answer where the sink gave it ahead; else it is an event.

        :param error: why the bytes are not those of the file: where it could not be read, the
            owner sends zeros for what is missing, because the size was announced.
        :raises LocalProtocolError: bytes are missing.
        """
        if self._sending is None or self._sending:
            raise LocalProtocolError(f"{self.remaining} bytes of the file are missing")
        self._sending = None
        self._send(_OK if error is None else _refusal(1, error))
        if not self._accepted_ahead:
            return None
        self._accepted_ahead = False
        self._waiting = 0
        return Accepted()

    def send_warning(self, text: str) -> None:
        """Say that one file could not be sent; no answer comes.

        :raises LocalProtocolError: not ``ready``.
        """
        self._check_ready()
        self._output.append(_refusal(1, text))

    def receive(self, data: Buffer) -> list[SourceEvent]:
        """Take what the sink sent; return its answers.

        :raises RemoteProtocolError: the sink broke the protocol; nothing more is taken.
        """
        if self._ended:
            raise LocalProtocolError("the copy has ended")
        try:
            self._lines.feed(data)
            events: list[SourceEvent] = []
            while not self._ended and (byte := self._lines.byte()) is not None:
                answer = self._answer(byte)
                if answer is None:
                    break
                events += self._accept(answer)
        except RemoteProtocolError:
            self._ended = True
            raise
        return events

    def receive_eof(self) -> None:
        """The stream ended.

        :raises RemoteProtocolError: the sink owes an answer, or lacks a part of a file.
        """
        whole = self._ended or self.ready
        self._ended = True
        if not whole:
            raise RemoteProtocolError("the sink broke off")

    def _send_record(self, kind: str, name: str, mode: int, size: int, times: Times | None) -> None:
        self._check_ready()
        last = last_name(name)
        if not is_name(last):
            raise LocalProtocolError(f"'{safe(name, 256)}' ends in no name")
        data = _escaped(last).encode("utf-8", "surrogateescape")
        self._record = b"%s%04o %d %s\n" % (kind.encode(), mode & 0o7777, size, data)
        if times is None:
            self._send(self._record)
            self._record = None
        else:
            self._send(b"T%d 0 %d 0\n" % (max(times.mtime, 0), max(times.atime, 0)))
        self._size, self._entering = -1, False

    def _check_ready(self) -> None:
        if not self.ready:
            raise LocalProtocolError("the sink has not answered yet")

    def _send(self, record: bytes) -> None:
        self._output.append(record)
        self._waiting = 1

    def _answer(self, byte: int) -> SourceEvent | None:
        if byte == 0:
            self._lines.skip()
            return Accepted()
        line = self._lines.line()
        if line is None:
            return None
        if byte == 1:
            return Warned(safe(line[1:]))
        # What is neither 0, 1 nor 2 is text: a shell that could not find scp, or a login script.
        return Aborted(safe(line[1:] if byte == 2 else line))

    def _accept(self, answer: SourceEvent) -> list[SourceEvent]:
        if not self._waiting:
            # PuTTY's sink answers the end of a file as soon as it has the last byte.
            if isinstance(answer, Accepted) and self._sending == 0 and not self._accepted_ahead:
                self._accepted_ahead = True
                return []
            raise RemoteProtocolError("the sink answers what nobody asked")
        self._waiting = 0
        if isinstance(answer, Aborted):
            self._ended = True
            return [answer]
        if not self._started:
            self._started = True
            return [] if isinstance(answer, Accepted) else [answer]
        if self._record is not None:
            return self._after_times(answer)
        if isinstance(answer, Accepted):
            if self._entering:
                self._depth += 1
            elif self._size >= 0:
                self._sending = self._size
        self._size, self._entering = -1, False
        return [answer]

    def _after_times(self, answer: SourceEvent) -> list[SourceEvent]:
        record, self._record = self._record, None
        if isinstance(answer, Accepted) and record is not None:
            self._send(record)
            return []
        self._size, self._entering = -1, False
        return [answer]


def _names_of(requested: Sequence[str]) -> list[str]:
    names = []
    for path in requested:
        names += [last_name(pattern) for pattern in alternatives(path)]
    return names


def _escaped(name: str) -> str:
    """Make a name one line: with a line end in it, that and ``\\`` are escaped, as by OpenSSH."""
    return name.replace("\\", "\\\\").replace("\n", "\\^J") if "\n" in name else name


def _refusal(code: int, text: str) -> bytes:
    return bytes((code,)) + f"scp: {safe(text)}\n".encode("utf-8", "surrogateescape")
