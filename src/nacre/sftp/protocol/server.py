"""The server's side of SFTP: packets to calls, answers to packets.

::

    server = SFTPServerProtocol()
    server.receive(stream.read())
    while (call := server.next_call()) is not None:
        answer(call)                              # server.send_data(call.id, …), now or later
    stream.write(b"".join(server.data_to_send()))

Calls may be answered in any order, but those of one file must be carried out in the order they
arrived (draft-ietf-secsh-filexfer-02, section 6.1). A request that must fail (it is denied, an
unknown handle, an unknown extension, one open file too many, fields that can't be decoded) is
answered here and does not become a call; :meth:`SFTPServerProtocol.take_refusals` has the reasons.
As in OpenSSH's server, bytes behind the last field of a request are ignored: some clients send
them. Some give several requests one id, and take the answers in order: a request with the id of a
call becomes a call once that one is answered. A packet whose end or request id is unknown ends the
session; the caller then closes the ``files``.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Mapping, Sequence
from struct import Struct
from typing import Any, NamedTuple

from nacre.errors import (
    LocalProtocolError,
    MalformedMessage,
    RemoteProtocolError,
    VersionError,
)
from nacre.limits import DEFAULT_SFTP_LIMITS, SFTPLimits
from nacre.sftp.protocol.attributes import Attributes, Entry
from nacre.sftp.protocol.chosen import version
from nacre.sftp.protocol.extensions import (
    OFFERED,
    CheckFile,
    LimitsRequest,
    ServerLimits,
    VersionSelect,
    announced_as,
)
from nacre.sftp.protocol.framing import SFTPInbox, joined
from nacre.sftp.protocol.messages import (
    FXP,
    LATEST_VERSION,
    VERSION_3,
    AttributesRequest,
    Close,
    DraftSymLink,
    HandleRequest,
    OpenDir,
    PathRequest,
    Pieces,
    Read,
    ReadDir,
    SFTPRequest,
    StatusRequest,
    Write,
)
from nacre.sftp.protocol.status import FX, status_of
from nacre.sftp.protocol.symlinks import LINK_FIRST_CLIENTS, link_first
from nacre.sftp.protocol.versions import THIRD, Version
from nacre.value import value
from nacre.wire.codec import Buffer, WireReader, string, text, u32, u64
from nacre.wire.message import Record
from nacre.wire.text import safe

_READ_NUMBER, _WRITE_NUMBER, _INIT_NUMBER, _EXTENDED_NUMBER = map(
    int, (FXP.READ, FXP.WRITE, FXP.INIT, FXP.EXTENDED)
)
_ATTRS_NUMBER = int(FXP.ATTRS)

_U32 = Struct(">I")
_HEAD = Struct(">IBI")
_KIND_ID = Struct(">BI")
_DATA_HEAD = Struct(">IBII")
_OFFSET_LENGTH = Struct(">QI")

_NAMES = {int(kind): kind.name for kind in FXP}
_UNSUPPORTED = (FX.OP_UNSUPPORTED, "Operation not supported")
_DENIED = (FX.PERMISSION_DENIED, "Permission denied")

NO_ATTRIBUTES = Attributes()

NOTHING_DENIED: Mapping[type[SFTPRequest[Any]], str] = {}
"""What a session without restrictions may not request."""

_UNSENT = 4096
"""Pieces of output at which no call is taken: requests that are answered here add to it too."""

DATA_ROOM = _DATA_HEAD.size
"""Bytes of a DATA packet before its data."""


@value(frozen=False)
class Call:
    """A request that waits for its answer.

    :ivar id: the request's id, for every ``send_*``.
    :ivar request: the request. A READ's length is never above the bound.
    :ivar files: what its handles refer to: the objects given to ``send_handle``, in the order of
        the handles in the request.
    """

    # Not frozen: one is made per request, and a frozen one takes twice as long to make.
    id: int
    request: SFTPRequest[Any]
    files: tuple[object, ...]


class Refusal(NamedTuple):
    """A request that was answered by a failure and did not become a call.

    :ivar request: its name in the draft, or that of its extension.
    :ivar reason: why it was refused.
    :ivar status: the code it was answered with.
    """

    request: str
    reason: str
    status: int = FX.FAILURE


@value
class _Open:
    kind: str
    file: object


class _Terms(NamedTuple):
    """What a session may do whichever version it speaks.

    :ivar spoken: the versions that may be chosen, by what ``version-select`` calls them.
    :ivar link_first: whether the client's SYMLINK of version 3 has the link first.
    """

    extensions: Mapping[str, str]
    denied: Mapping[type[SFTPRequest[Any]], str]
    spoken: Mapping[str, int]
    agreed: Callable[[Version], None]
    link_first: bool


class SFTPServerProtocol:
    """Turns a client's packets into calls, and answers into packets.

    :ivar refusals: requests that were refused since :meth:`take_refusals` was called.
    :ivar version: the version that was agreed on; 3 before INIT.
    """

    def __init__(
        self,
        *,
        extensions: Mapping[str, str] = OFFERED,
        denied: Mapping[type[SFTPRequest[Any]], str] = NOTHING_DENIED,
        limits: SFTPLimits = DEFAULT_SFTP_LIMITS,
        peer: str = "",
        highest: int = LATEST_VERSION,
        agreed: Callable[[Version], None] = lambda version: None,
    ) -> None:
        """Serve one session.

        :param extensions: those VERSION announces; any other is answered by OP_UNSUPPORTED. Later
            versions than 3 announce more.
        :param denied: requests that are answered by PERMISSION_DENIED, each with the reason that
            :class:`Refusal` gets. VERSION does not announce those that are extensions.
        :param peer: the client's identification line: in version 3 the order of SYMLINK's paths
            depends on it.
        :param highest: the version to agree on with clients that ask for it or a later one.
        :param agreed: called with the version when INIT or ``version-select`` has chosen it.
        """
        spoken = {str(number): number for number in range(VERSION_3, highest + 1)}
        swapped = link_first(peer, LINK_FIRST_CLIENTS)
        self._terms = _Terms(extensions, denied, spoken, agreed, swapped)
        self._use(THIRD)
        self._limits = limits
        self._inbox = SFTPInbox(limits.packet)
        self._output: list[Buffer] = []
        self._calls: dict[int, SFTPRequest[Any]] = {}
        self._repeated: list[memoryview] = []
        self._pending_bytes = 0
        self._handles: dict[bytes, _Open] = {}
        self._opening = 0
        self._last_handle = 0
        self.refusals: list[Refusal] = []
        self._ready = False
        self._ended = False

    @property
    def hungry(self) -> bool:
        """Whether all of the last portion was consumed: ``receive`` may be called."""
        return not (self._inbox.left or self._repeated)

    @property
    def wants_input(self) -> bool:
        """Whether ``receive`` should be called: there is room for more calls and answers."""
        return not (self._inbox.left or self._repeated or self._ended or self._full)

    @property
    def outstanding(self) -> int:
        """Calls without an answer."""
        return len(self._calls)

    @property
    def files(self) -> list[object]:
        """The objects that the open handles refer to."""
        return [opened.file for opened in self._handles.values()]

    def data_to_send(self) -> list[Buffer]:
        """Return the output in pieces, and forget it; data of files is not copied.

        Call it after answering. A caller that sends slowly must take calls slowly: that bounds the
        output that waits.
        """
        output = self._output
        self._output = []
        return output

    def take_refusals(self) -> list[Refusal]:
        """Return the ``refusals``, and forget them."""
        refusals, self.refusals = self.refusals, []
        return refusals

    def receive(self, data: Buffer) -> None:
        """Take the next portion of the client's stream; ``data`` must not change afterwards.

        :raises LocalProtocolError: calls of the last portion were not taken, or the session ended.
        """
        if self._ended:
            raise LocalProtocolError("the session has ended")
        self._inbox.feed(data)

    def receive_eof(self) -> None:
        """Note that the stream ended. Call it once all input was taken.

        :raises RemoteProtocolError: it ended in the middle of a packet.
        """
        self._ended = True
        if self._inbox.partial:
            raise RemoteProtocolError("the SFTP session broke off")

    def next_call(self) -> Call | None:
        """Return the next call; None when more input or answers are needed first.

        :raises RemoteProtocolError: the client broke the protocol; the session has ended.
        """
        try:
            while (self._inbox.left or self._repeated) and not (self._ended or self._full):
                parts = self._repeated or self._inbox.next_parts()
                if parts is None:
                    break
                self._repeated = []
                if (call := self._accept(parts)) is not None:
                    return call
                if self._repeated:
                    break
        except RemoteProtocolError:
            self._ended = True
            raise
        return None

    @property
    def _full(self) -> bool:
        limits = self._limits
        busy = len(self._calls) >= limits.requests or self._pending_bytes >= limits.request_octets
        return busy or len(self._output) >= _UNSENT

    # Requests.

    def _accept(self, parts: list[memoryview]) -> Call | None:
        packet = parts[0]
        if len(parts) > 1 and not _holds_head_of_write(packet):
            packet = joined(parts)
            parts = [packet]
        if not self._ready or packet[0] == _INIT_NUMBER:
            self._accept_init(packet)
            return None
        if len(packet) < _KIND_ID.size:
            raise MalformedMessage("a request without a request id")
        kind, number = _KIND_ID.unpack_from(packet)
        if number in self._calls:
            self._repeated = parts
            return None
        request: SFTPRequest[Any] | None
        reader = WireReader(packet, _KIND_ID.size)
        try:
            if kind == _READ_NUMBER:
                request = self._read(packet, reader)
            elif kind == _WRITE_NUMBER:
                request = _write(parts, reader)
            else:
                request = self._other(kind, number, reader)
        except MalformedMessage as error:
            self._refuse(number, _name_of(kind), str(error), FX.BAD_MESSAGE, "Bad message")
            return None
        return None if request is None else self._ask(number, request)

    def _other(self, kind: int, number: int, reader: WireReader) -> SFTPRequest[Any] | None:
        """Return a request that is neither READ nor WRITE; refuse it if it is not offered.

        :raises MalformedMessage: a field is cut off or malformed.
        """
        name = reader.text() if kind == _EXTENDED_NUMBER else ""
        if not name:
            take = self._requests.get(kind)
        else:
            take = (
                self.version.extensions.get(name)
                if announced_as(name) in self._extensions
                else None
            )
        if take is None:
            refused = safe(name, 64) or _name_of(kind)
            self._refuse(number, refused, "it is not offered", *_UNSUPPORTED)
            return None
        return take(reader)

    def _accept_init(self, packet: memoryview) -> None:
        reader = WireReader(packet)
        if reader.u8() != FXP.INIT:
            raise RemoteProtocolError("the client's first packet is not INIT")
        # Extensions that the client names are not looked at, as in OpenSSH's server.
        asked = reader.u32()
        if asked < VERSION_3:
            raise VersionError(f"the client speaks version {asked} of SFTP, not 3")
        self._choose(version(min(asked, max(self._terms.spoken.values()))))
        hidden = {announced_as(kind.EXTENSION) for kind in self._denied}
        offered = {name: data for name, data in self._extensions.items() if name not in hidden}
        body = u32(self.version.number) + self.version.announcement(offered)
        self._output.append(string(bytes((FXP.VERSION,)) + body))
        self._ready = True

    def _choose(self, chosen: Version) -> None:
        self._use(chosen)
        self._terms.agreed(chosen)

    def _use(self, chosen: Version) -> None:
        """Take requests and give answers in the form of a version from now on."""
        terms = self._terms
        self.version = chosen
        self._requests = dict(chosen.requests)
        if chosen is THIRD and terms.link_first:
            self._requests[FXP.SYMLINK] = DraftSymLink.decode
        self._extensions = {**terms.extensions, **chosen.offered}
        if len(terms.spoken) > 1:
            self._extensions["versions"] = ",".join(terms.spoken)
        denied = terms.denied
        implied = {kind: denied[other] for kind, other in chosen.implied.items() if other in denied}
        self._denied = {**implied, **denied}

    def _select(self, number: int, wanted: str) -> None:
        """Answer ``version-select``, and use the version (draft-ietf-secsh-filexfer-13, 5.5)."""
        found = self._terms.spoken.get(wanted)
        if found is None or self._calls or self._last_handle:
            raise RemoteProtocolError(
                f"the client selects version '{safe(wanted, 64)}', which is not on the list, or "
                "does so after other requests"
            )
        self._status(number, FX.OK, "Success")
        self._choose(version(found))

    def _read(self, packet: memoryview, reader: WireReader) -> Read:
        handle = reader.string()
        if reader.remaining < _OFFSET_LENGTH.size:
            raise MalformedMessage("a READ that is cut off")
        offset, length = _OFFSET_LENGTH.unpack_from(packet, 9 + len(handle))
        return Read(handle, offset, min(length, self._limits.read))

    def _ask(self, number: int, request: SFTPRequest[Any]) -> Call | None:
        if request.__class__ in self._denied:
            name = request.EXTENSION or _name_of(request.NUMBER)
            self._refuse(number, name, self._denied[request.__class__], *_DENIED)
            return None
        files = self._behind(request) if request.HANDLES else ()
        if files is None:
            name = request.EXTENSION or _name_of(request.NUMBER)
            code = self.version.invalid_handle
            self._refuse(number, name, "no such handle is open", code, "Invalid handle")
            return None
        if isinstance(request, HandleRequest):
            if len(self._handles) + self._opening >= self._limits.handles:
                name, status = (
                    _name_of(request.NUMBER),
                    status_of(OSError(errno.EMFILE, ""), self.version.codes),
                )
                self._refuse(number, name, "too many files of this session are open", *status)
                return None
            self._opening += 1
        elif isinstance(request, Close):
            # The handle is unknown from here on: no later request reaches a file being closed.
            del self._handles[request.handle]
        elif isinstance(request, (LimitsRequest, VersionSelect)):
            if isinstance(request, VersionSelect):
                self._select(number, request.version)
            else:
                self._reply(number, self._own_limits().encode())
            return None
        self._calls[number] = request
        self._pending_bytes += _cost(request)
        return Call(number, request, files)

    def _behind(self, request: SFTPRequest[Any]) -> tuple[object, ...] | None:
        """Return what a request's handles refer to; None if one is unknown or of a wrong kind."""
        files = []
        for name, kind in request.HANDLES:
            opened = self._handles.get(getattr(request, name))
            if opened is None or kind not in ("any", opened.kind):
                return None
            files.append(opened.file)
        return tuple(files)

    def _own_limits(self) -> ServerLimits:
        limits = self._limits
        return ServerLimits(limits.packet, limits.read, limits.read, limits.handles)

    # Answers.

    def send_ok(self, number: int) -> None:
        """Answer that a request without a result was carried out."""
        self._finish(number, StatusRequest)
        self._status(number, FX.OK, "Success")

    def send_error(self, number: int, error: OSError) -> None:
        """Answer that a request failed; code and text are derived from ``error.errno``."""
        self._finish(number, SFTPRequest)
        self._status(number, *status_of(error, self.version.codes))

    def send_eof(self, number: int) -> None:
        """Answer a READ or READDIR at the end of the file or directory."""
        self._finish(number, Read, ReadDir)
        self._status(number, FX.EOF, "End of file")

    def send_handle(self, number: int, file: object) -> None:
        """Answer an OPEN or OPENDIR; ``file`` will be in the calls that use the new handle."""
        request = self._finish(number, HandleRequest)
        self._last_handle += 1
        handle = u64(self._last_handle)
        kind = "directory" if isinstance(request, OpenDir) else "file"
        self._handles[handle] = _Open(kind, file)
        self._packet(FXP.HANDLE, number, string(handle))

    def send_data(self, number: int, data: Buffer) -> None:
        """Answer a READ; empty data means the end of the file.

        ``data`` must not change until it was sent.

        :raises LocalProtocolError: it is more than was asked for.
        """
        request = self._waiting(number, Read)
        if isinstance(request, Read) and len(data) > request.length:
            raise LocalProtocolError(f"{len(data)} bytes for a READ of {request.length}")
        if not data:
            self.send_eof(number)
            return
        self._finish(number, Read)
        size = len(data)
        self._output.append(_DATA_HEAD.pack(9 + size, FXP.DATA, number, size))
        self._output.append(data)

    def send_filled(self, answers: Sequence[tuple[int, int]], buffer: memoryview) -> None:
        """Answer READs with data that follows one another in ``buffer``, without a copy.

        Before the data of each there are ``DATA_ROOM`` bytes for its header, which is written here.

        :param answers: for each READ its id and the number of its bytes, at least one.
        :raises LocalProtocolError: that is more than was asked for.
        """
        at = 0
        for number, size in answers:
            length: int = self._waiting(number, Read).length  # type: ignore[attr-defined]
            if not 0 < size <= length:
                raise LocalProtocolError(f"{size} bytes for a READ of {length}")
            del self._calls[number]
            self._pending_bytes -= length
            _DATA_HEAD.pack_into(buffer, at, 9 + size, FXP.DATA, number, size)
            at += DATA_ROOM + size
        self._output.append(buffer[:at])

    def send_names(self, number: int, entries: Iterable[Entry]) -> int:
        """Answer a READDIR with as many entries as fit into one packet; return how many do.

        No entries mean the end of the directory. At most one entry more than is sent is taken from
        ``entries``.
        """
        self._finish(number, ReadDir)
        parts: list[bytes] = []
        room, put = self._limits.read, self.version.put_entry
        for entry in entries:
            encoded = put(entry)
            room -= len(encoded)
            if room < 0:
                break
            parts.append(encoded)
        if parts:
            self._packet(FXP.NAME, number, u32(len(parts)) + b"".join(parts))
        else:
            self._status(number, FX.EOF, "End of file")
        return len(parts)

    def send_path(self, number: int, path: str, attributes: Attributes = NO_ATTRIBUTES) -> None:
        """Answer a REALPATH, READLINK, ``expand-path`` or ``home-directory``.

        :param attributes: those of the file, where REALPATH asks for them.
        """
        self._finish(number, PathRequest)
        entry = Entry(path, path, attributes)
        self._packet(FXP.NAME, number, u32(1) + self.version.put_entry(entry))

    def send_attributes(self, number: int, attributes: Attributes) -> None:
        """Answer a STAT, LSTAT or FSTAT."""
        self._waiting(number, AttributesRequest)
        del self._calls[number]  # all that _finish does for this type
        self._packet(_ATTRS_NUMBER, number, self.version.put_attributes(attributes))

    def send_reply(self, number: int, reply: Record) -> None:
        """Answer an extended request whose answer is an EXTENDED_REPLY."""
        request = self._waiting(number, SFTPRequest)
        if request.ANSWER != FXP.EXTENDED_REPLY:
            raise LocalProtocolError(f"{type(request).__name__} is not answered so")
        self._finish(number, SFTPRequest)
        body = reply.encode()
        if isinstance(request, CheckFile):
            body = text(CheckFile.EXTENSION) + body
        self._reply(number, body)

    def _waiting(self, number: int, *types: type[SFTPRequest[Any]]) -> SFTPRequest[Any]:
        request = self._calls.get(number)
        if request is None:
            raise LocalProtocolError(f"no call {number} waits for an answer")
        if not isinstance(request, types):
            raise LocalProtocolError(f"{type(request).__name__} is not answered so")
        return request

    def _finish(self, number: int, *types: type[SFTPRequest[Any]]) -> SFTPRequest[Any]:
        request = self._waiting(number, *types)
        del self._calls[number]
        self._pending_bytes -= _cost(request)
        if isinstance(request, HandleRequest):
            self._opening -= 1
        return request

    def _refuse(self, number: int, request: str, reason: str, code: int, message: str) -> None:
        self.refusals.append(Refusal(request, reason, code))
        self._status(number, code, message)

    def _status(self, number: int, code: int, message: str) -> None:
        self._packet(FXP.STATUS, number, u32(code) + text(message) + text(""))

    def _reply(self, number: int, body: bytes) -> None:
        self._packet(FXP.EXTENDED_REPLY, number, body)

    def _packet(self, kind: int, number: int, body: bytes) -> None:
        self._output.append(_HEAD.pack(5 + len(body), kind, number) + body)


