"""A session on a server: the argument of :func:`nacre.listen`'s handler (RFC 4254 section 6).

Requests wait in a queue and are decided one after the other by a task that lives while there are
any; a request that was granted starts the handler, which is a task of the server.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from nacre.aio.channel import Channel, Sink, kind_of
from nacre.aio.stream import Reader, Writer
from nacre.aio.waiting import Opening
from nacre.errors import LocalProtocolError
from nacre.protocol.asks import AskRequest, Denied, Granted
from nacre.protocol.requests import (
    Break,
    Env,
    Exec,
    ExitSignal,
    ExitStatus,
    PtyRequest,
    Request,
    Shell,
    Signal,
    Subsystem,
    WindowChange,
)
from nacre.protocol.tcpip import AGENT_REQUEST, X11_REQUEST
from nacre.server.peer import ServerConnection
from nacre.wire.numbers import MAIN, STDERR
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.server.agent import AgentSocket
    from nacre.server.x11 import ForwardedDisplay
    from nacre.tunnels.metered import TransferMeter

T = TypeVar("T")

FAILED = 255
"""The exit status of a session whose handler has raised."""


@dataclass(frozen=True, slots=True)
class Terminal:
    """The client's terminal.

    :ivar term: the client's TERM, such as ``xterm-256color``.
    :ivar columns: its width in characters.
    :ivar rows: its height in characters.
    :ivar width: its width in pixels, or 0.
    :ivar height: its height in pixels, or 0.
    :ivar modes: its encoded modes (RFC 4254 section 8).
    """

    term: str
    columns: int
    rows: int
    width: int
    height: int
    modes: bytes


class SessionHost(Protocol):
    """The server, as one of its sessions sees it."""

    async def wait_welcomed(self) -> None:
        """Return when the policy has taken note of the user's login."""

    async def allows(self, session: Session, request: Request) -> bool:
        """Ask the policy about a shell, command, subsystem or terminal."""

    async def allows_agent(self, session: Session) -> bool:
        """Ask the policy whether the session may use the client's agent."""

    async def display(self, session: Session, data: bytes) -> ForwardedDisplay | None:
        """Return a display that leads to the client's, if the policy allows one.

        :param data: the data of ``x11-req``.
        """

    def accepts_variable(self, name: str) -> bool:
        """Tell whether clients may set this environment variable."""

    def serves(self, request: Request) -> bool:
        """Tell whether there is something to serve ``request`` with."""

    async def serve(self, session: Session) -> int | None:
        """Serve a session that was granted; returns the exit status, where None is 0."""

    def run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a session's handler in a task that the server waits for."""

    def session_ended(self, number: int) -> None:
        """Forget the session on this channel, whose number is free again."""


