"""Phases 4 and 5 of an SSH-1 server: one session, and forwarded connections.

Requests before the session are decided one at a time: no further packet is read until the request
is answered with SUCCESS or FAILURE. The exception is a shell or command: if it may run, its output
is the only answer, since clients treat SUCCESS as a protocol error there; if not, the answer is
FAILURE.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from nacre.errors import LocalProtocolError, RemoteProtocolError
from nacre.protocol import requests
from nacre.protocol.asks import (
    Answer,
    AskGlobalRequest,
    AskOpen,
    AskRequest,
    GlobalGranted,
    Granted,
)
from nacre.protocol.events import (
    ChannelClosed,
    ChannelOpened,
    EofReceived,
    GlobalRequestAnswered,
    RequestReceived,
)
from nacre.protocol.requests import (
    Exec,
    ExitSignal,
    OtherRequest,
    PtyRequest,
    Request,
    Shell,
    Subsystem,
    WindowChange,
)
from nacre.protocol.tcpip import AGENT_REQUEST
from nacre.ssh1 import messages as msg
from nacre.ssh1 import modes
from nacre.ssh1.channels import Channels, SSH1ChannelState, unknown_type, unsuited
from nacre.ssh1.messages import SSH1Msg
from nacre.ssh1.routes import Stage
from nacre.wire.codec import Buffer, WireReader, string, u8, u32
from nacre.wire.numbers import MAIN, STDERR
from nacre.wire.text import safe

_LISTEN = string(b"localhost")
_MODES = 4096
_SHORT = 1024
_PORTS = 65536
_STARTS = (Shell, Exec, Subsystem)
_SFTP = re.compile(
    rb"(test -x (\S*/sftp-server) && exec \2\n)*(PATH=[\w$:/.-]+; ?)?exec (\S*/)?sftp-server\n?"
)
"""Commands by which clients request SFTP: SSH-1 has no subsystems."""

_WITHOUT_WORD = (requests.XonXoff, requests.EndOfWrite, requests.Keepalive)
_OUTPUT = {MAIN: u8(SSH1Msg.SMSG_STDOUT_DATA), STDERR: u8(SSH1Msg.SMSG_STDERR_DATA)}


class SSH1ServerConnection(Channels):
    """See :class:`nacre.protocol.engine.ConnectionLayer`.

    :ivar stage: the present stage; see routes.py.
    :ivar over: the client has confirmed the exit status, and the connection can be closed.
    """

    stage = Stage.SERVER_PREPARING
    over = False
    _has_terminal = False
    _status_sent = False

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._forwards: dict[int, tuple[str, int]] = {}
        self._ending: Request | None = None

    def handlers(self) -> dict[int, Callable[[Buffer], None]]:
        """Return the handler of each message."""
        return {
            **super().handlers(),
            SSH1Msg.CMSG_REQUEST_PTY: self._on_pty,
            SSH1Msg.CMSG_WINDOW_SIZE: self._on_window_size,
            SSH1Msg.CMSG_EXEC_SHELL: self._on_shell,
            SSH1Msg.CMSG_EXEC_CMD: self._on_command,
            SSH1Msg.CMSG_STDIN_DATA: self._on_stdin,
            SSH1Msg.CMSG_EOF: self._on_eof,
            SSH1Msg.CMSG_EXIT_CONFIRMATION: self._on_exit_confirmation,
            SSH1Msg.CMSG_PORT_FORWARD_REQUEST: self._on_port_forward,
            SSH1Msg.CMSG_AGENT_REQUEST_FORWARDING: self._on_agent_request,
            SSH1Msg.CMSG_X11_REQUEST_FORWARDING: lambda payload: self.refuse(),
            SSH1Msg.PORT_OPEN: self._on_port_open,
        }

    def refuse(self) -> None:
        """Refuse a request."""
        self._outbox.send(msg.Failure())

    # --- the owner's calls ---

    def open_channel(self, channel_type: str, data: bytes = b"") -> int:
        """Ask the client to accept a connection; ``ChannelOpened`` or ``ChannelRefused`` follows.

        :raises LocalProtocolError: another type, a port without forwarding, too many channels.
        """
        if channel_type == "auth-agent@openssh.com":
            return self._request_channel(msg.AgentOpen)
        if channel_type != "forwarded-tcpip":
            raise unknown_type(channel_type)
        reader = WireReader(data)
        _, port, source = reader.text(), reader.u32(), reader.text()
        if port not in self._forwards:
            raise LocalProtocolError(f"the client did not request connections to port {port}")
        host, host_port = self._forwards[port]
        origin = self._originator(source)
        return self._request_channel(lambda number: msg.PortOpen(number, host, host_port, origin))

    def _running(self, channel: int) -> SSH1ChannelState | None:
        """Return the session if ``channel`` is its number, else None.

        :raises LocalProtocolError: the session accepts no data.
        """
        session = self._session
        if session is None or session.number != channel:
            return None
        if self.stage is not Stage.SERVER_SESSION or session.eof_sent:
            raise LocalProtocolError("the session accepts no data")
        return session

    def send_data(self, channel: int, data: Buffer, stream: int = MAIN) -> int:
        """Send as much of ``data`` as the outbox has room for; if not all, ``Writable`` follows.

        :raises LocalProtocolError: the channel accepts no data, or has no such stream.
        """
        if stream not in _OUTPUT or self._running(channel) is None:
            return super().send_data(channel, data, stream)
        return self._send_pieces(channel, _OUTPUT[stream], data)

    def send_eof(self, channel: int) -> None:
        """Announce that no more data follows; for a session, its exit status will.

        :raises LocalProtocolError: the channel is not open, or EOF was sent already.
        """
        if (session := self._running(channel)) is None:
            super().send_eof(channel)
        else:
            session.eof_sent = True

    def close_channel(self, channel: int) -> None:
        """Close our side. A session's exit status is sent once no forwarded channel is in use."""
        session = self._session
        if session is None or session.number != channel:
            super().close_channel(channel)
        elif self.stage is Stage.SERVER_PREPARING:
            self._forget_session(session)
        elif self.stage is Stage.SERVER_SESSION:
            self.stage = Stage.SERVER_OVER
            self._blocked.discard(channel)
            self._forget_unread(session, session.unread)
            self._channel_ended()

    def _forget_session(self, session: SSH1ChannelState) -> None:
        self._session = None
        self._events.append(ChannelClosed(session.number))
        self._forget_unread(session, session.unread)

    def _channel_ended(self) -> None:
        if self.stage is not Stage.SERVER_OVER or self._forwards_data or self._status_sent:
            return
        self._status_sent = True
        if isinstance(self._ending, requests.ExitStatus):
            self._outbox.send(msg.ExitStatus(self._ending.status))
            return
        if self._session is not None:
            self._forget_session(self._session)
        if isinstance(self._ending, ExitSignal):
            self._hang_up(f"signal {safe(self._ending.name, 64)} ended the command")
        else:
            self._hang_up("the session was closed")

    def send_request(self, channel: int, request: Request, *, want_reply: bool = True) -> int:
        """Send the end of the session, which has no answer. Requests that SSH-1 lacks are dropped.

        :raises LocalProtocolError: the channel is not open, or only clients send the request.
        """
        if self._find(channel) is None:
            raise LocalProtocolError(f"channel {channel} is not open")
        if isinstance(request, (requests.ExitStatus, ExitSignal)):
            self._ending = self._ending or request
        elif not isinstance(request, _WITHOUT_WORD):
            raise unsuited(request)
        return 0

    def send_global_request(self, name: str, data: bytes = b"", *, want_reply: bool = True) -> int:
        """Report that the client refused: a server of SSH-1 can't send global requests."""
        if not want_reply:
            return 0
        token = self._token()
        self._events.append(GlobalRequestAnswered(token, False, b""))
        return token

    # --- requests ---

    def _on_pty(self, payload: Buffer) -> None:
        message = msg.RequestPty.decode(payload)
        if (
            self._has_terminal
            or len(message.term) > self._limits.request_name
            or len(message.modes) > _MODES
        ):
            self.refuse()
            return
        self._request(
            PtyRequest(
                message.term,
                message.columns,
                message.rows,
                message.width,
                message.height,
                modes.to_ssh2(message.modes),
            )
        )

    def _on_shell(self, payload: Buffer) -> None:
        msg.ExecShell.decode(payload)
        self._request(Shell())

    def _on_command(self, payload: Buffer) -> None:
        command = msg.ExecCmd.decode(payload).command
        if len(command) > self._limits.command:
            self.refuse()
        elif len(command) <= _SHORT and _SFTP.fullmatch(command):
            # If the owner refuses the subsystem, it may grant the program.
            self._request(Subsystem("sftp"), otherwise=Exec(command))
        else:
            self._request(Exec(command))

    def _on_agent_request(self, payload: Buffer) -> None:
        self._request(OtherRequest(AGENT_REQUEST, b""))

    def _request(self, request: Request, otherwise: Request | None = None) -> None:
        """Ask the owner about the session, if there is none yet, then about ``request``.

        :param otherwise: the request to ask about if ``request`` is refused.
        """
        if self._session is not None:
            self._ask_request(self._session, request, otherwise)
            return
        if not self._limits.sessions:
            self.refuse()
            return
        session = SSH1ChannelState(self._number(), offered=True)

        def decided(answer: Answer) -> None:
            self.waiting = False
            if not isinstance(answer, Granted):
                self._session = None
                self.refuse()
                return
            session.offered, session.open = False, True
            self._events.append(ChannelOpened(session.number))
            self._ask_request(session, request, otherwise)

        self.waiting = True
        self._session = session
        ask = AskOpen(channel=session.number, channel_type="session", data=b"")
        self._asks.ask(ask, decided)

    def _ask_request(
        self, session: SSH1ChannelState, request: Request, otherwise: Request | None
    ) -> None:
        def decided(answer: Answer) -> None:
            self.waiting = False
            if not isinstance(answer, Granted):
                if otherwise is None:
                    self.refuse()
                else:
                    self._ask_request(session, otherwise, None)
            elif isinstance(request, _STARTS):
                self.stage = Stage.SERVER_SESSION
            else:
                self._has_terminal = self._has_terminal or isinstance(request, PtyRequest)
                self._outbox.send(msg.Success())

        self.waiting = True
        self._asks.ask(AskRequest(channel=session.number, request=request), decided)

    def _on_port_forward(self, payload: Buffer) -> None:
        """Ask whether to listen on a port of the loopback address; the owner may choose others."""
        message = msg.PortForwardRequest.decode(payload)
        if not 0 < message.port < _PORTS or message.port in self._forwards:
            self.refuse()
            return

        def decided(answer: Answer) -> None:
            self.waiting = False
            if isinstance(answer, GlobalGranted):
                self._forwards[message.port] = (message.host, message.host_port)
                self._outbox.send(msg.Success())
            else:
                self.refuse()

        self.waiting = True
        data = _LISTEN + u32(message.port)
        self._asks.ask(AskGlobalRequest(name="tcpip-forward", data=data), decided)

    def _on_port_open(self, payload: Buffer) -> None:
        message = msg.PortOpen.decode(payload)
        origin = self._read_originator(message.originator)
        host = message.host.encode("utf-8", "surrogateescape")
        data = string(host) + u32(message.port) + origin + u32(0)
        self._offer(message.sender, "direct-tcpip", data)

    # --- the session ---

    def _on_window_size(self, payload: Buffer) -> None:
        message = msg.WindowSize.decode(payload)
        if self._session is not None and self.stage is Stage.SERVER_SESSION:
            change = WindowChange(message.columns, message.rows, message.width, message.height)
            self._events.append(RequestReceived(self._session.number, change))

    def _on_stdin(self, payload: Buffer) -> None:
        reader = WireReader(payload, 1)
        data = reader.string()
        reader.end()
        if self._session is None or self.stage is not Stage.SERVER_SESSION:
            return
        if self._session.eof_received:
            raise RemoteProtocolError("data on the session after its EOF")
        self._deliver(self._session, data)

    def _on_eof(self, payload: Buffer) -> None:
        msg.Eof.decode(payload)
        if self._session is None or self.stage is not Stage.SERVER_SESSION:
            return
        if self._session.eof_received:
            raise RemoteProtocolError("a second EOF on the session")
        self._session.eof_received = True
        self._events.append(EofReceived(self._session.number))

    def _on_exit_confirmation(self, payload: Buffer) -> None:
        msg.ExitConfirmation.decode(payload)
        if not self._status_sent:
            raise RemoteProtocolError("the client confirms an exit status that was not sent")
        self.over = True
        if self._session is not None:
            self._forget_session(self._session)
