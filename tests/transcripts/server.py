"""nacre's server as the transcripts have it: it echoes a session's input, then exits with 7.

A forwarded connection is echoed as well. The subsystem ``sftp`` has one directory with one file. A
port that the client asks for gets a connection at once, which sends one line.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nacre.errors import DisconnectCode
from nacre.keys import load_public
from nacre.protocol.asks import (
    Answer,
    Ask,
    AskArithmetic,
    AskGlobalRequest,
    AskKeyboardInteractive,
    AskOpen,
    AskPassword,
    AskPublicKey,
    AskRequest,
    AskUser,
    Challenge,
    Denied,
    GlobalGranted,
    Granted,
    Prompt,
    UserRequirement,
)
from nacre.protocol.events import ChannelClosed, ChannelOpened, Data, EofReceived, Event, Writable
from nacre.protocol.options import ServerOptions
from nacre.protocol.requests import ExitStatus, Subsystem
from nacre.protocol.tcpip import FORWARDED, LISTEN, TCPIPChannel, TCPIPForward
from nacre.sftp.protocol.attributes import Attributes, Entry
from nacre.sftp.protocol.messages import (
    FXP,
    Close,
    FStat,
    LStat,
    Open,
    OpenDir,
    Read,
    ReadDir,
    RealPath,
    Stat,
)
from nacre.sftp.protocol.server import Call, SFTPServerProtocol
from nacre.ssh2.server import SSH2Server
from transcripts.conversation import (
    INPUT,
    LIMITS,
    PASSWORD,
    Conversation,
    describe,
    draw,
    from_text,
    offered,
)

DIRECTORY = Path(__file__).parent / "clients"


class ServerConversation(Conversation):
    """A server that talks to a recorded client.

    :param keys: the ``host`` key, private, and the ``user``'s public line.
    :param how: ``methods`` that log in, each a list; ``algorithms``; a ``banner``; ``rekey``:
        whether the server wants new keys when the first data comes.
    """

    def __init__(self, keys: dict[str, str], seed: int, how: dict[str, Any]) -> None:
        super().__init__(how)
        self._user_key, _ = load_public(keys["user"])
        self._kinds: dict[int, str] = {}
        self._at_end: set[int] = set()
        self._files: dict[int, Files] = {}
        self._rekeys = how.get("rekey", False)
        options = ServerOptions(
            host_keys=(from_text(keys["host"]),),
            software="nacre",
            algorithms=offered(how),
            limits=LIMITS,
        )
        self.engine = SSH2Server(options, random=draw(seed))
        self.engine.start(0.0)

    def _act(self, event: Event) -> None:
        if isinstance(event, AskArithmetic):
            self.engine.answer(event.ask_id, event.compute())
        elif isinstance(event, Ask):
            self.engine.answer(event.ask_id, self._answer(event))
        match event:
            case AskRequest(channel=channel, request=Subsystem()):
                self._files[channel] = Files(self._say)
                self._binary.add(channel)
            case AskGlobalRequest(name="tcpip-forward", data=data):
                self._connect_to(TCPIPForward.decode(data))
            case ChannelOpened(channel=channel) if self._kinds[channel] == FORWARDED:
                self._send(channel, INPUT)
                self.engine.connection.send_eof(channel)
            case Data(channel=channel):
                self._echo(channel, self._take(event))
            case EofReceived(channel=channel):
                self._at_end.add(channel)
                self._end(channel)
            case Writable(channel=channel):
                self._end(channel)
            case ChannelClosed(channel=channel) if self._kinds[channel] == FORWARDED:
                self.engine.disconnect(DisconnectCode.BY_APPLICATION, "closed")

    def _answer(self, ask: Ask) -> Answer:
        match ask:
            case AskUser():
                methods = tuple(frozenset(each) for each in self.how["methods"])
                return UserRequirement(methods, self.how.get("banner", ""))
            case AskPassword(password=password):
                return Granted() if password == PASSWORD else Denied()
            case AskPublicKey(key=key):
                return Granted() if key == self._user_key else Denied()
            case AskKeyboardInteractive(responses=None):
                return Challenge("", "", (Prompt("Password: ", False),))
            case AskKeyboardInteractive(responses=responses):
                return Granted() if responses == (PASSWORD,) else Denied()
            case AskOpen(channel=channel, channel_type=kind):
                self._say("open", channel, kind)
                self._kinds[channel] = kind
                return Granted()
            case AskRequest(channel=channel, request=request):
                self._say("request", channel, describe(request))
                return Granted()
            case AskGlobalRequest(name=name):
                self._say("global request", name)
                return GlobalGranted() if name == LISTEN else Denied()
        raise AssertionError(ask)

    def _connect_to(self, asked: TCPIPForward) -> None:
        """Open the channel of a connection to the port that the client asked for."""
        place = TCPIPChannel(asked.host, asked.port, "192.0.2.1", 4321)
        channel = self.engine.connection.open_channel(FORWARDED, place.encode())
        self._kinds[channel] = FORWARDED

    def _echo(self, channel: int, data: bytes) -> None:
        if self._rekeys:
            self._rekeys = False
            self.engine.rekey()
        if self._kinds[channel] == FORWARDED:
            return
        files = self._files.get(channel)
        self._send(channel, data if files is None else files.receive(data))

    def _end(self, channel: int) -> None:
        """Close a channel whose input ended, once all is sent."""
        if channel not in self._at_end or not self._drained(channel):
            return
        self._at_end.remove(channel)
        connection = self.engine.connection
        if self._kinds[channel] == "session":
            status = 0 if channel in self._files else 7
            if status:
                connection.send_data(channel, b"that was it\n", 1)
            connection.send_request(channel, ExitStatus(status))
        connection.close_channel(channel)


CONTENT = b"what the file has\n"
_TIME = 1_700_000_000
_FILES = {
    "/": Attributes(0, 0, 0, 0o40755, _TIME, _TIME),
    "/file": Attributes(len(CONTENT), 0, 0, 0o100644, _TIME, _TIME),
}


class Files:
    """What the subsystem ``sftp`` serves. It announces no extension: a new one changes nothing."""

    def __init__(self, say: Callable[..., None]) -> None:
        self._protocol = SFTPServerProtocol(extensions={}, highest=3)
        self._listed: set[str] = set()
        self._say = say

    def receive(self, data: bytes) -> bytes:
        """Take the client's bytes; return the answers."""
        self._protocol.receive(data)
        while (call := self._protocol.next_call()) is not None:
            self._do(call)
        return b"".join(self._protocol.data_to_send())

    def _do(self, call: Call) -> None:
        protocol, request = self._protocol, call.request
        self._say("sftp", FXP(request.NUMBER).name, getattr(request, "path", ""))
        match request:
            case RealPath(path=path):
                protocol.send_path(call.id, "/" + path.strip("/."))
            case Stat(path=path) | LStat(path=path):
                self._found(call, path, lambda file: protocol.send_attributes(call.id, file))
            case FStat():
                protocol.send_attributes(call.id, _FILES["/file"])
            case Open(path=path) | OpenDir(path=path):
                self._found(call, path, lambda _: protocol.send_handle(call.id, path))
            case Read(offset=offset, length=length):
                protocol.send_data(call.id, CONTENT[offset : offset + length])
            case ReadDir():
                path = str(call.files[0])
                entries = [Entry("file", "file", _FILES["/file"])]
                protocol.send_names(call.id, [] if path in self._listed else entries)
                self._listed.add(path)
            case Close():
                protocol.send_ok(call.id)
            case _:
                protocol.send_error(call.id, PermissionError(errno.EACCES, "read only"))

    def _found(self, call: Call, path: str, answer: Callable[[Attributes], None]) -> None:
        if (file := _FILES.get(f"/{path.strip('/')}")) is not None:
            answer(file)
        else:
            self._protocol.send_error(call.id, FileNotFoundError(errno.ENOENT, path))