def _holds_head_of_write(part: memoryview) -> bool:
    """Return whether the first part of a packet is a WRITE's, complete up to its data."""
    if len(part) < 9 or part[0] != _WRITE_NUMBER:
        return False
    return len(part) >= 9 + _U32.unpack_from(part, 5)[0] + _OFFSET_LENGTH.size  # type: ignore[no-any-return]


def _write(parts: list[memoryview], reader: WireReader) -> Write:
    handle = reader.string()
    first = parts[0]
    start = 9 + len(handle) + _OFFSET_LENGTH.size
    if len(first) < start:
        raise MalformedMessage("a WRITE that is cut off")
    offset, size = _OFFSET_LENGTH.unpack_from(first, start - _OFFSET_LENGTH.size)
    data = first[start:] if len(parts) == 1 else Pieces([first[start:], *parts[1:]])
    if len(data) != size:
        if len(data) < size:
            raise MalformedMessage("a WRITE with less data than it announces")
        data = memoryview(bytes(data))[:size]  # other bytes follow the data
    return Write(handle, offset, data)


def _name_of(kind: int) -> str:
    """Return the name of a packet type."""
    return _NAMES.get(kind) or f"type {kind}"


def _cost(request: SFTPRequest[Any]) -> int:
    kind = type(request)
    if kind is Write:
        return len(request.data)  # type: ignore[attr-defined]
    return request.length if kind is Read else 0  # type: ignore[attr-defined]
