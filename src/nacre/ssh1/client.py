"""Phases 4 and 5 of an SSH-1 client: one session, and forwarded connections.

There is no reply to the start of a shell or command: it counts as started when it is requested. If
the server answers FAILURE nevertheless, the connection ends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from nacre.errors import LocalProtocolError, RemoteProtocolError, RequestFailed
from nacre.protocol import requests
from nacre.protocol.events import (
    ChannelClosed,
    ChannelOpened,
    EofReceived,
    Event,
    GlobalRequestAnswered,
    RequestAnswered,
    RequestReceived,
)
from nacre.protocol.requests import Exec, PtyRequest, Request, Shell, Subsystem, WindowChange
from nacre.protocol.tcpip import AGENT_REQUEST
from nacre.ssh1 import messages as msg
from nacre.ssh1 import modes
from nacre.ssh1.channels import Channels, SSH1ChannelState, unknown_type, unsuited
from nacre.ssh1.messages import SSH1Msg
from nacre.ssh1.routes import Stage
from nacre.wire.codec import Buffer, WireReader, string, u8, u32
from nacre.wire.message import Message
from nacre.wire.numbers import MAIN, STDERR

SUBSYSTEMS = {
    "sftp": b"PATH=$PATH:/usr/lib/openssh:/usr/libexec/openssh:/usr/lib/ssh:/usr/libexec; "
    b"exec sftp-server"
}
"""Command lines that take the place of subsystems, which SSH-1 does not have."""

_ONLY_SERVERS_SEND = (requests.ExitStatus, requests.ExitSignal, requests.XonXoff)


class SSH1ClientConnection(Channels):
    """See :class:`nacre.protocol.engine.ConnectionLayer`.

    :ivar stage: the present stage; see routes.py.
    :ivar over: the session has ended, and the server closes the connection.
    """

    stage = Stage.CLIENT_PREPARING
    over = False
    _has_terminal = False
    _has_agent = False
    _may_be_answered = False
    _used = False

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        # One function for each request without an answer, oldest first: it returns the event.
        self._answers: deque[Callable[[bool], Event]] = deque()
        self._forwards: set[tuple[str, int]] = set()

    def handlers(self) -> dict[int, Callable[[Buffer], None]]:
        """Return the handler of each message."""
        return {
            **super().handlers(),
            SSH1Msg.SMSG_SUCCESS: lambda payload: self._on_answer(success=True),
            SSH1Msg.SMSG_FAILURE: lambda payload: self._on_answer(success=False),
            SSH1Msg.SMSG_STDOUT_DATA: lambda payload: self._on_output(payload, MAIN),
            SSH1Msg.SMSG_STDERR_DATA: lambda payload: self._on_output(payload, STDERR),
            SSH1Msg.SMSG_EXITSTATUS: self._on_exit_status,
            SSH1Msg.SMSG_AGENT_OPEN: self._on_agent_open,
            SSH1Msg.PORT_OPEN: self._on_port_open,
        }

    # --- channels ---

    def open_channel(self, channel_type: str, data: bytes = b"") -> int:
        """Open the session, or ask for a connection; ``ChannelOpened`` follows.

        :raises LocalProtocolError: a second session, another type, or too many channels.
        """
        if channel_type == "direct-tcpip":
            reader = WireReader(data)
            host, port, source = reader.text(), reader.u32(), reader.text()
            origin = self._originator(source)
            return self._request_channel(lambda number: msg.PortOpen(number, host, port, origin))
        if channel_type != "session":
            raise unknown_type(channel_type)
        if self._session is not None or self._used:
            raise LocalProtocolError("SSH-1 has one session for each connection: connect again")
        self._session = SSH1ChannelState(self._number(), open=True)
        self._events.append(ChannelOpened(self._session.number))
        return self._session.number

    def _running(self, channel: int) -> SSH1ChannelState | None:
        """Return the session if ``channel`` is its number, else None.

        :raises LocalProtocolError: the session accepts no data.
        """
        session = self._session
        if session is None or session.number != channel:
            return None
        if self.stage is not Stage.CLIENT_SESSION or session.eof_sent:
            raise LocalProtocolError("the session accepts no data")
        return session

    def send_data(self, channel: int, data: Buffer, stream: int = MAIN) -> int:
        """Send as much of ``data`` as the outbox has room for; if not all, ``Writable`` follows.

        :raises LocalProtocolError: the channel accepts no data.
        """
        if stream or self._running(channel) is None:
            return super().send_data(channel, data, stream)
        return self._send_pieces(channel, u8(SSH1Msg.CMSG_STDIN_DATA), data)

    def send_eof(self, channel: int) -> None:
        """Announce that no more data follows.

        :raises LocalProtocolError: the channel is not open, or EOF was sent already.
        """
        if (session := self._running(channel)) is None:
            super().send_eof(channel)
            return
        session.eof_sent = True
        self._outbox.send(msg.Eof())

    def close_channel(self, channel: int) -> None:
        """Close our side. Closing a running session ends the connection."""
        session = self._session
        if session is None or session.number != channel:
            super().close_channel(channel)
            return
        self._forget_session(session)
        if self.stage is Stage.CLIENT_SESSION:
            self._hang_up("the session is closed")

    def _forget_session(self, session: SSH1ChannelState) -> None:
        self._session = None
        self._blocked.discard(session.number)
        self._events.append(ChannelClosed(session.number))
        self._forget_unread(session, session.unread)

    # --- requests ---

    def send_request(self, channel: int, request: Request, *, want_reply: bool = True) -> int:
        """Send a request. Returns a token for ``RequestAnswered``, or 0 without ``want_reply``.

        A request that SSH-1 does not have is refused at once, as if by the server.

        :raises LocalProtocolError: the channel is not open, or only servers send the request.
        """
        if self._find(channel) is None:
            raise LocalProtocolError(f"channel {channel} is not open")
        if isinstance(request, _ONLY_SERVERS_SEND):
            raise unsuited(request)
        token = self._token() if want_reply else 0
        is_session = self._session is not None and self._session.number == channel
        if is_session and isinstance(request, WindowChange):
            self._resize(request)
        elif not is_session or self.stage is not Stage.CLIENT_PREPARING:
            self._answered(channel, token, success=False)
        elif (command := _command(request)) is not None:
            self._start(channel, token, command)
        elif isinstance(request, PtyRequest):
            self._has_terminal = True
            self._ask(_terminal(request), lambda yes: RequestAnswered(channel, token, yes))
        elif request.NAME == AGENT_REQUEST:
            self._ask(msg.AgentRequestForwarding(), lambda yes: self._agent(channel, token, yes))
        else:
            self._answered(channel, token, success=False)
        return token

    def _answered(self, channel: int, token: int, *, success: bool) -> None:
        if token:
            self._events.append(RequestAnswered(channel, token, success))

    def _ask(self, message: Message, answered: Callable[[bool], Event]) -> None:
        self._answers.append(answered)
        self._outbox.send(message)

    def _agent(self, channel: int, token: int, success: bool) -> Event:
        self._has_agent = success
        return RequestAnswered(channel, token, success)

    def _start(self, channel: int, token: int, command: Message) -> None:
        self._outbox.send(command)
        self.stage = Stage.CLIENT_SESSION
        self._used = self._may_be_answered = True
        self._answered(channel, token, success=True)

    def _resize(self, request: WindowChange) -> None:
        if self._has_terminal and self.stage is Stage.CLIENT_SESSION:
            self._outbox.send(
                msg.WindowSize(request.rows, request.columns, request.width, request.height)
            )

    def send_global_request(self, name: str, data: bytes = b"", *, want_reply: bool = True) -> int:
        """Send a global request. Returns a token for ``GlobalRequestAnswered``, or 0.

        Forwarding of a port must be requested before the shell or command; SSH-1 can't cancel it.
        """
        token = self._token() if want_reply else 0
        forward = self._forward(data) if name == "tcpip-forward" else None
        if forward is not None:
            self._ask(
                msg.PortForwardRequest(forward[1], *forward), self._forwarding(forward, token)
            )
        elif name == "cancel-tcpip-forward":
            self._forwards.discard(_address(data))
            self._global_answered(token, success=True)
        else:
            self._global_answered(token, success=False)
        return token

    def _forward(self, data: bytes) -> tuple[str, int] | None:
        if self.stage is not Stage.CLIENT_PREPARING:
            return None
        address = _address(data)
        return address if address[1] else None

    def _forwarding(self, address: tuple[str, int], token: int) -> Callable[[bool], Event]:
        def answered(success: bool) -> Event:
            if success:
                self._forwards.add(address)
            return GlobalRequestAnswered(token, success, b"")

        return answered

    def _global_answered(self, token: int, *, success: bool) -> None:
        if token:
            self._events.append(GlobalRequestAnswered(token, success, b""))

    # --- the server's messages ---

    def _on_answer(self, *, success: bool) -> None:
        if self._answers:
            event = self._answers.popleft()(success)
            if not isinstance(event, (RequestAnswered, GlobalRequestAnswered)) or event.token:
                self._events.append(event)
        elif not self._may_be_answered:
            raise RemoteProtocolError("a reply to no request")
        elif not success:
            raise RequestFailed(
                "the server refused the shell or command; the user may not be allowed to run it"
            )
        else:
            self._may_be_answered = False

    def _on_output(self, payload: Buffer, stream: int) -> None:
        reader = WireReader(payload, 1)
        data = reader.string()
        reader.end()
        if self._answers:
            raise RemoteProtocolError("output before the replies to requests")
        self._may_be_answered = False
        if self._session is not None:
            self._deliver(self._session, data, stream)

    def _on_exit_status(self, payload: Buffer) -> None:
        status = msg.ExitStatus.decode(payload).status
        self._outbox.send(msg.ExitConfirmation())
        self.stage = Stage.CLIENT_OVER
        self.over = True
        if (session := self._session) is not None:
            number = session.number
            self._events.append(RequestReceived(number, requests.ExitStatus(status)))
            self._events.append(EofReceived(number))
            self._forget_session(session)

    def _on_agent_open(self, payload: Buffer) -> None:
        sender = msg.AgentOpen.decode(payload).sender
        if self._has_agent:
            self._offer(sender, "auth-agent@openssh.com", b"")
        else:
            self._outbox.send(msg.ChannelOpenFailure(sender))

    def _on_port_open(self, payload: Buffer) -> None:
        """Offer a connection to a port that we had forwarded; others are refused."""
        message = msg.PortOpen.decode(payload)
        origin = self._read_originator(message.originator)
        if (message.host, message.port) not in self._forwards:
            self._outbox.send(msg.ChannelOpenFailure(message.sender))
            return
        host = message.host.encode("utf-8", "surrogateescape")
        data = string(host) + u32(message.port) + origin + u32(0)
        self._offer(message.sender, "forwarded-tcpip", data)


def _command(request: Request) -> Message | None:
    """Return the message that starts the shell or command of ``request``, or None."""
    match request:
        case Shell():
            return msg.ExecShell()
        case Exec(command=command):
            return msg.ExecCmd(command)
        case Subsystem(name=name) if name in SUBSYSTEMS:
            return msg.ExecCmd(SUBSYSTEMS[name])
    return None


def _terminal(request: PtyRequest) -> msg.RequestPty:
    return msg.RequestPty(
        request.term,
        request.rows,
        request.columns,
        request.width,
        request.height,
        modes.from_ssh2(request.modes),
    )


def _address(data: bytes) -> tuple[str, int]:
    reader = WireReader(data)
    return reader.text(), reader.u32()
