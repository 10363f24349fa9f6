"""nacre's client as the transcripts have it: a command that exits with 7, or a file read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from nacre.errors import AuthenticationFailed, DisconnectCode, HostKeyUnknown
from nacre.keys import load_public
from nacre.protocol.asks import (
    Answer,
    Ask,
    AskArithmetic,
    AskAuthentication,
    AskHostKey,
    AskPrompts,
    AskSignature,
    GiveUp,
    Granted,
    HostKeyRefused,
    Responses,
    Signature,
    TryKeyboardInteractive,
    TryPassword,
    TryPublicKey,
)
from nacre.protocol.events import (
    Authenticated,
    ChannelClosed,
    ChannelOpened,
    ChannelRefused,
    Data,
    Event,
    KexDone,
    RequestAnswered,
)
from nacre.protocol.options import ClientOptions
from nacre.protocol.requests import Env, Exec, PtyRequest, Subsystem, WindowChange
from nacre.protocol.tcpip import DIRECT, TCPIPChannel
from nacre.sftp.protocol.client import SFTPClientProtocol
from nacre.sftp.protocol.messages import Close, Open, OpenFlag, RealPath
from nacre.ssh2.client import SSH2Client
from transcripts.conversation import (
    INPUT,
    LIMITS,
    PASSWORD,
    Conversation,
    draw,
    from_text,
    offered,
)

DIRECTORY = Path(__file__).parent / "servers"

COMMAND = b"cat; echo wrong >&2; exit 7"
AT_A_TERMINAL = b"stty size; read line; stty size; exit 7"


class ClientConversation(Conversation):
    """A client that talks to a recorded server.

    :param keys: the ``user``'s key, private, and the ``host``'s public line.
    :param how: ``user``; ``ways`` to log in, one after the other; ``algorithms``; ``does``:
        ``exec``, ``terminal``, ``rekey``, ``sftp`` (which reads ``file``) or ``tcpip`` (to
        ``port``).
    """

    def __init__(self, keys: dict[str, str], seed: int, how: dict[str, Any]) -> None:
        super().__init__(how)
        self._host_key, _ = load_public(keys["host"])
        self._user_key = from_text(keys["user"])
        self._ways = list(how["ways"])
        self._does = how.get("does", "exec")
        self._files = _Reader(how["file"], self._say) if self._does == "sftp" else None
        self._reacted = False
        options = ClientOptions(
            user=how["user"], software="nacre", algorithms=offered(how), limits=LIMITS
        )
        self.engine = SSH2Client(options, random=draw(seed))
        self.engine.start(0.0)

    def _act(self, event: Event) -> None:
        if isinstance(event, AskArithmetic):
            self.engine.answer(event.ask_id, event.compute())
        elif isinstance(event, Ask):
            self.engine.answer(event.ask_id, self._answer(event))
        match event:
            case Authenticated():
                self._open()
            case ChannelOpened(channel=channel):
                self._start(channel)
            case RequestAnswered(channel=channel):
                self._answered(channel)
            case KexDone(first=False):
                self.engine.connection.send_eof(0)
            case Data(channel=channel):
                self._read(channel, self._take(event))
            case ChannelClosed() | ChannelRefused():
                self.engine.disconnect(DisconnectCode.BY_APPLICATION, "closed")

    def _answer(self, ask: Ask) -> Answer:
        match ask:
            case AskHostKey(key=key):
                no = HostKeyRefused(HostKeyUnknown("another host key"))
                return Granted() if key == self._host_key else no
            case AskAuthentication():
                return self._try(self._ways.pop(0) if self._ways else "")
            case AskSignature(data=data, algorithm=algorithm):
                return Signature(self._user_key.sign(data, algorithm))
            case AskPrompts(prompts=prompts):
                self._say("prompts", *(prompt.text.strip() for prompt in prompts))
                return Responses((PASSWORD,) * len(prompts))
        raise AssertionError(ask)

    def _try(self, way: str) -> Answer:
        match way:
            case "key":
                return TryPublicKey(self._user_key.public, self._algorithms)
            case "signed key":
                return TryPublicKey(self._user_key.public, self._algorithms, signed=True)
            case "keyboard-interactive":
                return TryKeyboardInteractive()
            case "password":
                return TryPassword(PASSWORD)
            case "":
                return GiveUp(AuthenticationFailed("no way is left"))
        return TryPassword(way)

    @property
    def _algorithms(self) -> tuple[str, ...]:
        allowed = offered(self.how).signatures
        return tuple(n for n in self._user_key.public.signature_algorithms if n in allowed)

    def _open(self) -> None:
        connection = self.engine.connection
        if self._does == "tcpip":
            place = TCPIPChannel("127.0.0.1", self.how["port"], "192.0.2.1", 4321)
            connection.open_channel(DIRECT, place.encode())
        else:
            connection.open_channel("session")

    def _start(self, channel: int) -> None:
        connection = self.engine.connection
        match self._does:
            case "terminal":
                modes = b"\x35\0\0\0\0\0"  # ECHO off, and the end
                connection.send_request(channel, PtyRequest("xterm", 80, 24, 0, 0, modes))
                connection.send_request(channel, Exec(AT_A_TERMINAL))
            case "sftp":
                self._binary.add(channel)
                connection.send_request(channel, Subsystem("sftp"))
            case "tcpip":
                self._send(channel, INPUT)
                connection.send_eof(channel)
            case does:
                connection.send_request(channel, Env("LANG", "C"), want_reply=False)
                connection.send_request(channel, Exec(COMMAND))
                self._send(channel, INPUT)
                if does == "exec":
                    connection.send_eof(channel)

    def _answered(self, channel: int) -> None:
        if self._files is not None:
            self._send(channel, self._files.receive(b""))

    def _read(self, channel: int, data: bytes) -> None:
        connection = self.engine.connection
        first, self._reacted = not self._reacted, True
        if self._files is not None:
            self._send(channel, self._files.receive(data))
            if self._files.done:
                connection.send_eof(channel)
        elif self._does == "rekey" and first:
            self.engine.rekey()
        elif self._does == "terminal" and first:
            connection.send_request(channel, WindowChange(101, 33, 0, 0), want_reply=False)
            self._send(channel, b"\n")


class _Reader:
    """Reads one file over SFTP, one request after the other."""

    def __init__(self, path: str, say: Callable[..., None]) -> None:
        self._protocol = SFTPClientProtocol()
        self._path = path
        self._say = say
        self._handle = b""
        self.done = False

    def receive(self, data: bytes) -> bytes:
        """Take the server's bytes; return the requests that follow."""
        was_ready = self._protocol.ready
        results = self._protocol.receive(data) if data else []
        if self._protocol.ready and not was_ready:
            self._protocol.send(RealPath(self._path))
        for _, result in results:
            self._next(result)
        return b"".join(self._protocol.data_to_send())

    def _next(self, result: object) -> None:
        protocol = self._protocol
        match result:
            case str():
                self._say("sftp path", result)
                protocol.send(Open(result, OpenFlag.READ))
            case bytes():
                self._handle = result
                protocol.send_read(self._handle, 0, 4096)
            case list():
                self._say("sftp data", b"".join(result))
                protocol.send(Close(self._handle))
            case None:
                self.done = True
            case _:
                raise AssertionError(result)
