"""Stand-ins for the parts of a server that a test of one module does not need."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from nacre.aio.channel import Sink
from nacre.aio.versions import server_engines
from nacre.aio.waiting import Gate
from nacre.errors import ChannelOpenFailed, DisconnectCode, NacreError
from nacre.protocol.asks import Answer
from nacre.protocol.options import ServerOptions
from nacre.protocol.requests import Request
from nacre.server.peer import ServerConnection
from nacre.server.session import Session
from nacre.server.x11 import ForwardedDisplay
from nacre.testing import host_key


class RecordingConnection(ServerConnection):
    """A connection without a client that notes what the tested code does to it."""

    def __init__(self) -> None:
        self.records: list[dict[str, object]] = []
        self.answers: dict[int, Answer] = {}
        self.failures: list[tuple[NacreError, DisconnectCode, str]] = []
        engine = server_engines((2,))(ServerOptions(host_keys=(host_key(),)))
        super().__init__(engine, 7, self._note, keepalive=None, keepalive_count=3)
        self.peer = ("192.0.2.1", 40000)

    def _note(self, record: Mapping[str, object]) -> None:
        self.records.append(dict(record))

    def answer(self, ask_id: int, answer: Answer) -> None:
        assert ask_id not in self.answers, "answered twice"
        self.answers[ask_id] = answer

    def fail(self, error: NacreError, code: DisconnectCode, description: str) -> None:
        self.failures.append((error, code, description))

    def open_channel(self, channel_type: str, data: bytes = b"") -> Any:
        raise ChannelOpenFailed(1, f"no {channel_type} here")

    def recorded(self, event: str) -> list[dict[str, object]]:
        """Return the records of one event, without the fields that every record has."""
        common = ("event", "connection", "peer")
        return [
            {name: value for name, value in record.items() if name not in common}
            for record in self.records
            if record["event"] == event
        ]

    async def idle(self) -> None:
        """Return when no task of the connection is left."""
        async with asyncio.timeout(30):
            while self._tasks:
                await asyncio.wait(set(self._tasks))


class FakeChannel:
    """A session's channel that notes requests and data."""

    number = 3

    def __init__(self) -> None:
        self.sinks: dict[int, Sink] = {}
        self.on_request: Callable[[Request], None] = lambda request: None
        self.on_change: Callable[[], None] = lambda: None
        self.before_write: list[Callable[[], None]] = []
        self.changed = Gate()
        self.closed = self.closing = self.takes_no_data = False
        self.requests: list[Request] = []
        self.ended: list[int] = []

    def request(self, request: Request) -> None:
        self.requests.append(request)

    def send_eof(self, stream: int) -> None:
        self.ended.append(stream)

    def adjust_window(self, count: int) -> None:
        """Take no notice."""

    def close(self) -> None:
        self.closing = True

    def gone(self) -> None:
        """Do what the real one does when both sides have closed it."""
        self.closed = True
        for sink in self.sinks.values():
            sink.end()
        self.on_change()
        self.changed.wake()


class FakeHost:
    """What serves a session: grants what ``grants`` has, by the request's name."""

    def __init__(self) -> None:
        self.grants: set[str] = {"shell", "exec", "subsystem", "pty-req"}
        self.asked: list[Request] = []
        self.agent = False
        self.displays: list[ForwardedDisplay] = []
        self.welcomed = asyncio.Event()
        self.welcomed.set()
        self.variables = {"LANG"}
        self.status: int | BaseException | None = 0
        self.served = asyncio.Event()
        self.release = asyncio.Event()
        self.tasks: list[asyncio.Task[None]] = []
        self.ended: list[int] = []

    async def wait_welcomed(self) -> None:
        await self.welcomed.wait()

    async def allows(self, session: Session, request: Request) -> bool:
        self.asked.append(request)
        return request.NAME in self.grants

    async def allows_agent(self, session: Session) -> bool:
        return self.agent

    async def display(self, session: Session, data: bytes) -> ForwardedDisplay | None:
        return self.displays.pop(0) if self.displays else None

    def accepts_variable(self, name: str) -> bool:
        return name in self.variables

    def serves(self, request: Request) -> bool:
        return request.NAME == "exec"

    async def serve(self, session: Session) -> int | None:
        self.served.set()
        await self.release.wait()
        if isinstance(self.status, BaseException):
            raise self.status
        return self.status

    def run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        self.tasks.append(asyncio.get_running_loop().create_task(work))
        return self.tasks[-1]

    def session_ended(self, number: int) -> None:
        self.ended.append(number)