class Session:
    """One shell, command or subsystem of a user.

    When the client closes the session, or the connection ends, ``stdin`` ends, writers raise, and
    then the handler's task is cancelled.

    :ivar connection: the connection it belongs to.
    :ivar command: the command line; None for a shell or a subsystem.
    :ivar subsystem: the subsystem's name, or None.
    :ivar environment: the variables that the client has set and the server accepts.
    :ivar terminal: the client's terminal, or None when it requested none.
    :ivar forwards_agent: its processes may use the client's agent: see :meth:`agent_socket`.
    :ivar x11: the display here that leads to the client's, or None. Set ``DISPLAY`` of its
        processes to the display's name, and give its cookie to xauth; it ends with the session.
    :ivar stdin: the data from the client.
    :ivar stdout: the data to the client. The channel's EOF is sent when both this and ``stderr``
        are at their end.
    :ivar stderr: the data to the client's standard error.
    :ivar on_resize: called with the new ``Terminal``.
    :ivar on_signal: called with a signal's name, without ``SIG``.
    :ivar on_break: called with a length in milliseconds; None refuses breaks.
    """

    def __init__(self, connection: ServerConnection, channel: Channel, host: SessionHost) -> None:
        self.connection = connection
        self.command: bytes | None = None
        self.subsystem: str | None = None
        self.environment: dict[str, str] = {}
        self.terminal: Terminal | None = None
        self.forwards_agent = False
        self.x11: ForwardedDisplay | None = None
        self.stdin = Reader(channel)
        self.stdout = Writer(channel)
        self.stderr = Writer(channel, STDERR)
        self.on_resize: Callable[[Terminal], None] | None = None
        self.on_signal: Callable[[str], None] | None = None
        self.on_break: Callable[[int], None] | None = None
        self._channel = channel
        self._host = host
        self._undecided: deque[AskRequest] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._handler: asyncio.Task[None] | None = None
        self._exited = False
        channel.sinks = {MAIN: self.stdin}
        channel.on_request = self._accept_request
        channel.on_change = self._accept_change

    @property
    def user(self) -> str:
        """The user who is logged in."""
        return self.connection.user

    @property
    def closed(self) -> bool:
        """Whether the session is over."""
        return self._channel.closed or self._channel.closing

    def attach(self, sink: Sink) -> Channel:
        """Deliver the client's data to ``sink`` in place of ``stdin``; returns the channel."""
        self._channel.sinks[0] = sink
        self.stdin.move_to(sink)
        return self._channel

    def hold_to(self, meter: TransferMeter) -> None:
        """Have ``meter`` count and delay the data of the session; nothing was read or written yet.

        :meth:`attach` and single lines of ``stdin`` go past it.
        """
        from nacre.tunnels.metered import MeteredReader, MeteredWriter

        channel = self._channel
        self.stdout = MeteredWriter(channel, MAIN, meter)
        self.stderr = MeteredWriter(channel, STDERR, meter)
        reader = MeteredReader(channel, meter)
        self.attach(reader)
        self.stdin = reader

    def serves(self, request: Request) -> bool:
        """Tell whether the server has something to serve ``request`` with.

        With files (``listen(sftp=…)``) that is the subsystem ``sftp``, and with a handler
        everything but subsystems; with files alone scp too.
        """
        return self._host.serves(request)

    # --- for the handler ---

    def exit(self, status: int) -> None:
        """End the session with an exit status. Only the first of these calls has an effect."""
        self._end(ExitStatus(status & 0xFFFFFFFF), status)

    def exit_signal(self, name: str, core_dumped: bool = False, message: str = "") -> None:
        """End the session as one that a signal has ended.

        :param name: the signal's name without ``SIG`` (RFC 4254 section 6.10).
        """
        self._end(ExitSignal(name.removeprefix("SIG"), core_dumped, message, ""), name)

    def _end(self, how: ExitStatus | ExitSignal, shown: object) -> None:
        if self._exited:
            return
        self._exited = True
        # The engine may have handled the client's CLOSE before its event reaches this session.
        with contextlib.suppress(LocalProtocolError):
            self._channel.request(how)
            self.stdout.write_eof()
            self.stderr.write_eof()
        self._channel.close()
        self.connection.record("exit", channel=self._channel.number, status=shown)

    def agent_socket(self, owner: tuple[int, int] | None = None) -> Opening[AgentSocket]:
        """Make a Unix socket that leads to the client's agent: await it, or use ``async with``.

        Set ``SSH_AUTH_SOCK`` of the session's processes to its path.

        :param owner: the uid and gid that may use it; None for those of this process.
        :raises OSError: it can't be made.
        :raises LocalProtocolError: the client forwards no agent, or the policy refused it.
        """
        if not self.forwards_agent:
            raise LocalProtocolError("this session has no agent: check forwards_agent first")
        from nacre.server.agent import open_agent_socket

        return Opening(lambda: open_agent_socket(self.connection, owner))

    async def wait_closed(self) -> None:
        """Return when the client has closed the session, or the connection has ended."""
        while not self._channel.closed:
            await self._channel.changed.wait()

    # --- requests: decided in order, by at most one task per session ---

    def decide(self, ask: AskRequest) -> None:
        """Answer a channel request of the client, after those before it."""
        self._undecided.append(ask)
        if self._worker is None:
            self._worker = self.connection.spawn(self._decide_all())

    async def _decide_all(self) -> None:
        await self._host.wait_welcomed()
        while self._undecided:
            ask = self._undecided.popleft()
            granted = await self._grants(ask.request)
            if self.closed:
                break
            self.connection.answer(ask.ask_id, Granted() if granted else Denied())
            if granted and isinstance(ask.request, (Shell, Exec, Subsystem)) and not self.closed:
                self._channel.kind = kind_of("session", ask.request)
                self._handler = self._host.run(self._handle())
        self._worker = None

    async def _grants(self, request: Request) -> bool:
        if isinstance(request, Env):
            return self._set_variable(request)
        if isinstance(request, Break):
            return self._break(request)
        if request.NAME == AGENT_REQUEST:
            return await self._forward_agent()
        if request.NAME == X11_REQUEST:
            return await self._forward_x11(request)
        if not isinstance(request, (PtyRequest, Shell, Exec, Subsystem)):
            return False
        if isinstance(request, Exec):
            self.command = request.command
        elif isinstance(request, Subsystem):
            self.subsystem = request.name
        granted = await self._host.allows(self, request)
        if not granted:
            self.command = self.subsystem = None
        elif isinstance(request, PtyRequest):
            self.terminal = Terminal(
                request.term,
                request.columns,
                request.rows,
                request.width,
                request.height,
                request.modes,
            )
        self._record(request, granted)
        return await self.connection.record_is_kept() and granted

    async def _forward_agent(self) -> bool:
        self.forwards_agent = await self._host.allows_agent(self)
        self.connection.record(
            "session", channel=self._channel.number, request="agent", granted=self.forwards_agent
        )
        return self.forwards_agent

    async def _forward_x11(self, request: Request) -> bool:
        """Make a display, the only one of the session."""
        if self.x11 is None:
            display = await self._host.display(self, request.encode())
            if display is not None and self.closed:
                display.close()
                return False
            self.x11 = display
            return display is not None
        return False

    def _record(self, request: Request, granted: bool) -> None:
        more: dict[str, object] = {}
        if isinstance(request, Exec):
            more["command"] = safe(request.command)
        elif isinstance(request, Subsystem):
            more["subsystem"] = safe(request.name)
        elif isinstance(request, PtyRequest):
            more["term"] = safe(request.term, 64)
        self.connection.record(
            "session", channel=self._channel.number, request=request.NAME, granted=granted, **more
        )

    def _set_variable(self, request: Env) -> bool:
        if not self._host.accepts_variable(request.name):
            return False
        self.environment[request.name] = request.value
        return True

    def _break(self, request: Break) -> bool:
        if self.on_break is None:
            return False
        self._call(self.on_break, request.milliseconds)
        return True

    def _call(self, callback: Callable[[T], None], argument: T) -> None:
        try:
            callback(argument)
        except Exception as error:
            self.connection.record_error("a session's callback failed", error)

    def _accept_request(self, request: Request) -> None:
        if isinstance(request, WindowChange) and self.terminal is not None:
            self.terminal = replace(
                self.terminal,
                columns=request.columns,
                rows=request.rows,
                width=request.width,
                height=request.height,
            )
            if self.on_resize is not None:
                self._call(self.on_resize, self.terminal)
        elif isinstance(request, Signal) and self.on_signal is not None:
            self._call(self.on_signal, request.name)

    # --- the handler ---

    async def _handle(self) -> None:
        try:
            status = await self._host.serve(self)
            self.exit(0 if status is None else status)
        except asyncio.CancelledError:
            self._channel.close()
            raise
        except Exception as error:
            if self.closed:
                return  # The client is gone, and the handler failed because of that.
            self.connection.record_error("the session's handler failed", error)
            self.exit(FAILED)

    def _accept_change(self) -> None:
        if not self._channel.closed:
            return
        self._undecided.clear()
        if self.x11 is not None:
            self.x11.close()
        if self._handler is not None:
            # One turn later, so that the handler first sees the end of its streams.
            self.connection.loop.call_soon(self._handler.cancel)
        self._host.session_ended(self._channel.number)
