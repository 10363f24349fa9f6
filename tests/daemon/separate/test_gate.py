"""A gate: what it tells the monitor of a connection, and what it can't do."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Coroutine
from types import SimpleNamespace
from typing import Any, cast

import pytest

from daemon.sandbox.children import in_a_child
from nacre.aio.driver import Driver
from nacre.daemon.sandbox.filter import has_filters
from nacre.daemon.sandbox.landlock import version
from nacre.daemon.separate.gate import GateServer, confine
from nacre.daemon.separate.link import pair
from nacre.daemon.separate.messages import (
    FROM_GATES,
    Answered,
    Arrived,
    DropVisit,
    HandOver,
    Left,
    NameUser,
    packed,
)
from nacre.protocol.asks import Answer, Denied, Granted
from nacre.protocol.frozen import FrozenServer
from nacre.server.serving import Serving
from nacre.wire.message import Message


class Client(Serving):
    """What a gate needs of a connection."""

    def __init__(self) -> None:
        self.id = 1
        self.sock, self.other = socket.socketpair()
        transport = SimpleNamespace(get_extra_info=lambda _: self.sock)
        self.driver = cast(Driver, SimpleNamespace(transport=transport))
        self.tasks: list[asyncio.Task[None]] = []
        self.failures: list[str] = []

    def spawn(self, work: Coroutine[Any, Any, None], *, holds: bool = False) -> asyncio.Task[None]:
        self.tasks.append(asyncio.get_running_loop().create_task(work))
        return self.tasks[-1]

    def fail(self, error: Exception, code: int, description: str) -> None:
        self.failures.append(description)

    def end(self) -> None:
        for task in self.tasks:
            task.cancel()


class Monitor:
    """A gate with one client, and the monitor's end of its link."""

    def __init__(self) -> None:
        line, self.raw = pair()
        self.raw.settimeout(30)
        self.gate = GateServer(line)
        self.client = Client()
        self.answers: list[tuple[Answer, bool]] = []

    def ask(self) -> int:
        """Have a question asked."""
        visit = self.gate.number(self.client)
        self.gate.ask(visit, lambda ask: NameUser(visit, ask, "alice"), self._take)
        return visit

    def _take(self, answer: Answer, at_once: bool) -> None:
        self.answers.append((answer, at_once))

    def heard(self) -> Message:
        size = int.from_bytes(self.raw.recv(4, socket.MSG_WAITALL))
        data = self.raw.recv(size, socket.MSG_WAITALL)
        return FROM_GATES[data[0]].decode(data)

    async def say(self, message: Message) -> None:
        """Send a message, and return when the gate has read it."""
        data = message.encode()
        self.raw.sendall(len(data).to_bytes(4) + data)
        for _ in range(3):
            await asyncio.sleep(0)

    async def end(self) -> None:
        self.client.end()
        for _ in range(3):
            await asyncio.sleep(0)


@pytest.fixture
async def monitor() -> AsyncIterator[Monitor]:
    monitor = Monitor()
    yield monitor
    await monitor.end()
    monitor.gate._link.close()
    for sock in (monitor.raw, monitor.client.sock, monitor.client.other):
        sock.close()


async def test_the_monitor_learns_of_a_connection_with_its_first_question(
    monitor: Monitor,
) -> None:
    visit = monitor.ask()
    data, descriptors, _, _ = socket.recv_fds(monitor.raw, 4, 4)
    assert os.path.sameopenfile(descriptors[0], monitor.client.sock.fileno())
    os.close(descriptors[0])
    assert monitor.raw.recv(int.from_bytes(data)) == Arrived(visit).encode()
    assert monitor.heard() == NameUser(visit, 1, "alice")
    assert monitor.ask() == visit
    assert monitor.heard() == NameUser(visit, 2, "alice")


@pytest.mark.parametrize("begun", [True, False])
async def test_the_monitor_learns_that_a_connection_is_over(monitor: Monitor, begun: bool) -> None:
    """A client may leave before anything else has happened."""
    visit = monitor.ask()
    if begun:
        await asyncio.sleep(0)
    await monitor.end()
    heard = [monitor.heard(), monitor.heard(), await asyncio.to_thread(monitor.heard)]
    assert heard[-1] == Left(visit)


async def test_the_monitor_has_a_connection_that_was_handed_over(monitor: Monitor) -> None:
    """It is not told that the gate has left it."""
    visit = monitor.ask()
    frozen = SimpleNamespace(encode=lambda: b"state")
    await monitor.gate._hand_over(monitor.client, cast(FrozenServer, frozen), monitor.client.sock)
    await monitor.end()
    monitor.gate._link.close()
    assert [monitor.heard() for _ in range(3)][-1] == HandOver(visit, b"state")
    assert monitor.raw.recv(1) == b""


async def test_what_a_client_who_has_left_asked_is_forgotten(monitor: Monitor) -> None:
    visit = monitor.ask()
    await monitor.end()
    assert monitor.gate._asked == {}
    await monitor.say(Answered(visit, 1, False, packed(Granted())))
    assert monitor.answers == []


async def test_each_question_has_its_own_answer(monitor: Monitor) -> None:
    visit = monitor.ask()
    await monitor.say(Answered(visit, 1, False, packed(Denied("no"))))
    monitor.ask()
    for number in (1, 7, 2, 2):
        await monitor.say(Answered(visit, number, True, packed(Granted())))
    await monitor.say(Answered(visit + 1, 2, False, packed(Granted())))
    assert monitor.answers == [(Denied("no"), False), (Granted(), True)]


async def test_a_client_is_ended_with_the_reason_of_the_monitor(monitor: Monitor) -> None:
    visit = monitor.ask()
    await monitor.say(DropVisit(visit + 1, "who has left"))
    await monitor.say(DropVisit(visit, "not now"))
    assert monitor.client.failures == ["not now"]


# --- what it can't do ---


def reaches_nothing() -> int:
    """Return 0 if this process reaches no file, socket or other process."""
    for attempt in (
        lambda: os.listdir("/"),
        lambda: os.listdir("/etc"),
        lambda: os.stat("/etc/passwd").st_mode and os.open("/etc/passwd", os.O_RDONLY),
        lambda: os.open("/made", os.O_CREAT | os.O_WRONLY),
        lambda: socket.socket(),
        lambda: os.kill(os.getppid(), 0),
        lambda: os.execv("/bin/true", ["true"]),
    ):
        try:
            attempt()
        except OSError:
            continue
        return 1
    return 0


@pytest.mark.skipif(not has_filters() or not version(), reason="this kernel lacks sandboxes")
def test_a_gate_of_a_server_without_rights_reaches_nothing() -> None:
    def attempt() -> int:
        confine(None)
        return reaches_nothing()

    assert in_a_child(attempt) == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another account")
@pytest.mark.skipif(not has_filters(), reason="this kernel has no seccomp(2)")
def test_a_gate_of_root_has_another_account_and_an_empty_root() -> None:
    def attempt() -> int:
        confine((65534, 65533))
        assert os.getresuid() == (65534,) * 3
        assert os.getresgid() == (65533,) * 3
        assert os.getgroups() == []
        try:
            os.setuid(0)
        except OSError:
            return reaches_nothing()
        return 2

    before = set(os.listdir("/tmp"))
    assert in_a_child(attempt) == 0
    # The directory that was its root is gone.
    assert not [name for name in set(os.listdir("/tmp")) - before if name.startswith("nacre-gate")]
