"""A session through the connection of a master: it gets our descriptors, and does the rest.

The messages are those of :mod:`nacre.client.sharing.messages`, which would take too long to load
here.
"""

import _signal  # type: ignore[import-not-found]
import os
import sys
from _socket import AF_UNIX, SCM_RIGHTS, SOCK_STREAM, SOL_SOCKET, socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nacre.cli.common.modes import RawTerminal

FAILURE = 255
NO_ESCAPE = 0xFFFFFFFF

_HELLO = 0x00000001
_VERSION = 4
_NEW_SESSION = 0x10000002
_ALIVE_CHECK = 0x10000004
_NEW_STDIO_FORWARD = 0x10000008
_FORBIDDEN = 0x80000002
_FAILED = 0x80000003
_EXITED = 0x80000004
_ALIVE = 0x80000005
_SESSION_OPENED = 0x80000006
_TERMINAL_FAILED = 0x80000008

_MOST = 256 * 1024
_SIGINT, _SIGHUP, _SIGTERM, _SIGWINCH = 2, 1, 15, 28

refused_by = ""
"""The path of the master that refused a session to this process: it is not asked again."""


class NoMaster(Exception):
    """There is no master at the socket, or it does not speak this protocol."""


class MasterRefused(Exception):
    """The master does not do what it is asked; the text tells what, and its reason."""


class Ended(Exception):
    """A signal ends the program."""


class SharedSession:
    """A session to ask for.

    :ivar path: the master's socket.
    :ivar host: the host to name when a session at a terminal ends.
    :ivar command: the command or the subsystem; empty for a shell, None for no session (``-N``).
    :ivar place: ``-W``: the host and the port to join the descriptors to, in place of a session.
    :ivar environment: ``NAME=value`` texts.
    :ivar escape: the escape character's code, or NO_ESCAPE.
    :ivar reads: whether the session gets standard input.
    :ivar background: whether to leave the terminal once the session is open.
    :ivar quiet: whether to say nothing at the end; ``silent``: nothing of a refusal either.
    :ivar patience: seconds until a silent master counts as none; None for ever.
    """

    def __init__(self, path: str, host: str) -> None:
        self.path = path
        self.host = host
        self.command: bytes | None = b""
        self.place: tuple[str, int] | None = None
        self.subsystem = False
        self.terminal = False
        self.agent = False
        self.x11 = False
        self.environment: list[bytes] = []
        self.escape = NO_ESCAPE
        self.reads = True
        self.background = False
        self.quiet = False
        self.silent = False
        self.patience: float | None = None

    def request(self) -> bytes:
        """Return the request for the session."""
        if self.place is not None:
            host, port = self.place
            return packet(_NEW_STDIO_FORWARD, u32(0), b"", os.fsencode(host), u32(port))
        flags = map(u32, (self.terminal, self.x11, self.agent, self.subsystem))
        term = os.fsencode(os.environ.get("TERM", "dumb") if self.terminal else "")
        last = (term, self.command or b"", *self.environment)
        return packet(_NEW_SESSION, u32(0), b"", *flags, u32(self.escape), *last)


class Raw(bytes):
    """Bytes that get no length before them."""


def u32(value: int) -> Raw:
    """Return a ``uint32``."""
    return Raw(value.to_bytes(4, "big"))


def packet(number: int, *fields: bytes) -> bytes:
    """Return the bytes to send for a message: strings, and what is :class:`Raw`."""
    body = u32(number) + b"".join(
        field if isinstance(field, Raw) else u32(len(field)) + field for field in fields
    )
    return u32(len(body)) + body


class Control:
    """A connection to a master.

    :param patience: see :class:`SharedSession`.
    :raises NoMaster: nobody listens, or what does speaks otherwise.
    :raises OSError: the socket can't be reached.
    """

    def __init__(self, path: str, patience: float | None, first: bytes = b"") -> None:
        """Connect, say hello, and send ``first`` without waiting for the answer."""
        self.socket = socket(AF_UNIX, SOCK_STREAM)
        self.socket.settimeout(patience)
        self._held = b""
        try:
            self.socket.connect(os.fsencode(path))
            self.socket.sendall(packet(_HELLO, u32(_VERSION)) + first)
            number, fields = self.receive() or (0, b"")
        except TimeoutError:
            self.socket.close()
            raise NoMaster("the master does not answer") from None
        except OSError:
            self.socket.close()
            raise
        if number != _HELLO or fields[:4] != u32(_VERSION):
            self.socket.close()
            raise NoMaster("the master speaks another version of the protocol")
        self.socket.settimeout(None)

    def send(self, data: bytes, *descriptors: int) -> None:
        """Send messages, and then descriptors, each with a byte of its own."""
        if data:
            self.socket.sendall(data)
        for number in descriptors:
            rights = (SOL_SOCKET, SCM_RIGHTS, number.to_bytes(4, sys.byteorder))
            self.socket.sendmsg([b"\0"], [rights])

    def receive(self) -> tuple[int, bytes] | None:
        """Return the number and the fields of the next message, or None at the end.

        :raises NoMaster: a message is too long.
        """
        head = self._exactly(4)
        size = int.from_bytes(head, "big")
        if len(head) < 4:
            return None
        if not 4 <= size <= _MOST:
            raise NoMaster(f"the master announces a message of {size} bytes")
        body = self._exactly(size)
        return (int.from_bytes(body[:4], "big"), body[4:]) if len(body) == size else None

    def _exactly(self, size: int) -> bytes:
        while len(self._held) < size:
            try:
                data = self.socket.recv(4096)
            except ConnectionError:
                data = b""
            if not data:
                break
            self._held += data
        data, self._held = self._held[:size], self._held[size:]
        return data


