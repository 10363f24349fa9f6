"""The messages of OpenSSH's mux protocol, version 4 (``PROTOCOL.mux``), for both roles.

:func:`encode` makes the bytes to send of a message. :class:`Payloads` splits received bytes into
payloads, and :func:`decode` reads one. Both ends send :class:`Hello` first. A client then sends
requests. The answers to one carry its ``request_id``; those about a session that is open carry the
``session_id`` of :class:`SessionOpened`.

Descriptors follow :class:`NewSession` (three) and :class:`NewStdioForward` (two), each with one
zero byte of data of its own. The master takes them before it answers.
"""

from __future__ import annotations

from collections.abc import Iterable

from nacre.errors import MalformedMessage
from nacre.wire.codec import Buffer, WireReader, string, text, u32
from nacre.wire.message import U32, Record, Rest, String, Text, record

VERSION = 4
"""The version of the protocol. Other versions have other messages: neither role goes on then."""

MAXIMUM_MESSAGE = 256 * 1024
"""Bytes of one message; OpenSSH has the same bound."""

NO_ESCAPE = 0xFFFFFFFF
"""The ``escape`` of a session without an escape character."""

UNIX_SOCKET = 0xFFFFFFFE
"""The port that says that the host beside it is the path of a Unix socket."""

SOCKS = "socks"
"""The host to connect to of a forwarding whose SOCKS clients name it; its port is 0."""

LOCAL, REMOTE, DYNAMIC = 1, 2, 3
"""The kinds of a forwarding."""

INFORMATION = "info"
"""The extension of masters that answer :class:`GetInformation`; its value is ``0``."""


@record
class Hello(Record):
    """The first message of each end.

    :ivar extensions: names and values, as :func:`pairs` reads them.
    """

    version: U32
    extensions: Rest


@record
class NewSession(Record):
    """Open a session. Three descriptors follow: standard input, output and error.

    The answers are :class:`SessionOpened` once the channel is open, and :class:`Exited` at the end.

    The flags are 0 or 1; ``PROTOCOL.mux`` calls them booleans, but OpenSSH sends four bytes.

    :ivar reserved: nothing.
    :ivar subsystem: whether ``command`` names a subsystem.
    :ivar escape: the escape character's code, or :data:`NO_ESCAPE`.
    :ivar command: empty for a shell.
    :ivar environment: ``NAME=value`` texts, as :func:`texts` reads them.
    """

    request_id: U32
    reserved: String
    terminal: U32
    x11: U32
    agent: U32
    subsystem: U32
    escape: U32
    terminal_type: Text
    command: Text
    environment: Rest


@record
class AliveCheck(Record):
    """Say that you live: the answer is :class:`Alive`."""

    request_id: U32


@record
class Terminate(Record):
    """End the connection. The answer is :class:`Done`."""

    request_id: U32


@record
class OpenForward(Record):
    """Begin a forwarding.

    The answer is :class:`Done`, or :class:`PortChosen` where the server chose the port.

    :ivar kind: :data:`LOCAL`, :data:`REMOTE` or :data:`DYNAMIC`.
    :ivar listen_host: where to listen, as in ``-L``: empty for loopback (or what GatewayPorts
        says), ``*`` for all addresses; a path if the port is :data:`UNIX_SOCKET`.
    :ivar connect_host: where to connect to; :data:`SOCKS` for a SOCKS proxy, at either end; a path
        if the port is :data:`UNIX_SOCKET`.
    """

    request_id: U32
    kind: U32
    listen_host: Text
    listen_port: U32
    connect_host: Text
    connect_port: U32


@record
class CloseForward(Record):
    """End a forwarding, which the fields name as in :class:`OpenForward`; answered by Done."""

    request_id: U32
    kind: U32
    listen_host: Text
    listen_port: U32
    connect_host: Text
    connect_port: U32


@record
class NewStdioForward(Record):
    """Join two descriptors, which follow, to a place that the server connects to (``-W``).

    The answer is :class:`SessionOpened`; the connection's end is the end.

    :ivar reserved: nothing.
    :ivar port: or :data:`UNIX_SOCKET`.
    """

    request_id: U32
    reserved: String
    host: Text
    port: U32


@record
class StopListening(Record):
    """Take no more clients, and remove the socket. The answer is :class:`Done`."""

    request_id: U32


@record
class Proxy(Record):
    """Carry messages of SSH from now on. The answer is :class:`Proxied`.

    Behind it both ends send packets of RFC 4253 section 6 without padding, encryption and MAC:
    their length, a zero byte, and the payload.
    """

    request_id: U32


@record
class GetInformation(Record):
    """Describe the connection, or its channels (later than OpenSSH 10.0). Answered by Information.

    :ivar about: ``connection`` or ``channels``.
    """

    request_id: U32
    about: Text


