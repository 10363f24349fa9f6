"""The legacy scp protocol, both roles: BSD's ``rcp`` over a channel, as in OpenSSH.

The source sends records of one line each. The sink answers each with one byte: 0 accepts it, 1 and
a line of text is a warning, 2 and a line is fatal. ``C`` announces a file, whose bytes and a 0
follow; ``D`` and ``E`` enclose the content of a directory; ``T`` before either has its times.

Nothing that a source sends is trusted. A name is one component; directories are refused without
``recursive``; and a client accepts only names that match its request: otherwise a server could put
a file of its choice where the user asked for another.
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
_ACCEPTED, _WARNING, _FATAL = 0, 1, 2
"""The first byte of an answer; a line of text follows the latter two."""


@dataclass(frozen=True, slots=True)
class Times:
    """Times of a file, in seconds since 1970."""

    mtime: int
    atime: int


@dataclass(frozen=True, slots=True)
class FileStart:
    """A file is announced: call ``accept`` or ``refuse``.

    :ivar path: the directories it is in, then its name; each is one component.
    :ivar mode: permission bits; without ``preserve`` only the lower nine.
    :ivar times: its times, with ``preserve`` and if the source sent them.
    """

    path: tuple[str, ...]
    mode: int
    size: int
    times: Times | None


@dataclass(frozen=True, slots=True)
class FileEnd:
    """All bytes of the file were returned: call ``accept`` or ``refuse``.

    :ivar error: the source's reason why they are not those of the file, or None.
    """

    error: str | None


@dataclass(frozen=True, slots=True)
class DirectoryStart:
    """A directory is announced, its content follows: call ``accept`` or ``refuse``."""

    path: tuple[str, ...]
    mode: int
    times: Times | None


@dataclass(frozen=True, slots=True)
class DirectoryEnd:
    """The content of the directory is complete; needs no answer."""

    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Warned:
    """The other end could not copy one file and continues; ``text`` is safe to print."""

    text: str


@dataclass(frozen=True, slots=True)
class Aborted:
    """The other end gave up; ``text`` is safe to print."""

    text: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """The sink accepted the record or the file."""


SinkEvent: TypeAlias = (
    FileStart | memoryview | FileEnd | DirectoryStart | DirectoryEnd | Warned | Aborted
)
"""What a source sent; a ``memoryview`` has bytes of the file announced last."""

SourceEvent: TypeAlias = Accepted | Warned | Aborted
"""What a sink answered."""


class _Lines:
    """A buffer of input that is taken as lines, single bytes or blocks."""

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
        """Return the next line without its end, or None if it is not complete."""
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
        """Return the next byte without taking it, or None."""
        if self._held:
            return self._held[0]
        return self._view[0] if len(self._view) else None

    def skip(self) -> None:
        """Drop one byte, which is not part of a line."""
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
        """Receive from a source.

        :param requested: the paths a client asked for, which may contain wildcards: other names
            are refused at the top level. None on a server, where the source chooses the names.
        :param recursive: whether to accept directories.
        :param preserve: whether to return times and all permission bits.
        :raises ValueError: ``requested`` expands to too many names.
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
        """Whether ``receive`` may be called: no event waits for ``accept`` or ``refuse``."""
        return self._asked is None and not self._ended

    def data_to_send(self) -> bytes:
        """Return the output, and forget it."""
        output = bytes(self._output)
        self._output.clear()
        return output

    def receive(self, data: Buffer) -> None:
        """Take the next portion of the source's stream; ``data`` must not change afterwards.

        :raises LocalProtocolError: ``wants_input`` is False.
        """
        if not self.wants_input:
            raise LocalProtocolError("an event waits for an answer: no input is taken before")
        self._lines.feed(data)

    def receive_eof(self) -> None:
        """Note that the stream ended.

        :raises RemoteProtocolError: it ended in the middle of a file or a directory.
        """
        whole = not self._path and self._missing is None and self._asked is None
        whole = self._ended or (whole and self._lines.empty and self._times is None)
        self._ended = True
        if not whole:
            raise RemoteProtocolError("the source broke off")

    def next_event(self) -> SinkEvent | None:
        """Return the next event; None when more input or an answer is needed first.

        :raises RemoteProtocolError: the source broke the protocol, or sent a file that was not
            asked for. The copy has ended; the output holds the message for the source.
        """
        try:
            return self._next()
        except RemoteProtocolError as error:
            self._ended = True
            self._output += _refusal(_FATAL, str(error))
            raise

    def accept(self) -> None:
        """Accept the file or directory of the last event."""
        asked = self._take_asked()
        self._output += _OK
        if isinstance(asked, FileStart):
            self._missing = asked.size
        elif isinstance(asked, DirectoryStart):
            self._path.append(asked.path[-1])

    def refuse(self, text: str) -> None:
        """Refuse the file or directory of the last event: the source leaves it out."""
        self._take_asked()
        self._output += _refusal(_WARNING, text)

    def fail(self, text: str) -> None:
        """End the copy with an error."""
        self._asked = None
        self._ended = True
        self._output += _refusal(_FATAL, text)

    def _take_asked(self) -> FileStart | DirectoryStart | FileEnd:
        asked = self._asked
        if asked is None:
            raise LocalProtocolError("no event waits for an answer")
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
        if byte == _ACCEPTED:
            self._lines.skip()
        elif byte in (_WARNING, _FATAL):
            if (line := self._lines.line()) is None:
                return None
            if byte == _FATAL:
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
        if kind == bytes((_WARNING,)):
            return Warned(safe(line[1:]))
        if kind == bytes((_FATAL,)):
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

    The methods that send a record may be called when ``ready``; ``receive`` returns the answers.
    """

    def __init__(self, *, limits: SFTPLimits = DEFAULT_SFTP_LIMITS) -> None:
        """Begin a copy; the sink's first byte makes it ``ready``."""
        self._lines = _Lines(limits.scp_line)
        self._output: list[Buffer] = []
        self._waiting = True
        self._depth = 0
        self._started = False
        self._record: bytes | None = None
        self._sending: int | None = None
        self._accepted_ahead = False
        self._size: int | None = None
        self._entering = False
        self._ended = False

    @property
    def ready(self) -> bool:
        """Whether the next record may be sent: all earlier ones were answered."""
        return not self._waiting and self._sending is None and not self._ended

    @property
    def remaining(self) -> int:
        """Bytes of the current file that are still to be sent; 0 without a file."""
        return self._sending or 0

    def data_to_send(self) -> list[Buffer]:
        """Return the output in pieces, and forget it; data of files is not copied."""
        output = self._output
        self._output = []
        return output

    def send_file(self, name: str, mode: int, size: int, times: Times | None = None) -> None:
        """Announce a file. When accepted, send ``size`` bytes, then call ``finish_file``.

        :param name: its name, or a path that ends in it.
        :raises LocalProtocolError: it is not ``ready``, or ``name`` does not end in a name.
        """
        self._send_record("C", name, mode, size, times)
        self._size = size

    def send_directory(self, name: str, mode: int, times: Times | None = None) -> None:
        """Announce a directory. When accepted, send its content, then call ``leave_directory``."""
        self._send_record("D", name, mode, 0, times)
        self._entering = True

    def leave_directory(self) -> None:
        """End the innermost directory that was accepted."""
        self._check_ready()
        if not self._depth:
            raise LocalProtocolError("not in a directory")
        self._depth -= 1
        self._send(b"E\n")

    def send_data(self, data: Buffer) -> None:
        """Send bytes of the file; ``data`` must not change until it was sent.

        :raises LocalProtocolError: no file was accepted, or the bytes exceed its size.
        """
        if self._sending is None or len(data) > self._sending:
            raise LocalProtocolError("more data than was announced")
        self._sending -= len(data)
        self._output.append(data)

    def finish_file(self, error: str | None = None) -> Accepted | None:
        """End the file. Return the sink's answer if it came early; else ``receive`` returns it.

        :param error: why the bytes are not those of the file. Where it could not be read, the
            caller has sent zeros, because the size was announced.
        :raises LocalProtocolError: bytes are missing.
        """
        if self._sending is None or self._sending:
            raise LocalProtocolError(f"{self.remaining} bytes of the file are missing")
        self._sending = None
        self._send(_OK if error is None else _refusal(_WARNING, error))
        if not self._accepted_ahead:
            return None
        self._accepted_ahead = False
        self._waiting = False
        return Accepted()

    def send_warning(self, text: str) -> None:
        """Report that one file could not be sent; the sink does not answer.

        :raises LocalProtocolError: it is not ``ready``.
        """
        self._check_ready()
        self._output.append(_refusal(_WARNING, text))

    def receive(self, data: Buffer) -> list[SourceEvent]:
        """Take the next portion of the sink's stream; return its answers.

        :raises RemoteProtocolError: the sink broke the protocol; the copy has ended.
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
        """Note that the stream ended.

        :raises RemoteProtocolError: an answer or a part of a file is missing.
        """
        whole = self._ended or self.ready
        self._ended = True
        if not whole:
            raise RemoteProtocolError("the receiving end broke off: its stream ended too early")

    def _send_record(self, kind: str, name: str, mode: int, size: int, times: Times | None) -> None:
        self._check_ready()
        last = last_name(name)
        if not is_name(last):
            raise LocalProtocolError(f"'{safe(name, 256)}' does not end in a name")
        data = _escaped(last).encode("utf-8", "surrogateescape")
        self._record = b"%s%04o %d %s\n" % (kind.encode(), mode & 0o7777, size, data)
        if times is None:
            self._send(self._record)
            self._record = None
        else:
            self._send(b"T%d 0 %d 0\n" % (max(times.mtime, 0), max(times.atime, 0)))
        self._size, self._entering = None, False

    def _check_ready(self) -> None:
        if not self.ready:
            raise LocalProtocolError("the sink has not answered yet")

    def _send(self, record: bytes) -> None:
        self._output.append(record)
        self._waiting = True

    def _answer(self, byte: int) -> SourceEvent | None:
        if byte == _ACCEPTED:
            self._lines.skip()
            return Accepted()
        line = self._lines.line()
        if line is None:
            return None
        if byte == _WARNING:
            return Warned(safe(line[1:]))
        # Any other byte begins a text: of a shell that did not find scp, or of a login script.
        return Aborted(safe(line[1:] if byte == _FATAL else line))

    def _accept(self, answer: SourceEvent) -> list[SourceEvent]:
        if not self._waiting:
            # PuTTY's sink accepts a file as soon as it has the last byte.
            if isinstance(answer, Accepted) and self._sending == 0 and not self._accepted_ahead:
                self._accepted_ahead = True
                return []
            raise RemoteProtocolError("the sink answers without having been asked")
        self._waiting = False
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
            elif self._size is not None:
                self._sending = self._size
        self._size, self._entering = None, False
        return [answer]

    def _after_times(self, answer: SourceEvent) -> list[SourceEvent]:
        record, self._record = self._record, None
        if isinstance(answer, Accepted) and record is not None:
            self._send(record)
            return []
        self._size, self._entering = None, False
        return [answer]


def _names_of(requested: Sequence[str]) -> list[str]:
    names = []
    for path in requested:
        names += [last_name(pattern) for pattern in alternatives(path)]
    return names


def _escaped(name: str) -> str:
    """Escape line ends in a name, and then backslashes too, as OpenSSH does."""
    return name.replace("\\", "\\\\").replace("\n", "\\^J") if "\n" in name else name


def _refusal(code: int, text: str) -> bytes:
    return bytes((code,)) + f"scp: {safe(text)}\n".encode("utf-8", "surrogateescape")