def run(session: SharedSession, control: Control | None = None) -> int:
    """Open the session, wait for its end, and return its exit status.

    :param control: a connection on which nothing was asked so far; by default a new one.
    :raises NoMaster: there is no master.
    :raises MasterRefused: it opens no session.
    :raises OSError: the socket can't be reached.
    """
    raw = None
    if session.terminal and session.reads and os.isatty(0):
        from nacre.cli.common.modes import RawTerminal

        # Loaded before the session is open: what is typed into it has to find a raw terminal.
        raw = RawTerminal(0)
    first = packet(_ALIVE_CHECK, u32(0)) if raw is not None else b""
    if session.command is not None or session.place is not None:
        first += session.request()
    if control is None:
        control = Control(session.path, session.patience, first)
    elif first:
        control.send(first)
    # Before the session is there: its first output may be what a signal follows on.
    before = _take_signals()
    try:
        if session.command is not None or session.place is not None:
            _pass_descriptors(control, session)
        return _Running(control, session, raw).run()
    except Ended:
        return FAILURE
    finally:
        control.socket.close()
        for number, handler in before.items():
            _signal.signal(number, handler)


def _pass_descriptors(control: Control, session: SharedSession) -> None:
    null = -1 if session.reads else os.open(os.devnull, os.O_RDONLY)
    numbers = (0, 1, 2) if null < 0 else (null, 1, 2)
    try:
        control.send(b"", *numbers[: 3 if session.place is None else 2])
    except OSError as error:
        raise NoMaster(f"the master does not listen: {error.strerror}") from None
    finally:
        if null >= 0:
            os.close(null)


class _Running:
    def __init__(self, control: Control, session: SharedSession, raw: "RawTerminal | None") -> None:
        self._control = control
        self._asked = session
        self._raw = raw
        self._master = 0

    def run(self) -> int:
        session = self._asked
        try:
            if session.command is not None or session.place is not None:
                self._await_opening()
            if session.background:
                _leave()
            if self._raw is None:
                return self._wait()
            with self._raw:
                _take_signals()
                _signal.signal(_SIGWINCH, self._resized)
                status = self._wait()
        except Ended:
            status = FAILURE
        if session.terminal and not session.quiet:
            os.write(2, f"Shared connection to {session.host} closed.\r\n".encode())
        return status

    def _await_opening(self) -> None:
        while (message := self._control.receive()) is not None:
            number, fields = message
            if number == _ALIVE:
                self._master = int.from_bytes(fields[4:8], "big")
            elif number in (_FORBIDDEN, _FAILED):
                raise MasterRefused(f"{self._refusal(number)}: {reason(fields)}")
            elif number == _SESSION_OPENED:
                return
        raise NoMaster("the master ended the connection")

    def _refusal(self, number: int) -> str:
        what = "session" if self._asked.place is None else "stdio forwarding"
        if number == _FORBIDDEN:
            return f"Master refused {what} request"
        return f"{what.capitalize()} request failed"

    def _wait(self) -> int:
        """Return the exit status that the master sends before it ends the connection."""
        status = FAILURE
        while (message := self._control.receive()) is not None:
            number, fields = message
            if number == _EXITED:
                status = int.from_bytes(fields[4:8], "big") & 0xFF
            elif number == _TERMINAL_FAILED and self._raw is not None:
                self._raw.restore()
        if self._asked.place is not None:
            return 0
        return status

    def _resized(self, _number: int, _frame: object) -> None:
        if self._master:
            try:
                os.kill(self._master, _SIGWINCH)
            except OSError:
                self._master = 0


def _take_signals() -> dict[int, object]:
    """Have signals end the session, and return what they did before."""
    before: dict[int, object] = {}
    for number in (_SIGINT, _SIGHUP, _SIGTERM):
        # A signal that nohup(1) or the parent ignores stays ignored.
        if (handler := _signal.getsignal(number)) not in (_signal.SIG_IGN, None):
            before[number] = handler
            _signal.signal(number, _end)
    return before


def _end(_number: int, _frame: object) -> None:
    raise Ended


def die() -> None:
    """End this process by SIGINT."""
    _signal.signal(_SIGINT, _signal.SIG_DFL)
    os.kill(os.getpid(), _SIGINT)


def _leave() -> None:
    """Go on in a child that has left the terminal; this process ends with success."""
    if os.fork():
        os._exit(0)
    os.setsid()


def reason(fields: bytes) -> str:
    """Return the reason that the fields of a refusal give, fit to be shown."""
    size = int.from_bytes(fields[4:8], "big")
    text = fields[8 : 8 + min(size, 1000)].decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else "?" for letter in text)