@record
class Done(Record):
    """A request was carried out."""

    request_id: U32


@record
class Forbidden(Record):
    """The master's user said no."""

    request_id: U32
    reason: Text


@record
class Failure(Record):
    """A request can't be carried out."""

    request_id: U32
    reason: Text


@record
class Exited(Record):
    """A session has ended, with the exit status of its command."""

    session_id: U32
    status: U32


@record
class Alive(Record):
    """The answer to :class:`AliveCheck`.

    :ivar pid: the process that is the master.
    """

    request_id: U32
    pid: U32


@record
class SessionOpened(Record):
    """A session was opened, or a place joined.

    :ivar session_id: names it in what the master says of it later.
    """

    request_id: U32
    session_id: U32


@record
class PortChosen(Record):
    """A forwarding was begun, at a port that the server chose."""

    request_id: U32
    port: U32


@record
class TerminalFailed(Record):
    """The server gave a session no terminal: the client's own need not be raw."""

    session_id: U32


@record
class Proxied(Record):
    """The answer to :class:`Proxy`: the last message of this protocol."""

    request_id: U32


@record
class Information(Record):
    """The answer to :class:`GetInformation`: lines to print."""

    request_id: U32
    lines: Text


_NUMBERS: dict[int, type[Record]] = {
    0x00000001: Hello,
    0x10000002: NewSession,
    0x10000004: AliveCheck,
    0x10000005: Terminate,
    0x10000006: OpenForward,
    0x10000007: CloseForward,
    0x10000008: NewStdioForward,
    0x10000009: StopListening,
    0x1000000F: Proxy,
    0x20000001: GetInformation,
    0x80000001: Done,
    0x80000002: Forbidden,
    0x80000003: Failure,
    0x80000004: Exited,
    0x80000005: Alive,
    0x80000006: SessionOpened,
    0x80000007: PortChosen,
    0x80000008: TerminalFailed,
    0x8000000F: Proxied,
    0x90000001: Information,
}
_HEADS = {kind: u32(number) for number, kind in _NUMBERS.items()}


class UnknownMessage(MalformedMessage):
    """The number of a message is not known; a master answers a request of such a kind by Failure.

    :ivar request_id: the field behind the number, 0 if there is none.
    """

    def __init__(self, number: int, request_id: int) -> None:
        super().__init__(f"the mux protocol has no message {number:#010x}")
        self.request_id = request_id


def encode(message: Record) -> bytes:
    """Return the bytes to send for a message: its length, its number and its fields."""
    return string(_HEADS[type(message)] + message.encode())


def decode(payload: Buffer) -> Record:
    """Return the message in a payload, which begins with its number.

    :raises UnknownMessage: it has another number than those above.
    :raises MalformedMessage: a field is cut off, or bytes follow the last one.
    """
    reader = WireReader(payload)
    number = reader.u32()
    kind = _NUMBERS.get(number)
    if kind is None:
        raise UnknownMessage(number, reader.u32() if reader.remaining >= 4 else 0)
    return kind.decode(reader.rest())


class Payloads:
    """Splits received bytes into payloads for :func:`decode`."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = bytearray()

    def receive(self, data: Buffer) -> None:
        """Take received bytes."""
        self._held += data

    def next(self) -> bytes | None:
        """Return the next payload, or None until more bytes are received.

        One is cut out at a time, because what follows :class:`Proxied` is no payload.

        :raises MalformedMessage: it is announced with more than :data:`MAXIMUM_MESSAGE` bytes, or
            with fewer than a number has. The connection can't be used any further.
        """
        size = int.from_bytes(self._held[:4], "big")
        if len(self._held) < 4:
            return None
        if not 4 <= size <= MAXIMUM_MESSAGE:
            raise MalformedMessage(f"a message of {size} bytes is announced")
        if len(self._held) < 4 + size:
            return None
        payload = bytes(self._held[4 : 4 + size])
        del self._held[: 4 + size]
        return payload

    def rest(self) -> bytes:
        """Return the bytes that no payload was cut out of, and forget them."""
        held = bytes(self._held)
        self._held.clear()
        return held


def texts(data: bytes) -> tuple[str, ...]:
    """Return the texts of a field that has any number of them.

    :raises MalformedMessage: one is cut off.
    """
    reader = WireReader(data)
    found = []
    while reader.remaining:
        found.append(reader.text())
    return tuple(found)


def joined(values: Iterable[str]) -> bytes:
    """Return such a field: the inverse of :func:`texts`."""
    return b"".join(map(text, values))


def pairs(data: bytes) -> dict[str, str]:
    """Return the extensions of :class:`Hello`, by name.

    :raises MalformedMessage: one is cut off, or the last has no value.
    """
    found = texts(data)
    if len(found) % 2:
        raise MalformedMessage("an extension has no value")
    return dict(zip(found[::2], found[1::2], strict=True))
