"""The client's side of SFTP.

::

    client = SFTPClientProtocol()
    stream.write(client.data_to_send())           # INIT
    for request_id, result in client.receive(stream.read()): ...
    request_id = client.send(Stat("/etc/passwd"))

A result is of the type that the request's type names, or an :class:`~nacre.errors.SFTPError`, which
is returned and not raised. Answers arrive in any order; each has its request's id. An answer that
does not decode fails its request alone; bytes after its last field are ignored.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from contextlib import suppress
from struct import Struct
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from nacre.errors import (
    LocalProtocolError,
    MalformedMessage,
    PacketTooLarge,
    RemoteProtocolError,
    SFTPError,
    VersionError,
)
from nacre.limits import DEFAULT_SFTP_LIMITS, SFTPLimits
from nacre.sftp.protocol.chosen import version
from nacre.sftp.protocol.extensions import announced_as, take_pairs
from nacre.sftp.protocol.framing import SFTPInbox, joined
from nacre.sftp.protocol.messages import (
    FXP,
    VERSION_3,
    Close,
    FStat,
    HandleRequest,
    LStat,
    Open,
    OpenDir,
    ReadDir,
    ReadLink,
    ReadNames,
    RealPath,
    SFTPRequest,
    Stat,
)
from nacre.sftp.protocol.status import FX, failure
from nacre.sftp.protocol.versions import THIRD
from nacre.wire.codec import Buffer, WireReader, string, text, u32
from nacre.wire.text import safe

_REQUEST = Struct(">IBI")
_HANDLE_REQUEST = Struct(">IBII")
_READ_TAIL = Struct(">QI")
_WRITE_TAIL = Struct(">QI")
_ANSWER = Struct(">BI")
_DATA = Struct(">BII")
_DATA_NUMBER, _STATUS_NUMBER, _HANDLE_NUMBER = map(int, (FXP.DATA, FXP.STATUS, FXP.HANDLE))

_SUCCESS: Final = u32(FX.OK) + text("Success") + text("")
"""The answer of OpenSSH's server and of nacre's to each WRITE: recognised without decoding."""

_IDS = 1 << 32

_SHOWN = 64
"""Characters that are shown of what a server sends in place of VERSION."""

Result: TypeAlias = object
"""The result of a request, of a type that depends on the request's; or an SFTPError."""

_QUICK = (Open, OpenDir, ReadDir, ReadNames, Stat, LStat, FStat, RealPath, ReadLink)
"""Requests that a server answers soon, besides READ and WRITE. Others may take it minutes: a CLOSE
that uploads to a storage, a hash of a large file."""

_WRITING: Final = 0
"""Represents a WRITE in the table of waiting requests; a READ is represented by its length."""


class OpenHandle(bytes):
    """A handle that the server gave to an open file.

    :ivar spoiled: whether the server gave it to another file as well while this one was open: what
        was read and written meanwhile may be the other's.
    :ivar times: how many files have it; each is closed.
    """

    spoiled = False
    times = 1


class HandleReused(SFTPError):
    """The server gave an open file's handle to another file as well.

    :ivar handle: the handle; after an OPEN it is to be closed once more.
    """

    handle = OpenHandle()


class SFTPClientProtocol:
    """Encodes requests, and matches answers with them.

    :ivar version: the version that was agreed on; 3 before VERSION.
    :ivar extensions: names and data of those the server announced; empty before VERSION.
    :ivar peer: the server's identification line; empty if unknown.
    :ivar reuses_handles: whether the server gave two open files one handle.
    """

    def __init__(self, limits: SFTPLimits = DEFAULT_SFTP_LIMITS, *, peer: str = "") -> None:
        """Begin a session: INIT is the first output."""
        self.peer = peer
        self.version = THIRD
        self._forms = THIRD.forms
        self._asked = VERSION_3
        self.reuses_handles = False
        self._open: dict[bytes, OpenHandle] = {}
        self.extensions: Mapping[str, str] = MappingProxyType({})
        self._limits = limits
        self._inbox = SFTPInbox(limits.packet)
        self._output: list[Buffer] = [string(bytes((FXP.INIT,)) + u32(VERSION_3))]
        self._pending: dict[int, SFTPRequest[Any] | int] = {}
        self._last_id = 0
        self._first = b""
        self._ready = False
        self._ended = False

    def propose(self, number: int) -> None:
        """Ask for a version other than 3; the server chooses it or an earlier one.

        :raises LocalProtocolError: INIT was sent already.
        :raises ValueError: there is no such version, or none that is supported.
        """
        version(number)
        if self._ready or not self._output:
            raise LocalProtocolError("INIT was sent: a version can no longer be proposed")
        self._asked = number
        self._output = [string(bytes((FXP.INIT,)) + u32(number))]

    @property
    def ready(self) -> bool:
        """Whether the server's VERSION was received: requests may be sent."""
        return self._ready

    @property
    def waiting(self) -> int:
        """Requests that wait for an answer."""
        return len(self._pending)

    @property
    def open_handles(self) -> int:
        """How many handles the server gave out whose CLOSE it has not answered."""
        return len(self._open)

    @property
    def opening_or_closing(self) -> bool:
        """Whether the server has an OPEN, OPENDIR or CLOSE to answer."""
        return any(isinstance(one, (Close, HandleRequest)) for one in self._pending.values())

    @property
    def oldest(self) -> int | None:
        """The id of the request that waits longest for its answer; None if none waits."""
        return next(iter(self._pending), None)

    @property
    def answered(self) -> int:
        """Requests that were answered: the difference of two looks counts."""
        return self._last_id - len(self._pending)

    @property
    def waits_for_quick_answers(self) -> bool:
        """Whether the server should answer all that waits within seconds."""
        return all(isinstance(request, (int, *_QUICK)) for request in self._pending.values())

    @property
    def room(self) -> int:
        """How many requests may be sent now."""
        return self._limits.pending - len(self._pending) if self._ready else 0

    def offers(self, extension: str) -> bool:
        """Return whether the server announced an extended request, or the version includes it."""
        known = extension in self.extensions or announced_as(extension) in self.extensions
        return known or extension in self.version.native

    def data_to_send(self) -> list[Buffer]:
        """Return the output in pieces, and forget it; a WRITE's data is not copied."""
        output = self._output
        self._output = []
        return output

    def send(self, request: SFTPRequest[Any]) -> int:
        """Send ``request``; return the id that its result will have.

        Call it when ``room`` is above 0.

        :raises LocalProtocolError: it is before VERSION or after the end; too many requests wait;
            the request is larger than a packet may be; or the server did not announce it.
        """
        form = self._forms[request.__class__]
        if form.extension and not self.offers(form.extension):
            raise LocalProtocolError(f"the server does not offer {form.extension}")
        body = (text(form.extension) if form.extension else b"") + form.put(request)
        size = len(body)
        self._check_size(size)
        number = self._new_id(request)
        self._output.append(_REQUEST.pack(5 + size, form.number, number) + body)
        return number

    def send_read(self, handle: bytes, offset: int, length: int) -> int:
        """Send a READ; its result is a list of ``memoryview``, or None at the end of the file.

        The views follow one another; together they have 1 to ``length`` bytes.

        :raises LocalProtocolError: as :meth:`send`, or ``length`` is 0 or above the bound.
        """
        if not 0 < length <= self._limits.read:
            raise LocalProtocolError(
                f"a READ of {length} bytes: it must be 1 to {self._limits.read}"
            )
        self._check_offset(offset)
        number = self._new_id(length)
        size = len(handle)
        head = _HANDLE_REQUEST.pack(21 + size, FXP.READ, number, size)
        self._output.append(b"".join((head, handle, _READ_TAIL.pack(offset, length))))
        return number

    def send_write(self, handle: bytes, offset: int, data: Buffer) -> int:
        """Send a WRITE; its result is None. ``data`` must not change until it was sent.

        :raises LocalProtocolError: as :meth:`send`.
        """
        size, amount = len(handle), len(data)
        self._check_offset(offset)
        self._check_size(21 + size + amount)
        number = self._new_id(_WRITING)
        head = _HANDLE_REQUEST.pack(21 + size + amount, FXP.WRITE, number, size)
        self._output.append(b"".join((head, handle, _WRITE_TAIL.pack(offset, amount))))
        self._output.append(data)
        return number

    def receive(self, data: Buffer) -> list[tuple[int, Result]]:
        """Take the next portion of the server's stream; return ids and results.

        ``data`` must not change afterwards: results may be views of it.

        :raises RemoteProtocolError: the server broke the protocol; the session has ended, and
            every waiting request has failed.
        """
        if self._ended:
            raise LocalProtocolError("the session has ended")
        results: list[tuple[int, Result]] = []
        if not self._ready:
            self._first = (self._first + bytes(data[: 4 * _SHOWN]))[: 4 * _SHOWN]
        try:
            self._inbox.feed(data)
            while self._inbox.left and (parts := self._inbox.next_parts()) is not None:
                if self._ready:
                    results.append(self._accept(parts))
                else:
                    self._accept_version(joined(parts))
        except (PacketTooLarge, MalformedMessage):
            self._ended = True
            if not self._ready:
                raise self._no_version() from None
            raise
        except RemoteProtocolError:
            self._ended = True
            raise
        return results

    def receive_eof(self) -> None:
        """Note that the stream ended.

        :raises RemoteProtocolError: it ended in the middle of a packet, or before VERSION.
        """
        self._ended = True
        if self._first and not self._ready:
            raise self._no_version()
        if self._inbox.partial or not self._ready:
            raise RemoteProtocolError("the SFTP session broke off")

    def _no_version(self) -> RemoteProtocolError:
        """Return the error for a server whose first bytes are no packet: some program printed."""
        return RemoteProtocolError(
            f"the server sent '{safe(self._first, _SHOWN)}' before SFTP's VERSION: it is no SFTP "
            "server, or a start file of the account's shell (~/.bashrc, ~/.profile, ~/.cshrc, "
            "~/.zshenv) prints that; let it print in interactive shells only"
        )

    def _new_id(self, request: SFTPRequest[Any] | int) -> int:
        if not self._ready or self._ended:
            raise LocalProtocolError(
                "no request may be sent before VERSION or after the session's end"
            )
        if len(self._pending) >= self._limits.pending:
            raise LocalProtocolError(
                f"{len(self._pending)} requests wait for their answers: no more may be sent"
            )
        number = (self._last_id + 1) & 0xFFFFFFFF
        while number in self._pending:
            number = (number + 1) & 0xFFFFFFFF
        self._last_id = number
        self._pending[number] = request
        return number

    def _check_offset(self, offset: int) -> None:
        if not 0 <= offset < 1 << 64:
            raise LocalProtocolError(f"there is no offset {offset}")

    def _check_size(self, size: int) -> None:
        if size + 5 > self._limits.packet:
            raise LocalProtocolError(f"a request of {size} bytes is larger than a packet may be")

    def _accept_version(self, packet: memoryview) -> None:
        reader = WireReader(packet)
        if reader.u8() != FXP.VERSION:
            raise RemoteProtocolError(
                "the server's first packet is not VERSION: it may not be an SFTP server"
            )
        chosen = reader.u32()
        if not VERSION_3 <= chosen <= self._asked:
            wanted = "3" if self._asked == VERSION_3 else f"3 to {self._asked}"
            raise VersionError(f"the server speaks version {chosen} of SFTP, not {wanted}")
        self.version = version(chosen)
        self._forms = self.version.forms
        # A server whose list of extensions does not decode offers none.
        with suppress(MalformedMessage):
            self.extensions = MappingProxyType(self.version.announced(take_pairs(reader)))
        self._ready = True

    def _accept(self, parts: list[memoryview]) -> tuple[int, Result]:
        packet = parts[0]
        if len(packet) < _DATA.size:
            packet = joined(parts)
            parts = [packet]
            if len(packet) < _ANSWER.size:
                raise MalformedMessage("an answer without a request id")
        kind, number = _ANSWER.unpack_from(packet)
        request = self._pending.pop(number, None)
        if request is None:
            raise RemoteProtocolError(f"an answer to request {number}, which does not wait for one")
        try:
            if kind == _DATA_NUMBER and isinstance(request, int) and request != _WRITING:
                return number, _data(parts, request)
            if len(parts) > 1:
                packet = joined(parts)
            if kind == _STATUS_NUMBER:
                if isinstance(request, Close) and (closed := self._closed(request.handle)).spoiled:
                    return number, _reused(request, closed)
                return number, _status(packet[5:], request)
            if isinstance(request, int) or kind != request.ANSWER:
                raise RemoteProtocolError(f"a packet of type {kind}")
            result = self._forms[request.__class__].take_answer(WireReader(packet, 5))
            if kind == _HANDLE_NUMBER:
                return number, self._opened(number, request, result)
            return number, result
        except RemoteProtocolError as error:
            # The next packet begins where it should, so other requests are not concerned.
            shown = f"The server's answer to {_name(request)} is not valid: {error}"
            return number, _failure(FX.BAD_MESSAGE, shown, request)

    def _opened(self, number: int, request: SFTPRequest[Any], handle: bytes) -> Result:
        """Note an open file; a handle that is open already fails the request."""
        other = self._open.get(handle)
        if other is not None and self._closes_before(number, handle) < other.times:
            other.spoiled = self.reuses_handles = True
            other.times += 1
            return _reused(request, other)
        opened = self._open[handle] = OpenHandle(handle)
        return opened

    def _closes_before(self, number: int, handle: bytes) -> int:
        """Return how many CLOSEs of a handle were sent before a request and are not answered."""
        return sum(
            isinstance(one, Close) and one.handle == handle and _precedes(earlier, number)
            for earlier, one in self._pending.items()
        )

    def _closed(self, handle: bytes) -> OpenHandle:
        """Note that one file with a handle is closed; return the handle."""
        opened = handle if isinstance(handle, OpenHandle) else self._open.get(handle)
        if opened is None:
            return OpenHandle(handle)
        opened.times -= 1
        if not opened.times and self._open.get(opened) is opened:
            del self._open[opened]
        return opened


def _precedes(earlier: int, number: int) -> bool:
    """Return whether a request id was given out before another; they start anew after 2**32."""
    return (number - earlier) % _IDS < _IDS // 2


def _reused(request: SFTPRequest[Any], handle: OpenHandle) -> HandleReused:
    paths = request.paths
    shown = "The server gave one handle to two open files; open one file at a time"
    error = HandleReused(errno.EBADF, shown, paths[0], None, paths[1])
    error.handle = handle
    return error


def _data(parts: list[memoryview], asked: int) -> list[memoryview] | None:
    """Return the data of a DATA packet; None for the empty one some servers send at the end."""
    first = parts[0]
    if len(first) < _DATA.size:
        raise MalformedMessage("DATA without a length")
    size = _DATA.unpack_from(first)[2]
    behind = sum(map(len, parts)) - _DATA.size - size
    if behind < 0:
        raise MalformedMessage(f"DATA is cut off: {-behind} bytes of its {size} are missing")
    if size > asked:
        raise RemoteProtocolError(f"{size} bytes, of {asked} that were asked for")
    if not size:
        return None
    parts[0] = first[_DATA.size :]
    while behind:
        last = parts.pop()
        if len(last) > behind:
            parts.append(last[: len(last) - behind])
        behind = max(0, behind - len(last))
    return parts


def _status(status: memoryview, request: SFTPRequest[Any] | int) -> Result:
    code, message = (int(FX.OK), "") if status == _SUCCESS else _read_status(WireReader(status))
    answer = _answer_type(request)
    if code == FX.OK:
        if answer != FXP.STATUS:
            raise RemoteProtocolError("OK without the result")
        return None
    if code == FX.EOF and answer in (FXP.DATA, FXP.NAME):
        return None
    return _failure(code, message, request)


def _read_status(reader: WireReader) -> tuple[int, str]:
    code = reader.u32()
    try:
        return code, reader.text()
    except MalformedMessage:
        return code, ""  # servers from before version 3 send neither text nor language


def _answer_type(request: SFTPRequest[Any] | int) -> int:
    if isinstance(request, int):
        return FXP.STATUS if request == _WRITING else FXP.DATA
    return request.ANSWER


def _failure(code: int, message: str, request: SFTPRequest[Any] | int) -> SFTPError:
    paths = (None, None) if isinstance(request, int) else request.paths
    return failure(code, message, *paths)


def _name(request: SFTPRequest[Any] | int) -> str:
    if isinstance(request, int):
        return "WRITE" if request == _WRITING else "READ"
    return type(request).__name__.upper()
