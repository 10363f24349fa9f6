"""TCP/IP forwarding at the server: what is refused before anything is opened."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from nacre.aio.dial import HostNotFound, loops_threads
from nacre.errors import ConnectFailed
from nacre.limits import Limits
from nacre.protocol.asks import Answer, AskOpen, Denied, GlobalGranted, OpenRefused
from nacre.protocol.tcpip import (
    CANCEL,
    DIRECT,
    LISTEN,
    AllocatedPort,
    TCPIPChannel,
    TCPIPForward,
)
from nacre.server.admission import refusals
from nacre.server.forwarding import kinds
from nacre.server.forwarding.forwards import ServerForwards
from nacre.server.policy import Policy
from nacre.server.questions import Questions
from nacre.wire.numbers import OpenFailure
from parties import client_for, until
from server.stand_ins import RecordingConnection


class Generous(Policy):
    """Allows everything, on the loopback, and notes the questions."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self.address: str | None = "127.0.0.1"

    def direct_connection(self, host: str, port: int, connection: object) -> bool:
        self.asked.append((host, port))
        return self.address is not None

    def remote_listen(self, host: str, port: int, connection: object) -> str | None:
        self.asked.append((host, port))
        return self.address


class Stage:
    def __init__(self, listeners: int = 2, policy: Generous | None = None) -> None:
        self.connection = RecordingConnection()
        self.policy = policy or Generous()
        questions = Questions(self.connection, self.policy)
        limits = Limits(listeners=listeners, opening=3)
        self.forwards = ServerForwards(self.connection, questions, loops_threads, limits)

    async def open(self, data: bytes, ask_id: int = 1) -> Answer:
        ask = AskOpen(channel=0, channel_type=DIRECT, data=data)
        ask.ask_id = ask_id
        await self.forwards.open(ask)
        return self.connection.answers[ask_id]

    async def listen(self, host: str = "", port: int = 0) -> Answer:
        return await self.forwards.decide(LISTEN, TCPIPForward(host, port).encode())

    async def cancel(self, host: str, port: int) -> Answer:
        return await self.forwards.decide(CANCEL, TCPIPForward(host, port).encode())


def channel_to(host: str, port: int) -> bytes:
    return TCPIPChannel(host, port, "127.0.0.1", 1).encode()


def allocated(answer: Answer) -> int:
    assert isinstance(answer, GlobalGranted)
    return AllocatedPort.decode(answer.data).port


@pytest.fixture
async def stage() -> Stage:
    return Stage()


@pytest.mark.parametrize("data", [b"", b"\0\0\0\1a", b"\xff" * 8])
async def test_malformed_data_is_refused_without_asking(stage: Stage, data: bytes) -> None:
    assert await stage.open(data) == OpenRefused(description="malformed")
    for name in (LISTEN, CANCEL):
        assert await stage.forwards.decide(name, data[:3]) == Denied("malformed")
    assert stage.policy.asked == []


@pytest.mark.parametrize(
    ("host", "port"),
    [("", 80), ("a b", 80), ("a\0.b", 80), ("h" * 256, 80), ("h", 0), ("h", 1 << 16)],
)
async def test_what_is_no_host_or_port_is_refused_without_asking(
    stage: Stage, host: str, port: int
) -> None:
    answer = await stage.open(channel_to(host, port))
    assert answer == OpenRefused(description="not allowed")
    assert stage.policy.asked == []
    assert stage.connection.recorded("forward")[0]["granted"] is False


async def test_so_many_connections_are_made_at_once_and_others_wait(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, begun = asyncio.Event(), list[str]()

    async def dial(host: str, port: int, **_: object) -> socket.socket:
        begun.append(host)
        await gate.wait()
        raise HostNotFound(host, OSError("no such name"))

    monkeypatch.setattr(kinds, "dial", dial)
    opens = [asyncio.ensure_future(stage.open(channel_to(f"h{n}", 1), n)) for n in range(8)]
    for _ in range(20):
        await asyncio.sleep(0)
    assert begun == ["h0", "h1", "h2"]
    gate.set()
    await asyncio.gather(*opens)
    assert begun == [f"h{n}" for n in range(8)]


async def test_a_policy_that_refuses_is_told_the_destination(stage: Stage) -> None:
    stage.policy.address = None
    assert await stage.open(channel_to("db.example", 5432)) == OpenRefused(
        description="not allowed"
    )
    assert stage.policy.asked == [("db.example", 5432)]
    assert stage.connection.recorded("forward") == [{"to": "db.example:5432", "granted": False}]


async def test_a_flood_of_refused_destinations_is_two_lines(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "QUIET", 0.01)
    stage.policy.address = None
    for number in range(1, 101):
        await stage.open(channel_to("db.example", 5432), number)
    await until(lambda: sum(map(weight, stage.connection.recorded("forward"))) == 100)
    assert len(stage.connection.recorded("forward")) < 50


def weight(record: dict[str, object]) -> int:
    assert (record["to"], record["granted"]) == ("db.example:5432", False)
    return int(str(record.get("channels", 1)))


async def test_a_destination_that_does_not_answer_is_named_in_the_refusal(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(host: str, port: int, **options: Any) -> socket.socket:
        raise ConnectFailed(f"no route to {host}")

    monkeypatch.setattr(kinds, "dial", fail)
    answer = await stage.open(channel_to("far.example", 1))
    assert answer == OpenRefused(OpenFailure.CONNECT_FAILED, "no route to far.example")


async def test_a_port_that_the_system_chose_is_returned_and_can_be_cancelled(stage: Stage) -> None:
    port = allocated(await stage.listen("localhost"))
    with socket.create_connection(("127.0.0.1", port), timeout=30):
        pass
    assert await stage.cancel("localhost", port) == GlobalGranted()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=30)
    assert await stage.cancel("localhost", port) == Denied("no such listener")
    await stage.connection.idle()


async def test_a_port_in_use_is_refused_with_the_systems_reason(stage: Stage) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        answer = await stage.listen("", port)
    assert isinstance(answer, Denied)
    assert "in use" in answer.reason
    (record,) = stage.connection.recorded("forward")
    assert (record["listen"], record["granted"]) == (f":{port}", False)


@pytest.mark.parametrize(
    ("host", "port", "reason"),
    [("a\nb", 0, "no such host"), ("", 1 << 16, "no such port"), ("*", 0, "not allowed")],
)
async def test_a_listener_is_refused_with_its_reason(
    stage: Stage, host: str, port: int, reason: str
) -> None:
    stage.policy.address = None
    assert await stage.listen(host, port) == Denied(reason)


async def test_the_number_of_listeners_is_bounded_and_a_cancel_makes_room(stage: Stage) -> None:
    first, second = [allocated(await stage.listen()) for _ in range(2)]
    assert await stage.listen() == Denied("too many ports")
    assert await stage.cancel("", first) == GlobalGranted()
    third = allocated(await stage.listen())
    for port in (second, third):
        assert await stage.cancel("", port) == GlobalGranted()
    await stage.connection.idle()


async def test_requests_are_carried_out_in_their_order(stage: Stage) -> None:
    """A cancel that overtook its listen would leave the port open."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    listen, cancel = (
        asyncio.create_task(stage.listen("", port)),
        asyncio.create_task(stage.cancel("", port)),
    )
    async with asyncio.timeout(30):
        assert await asyncio.gather(listen, cancel) == [GlobalGranted(), GlobalGranted()]
    await stage.connection.idle()


async def test_a_channel_is_opened_after_what_was_requested_before_it() -> None:
    """It may lead there: OpenSSH's client sends both at once."""
    begun, gate = asyncio.Event(), asyncio.Event()

    class Slow(Generous):
        async def remote_listen(self, host: str, port: int, connection: object) -> str | None:  # type: ignore[override]
            begun.set()
            await gate.wait()
            return super().remote_listen(host, port, connection)

    stage = Stage(policy=Slow())
    stage.policy.address = None
    listen = asyncio.create_task(stage.listen("localhost", 81))
    opening = asyncio.create_task(stage.open(channel_to("127.0.0.1", 81)))
    async with asyncio.timeout(30):
        await begun.wait()
        await asyncio.sleep(0)
        assert stage.policy.asked == []
        gate.set()
        await asyncio.gather(listen, opening)
    assert stage.policy.asked == [("localhost", 81), ("127.0.0.1", 81)]


async def test_a_connection_that_the_client_refuses_is_closed_and_recorded(stage: Stage) -> None:
    port = allocated(await stage.listen())
    async with asyncio.timeout(30):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
        await stage.cancel("", port)
    await stage.connection.idle()
    assert stage.connection.recorded("forward")[-1] == {
        "channel": "forwarded-tcpip",
        "refused": "the peer refused the channel: no forwarded-tcpip here",
    }


class Metered(Generous):
    """Has the data of a connection counted."""

    def __init__(self, counted: Counter[str]) -> None:
        super().__init__()
        self.meter = CountingMeter(counted)

    def password(self, user: str, password: str, connection: object) -> bool:
        return True

    def direct_connection(self, host: str, port: int, connection: Any) -> bool:
        connection.meter = self.meter
        return True

    def remote_listen(self, host: str, port: int, connection: Any) -> str | None:
        connection.meter = self.meter
        return "127.0.0.1"


class CountingMeter:
    def __init__(self, counted: Counter[str]) -> None:
        self.counted = counted

    def take(self, way: str, size: int) -> bool:
        self.counted[way] += size
        return True

    def enter(self) -> None:
        self.counted["entered"] += 1

    def leave(self) -> None:
        self.counted["left"] += 1


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(await reader.readexactly(3) + b"!")
    writer.close()
    await writer.wait_closed()


async def test_a_meter_counts_what_is_forwarded_either_way(make_server: Callable[..., Any]) -> None:
    counted = Counter[str]()
    server = await make_server(policy=Metered(counted))
    async with (
        asyncio.timeout(30),
        await asyncio.start_server(echo, "127.0.0.1", 0) as there,
        client_for(server) as ssh,
    ):
        port = there.sockets[0].getsockname()[1]
        async with ssh.open_connection("127.0.0.1", port) as near:
            await near.writer.write(b"abc")
            assert await near.reader.read() == b"abc!"
        assert (counted["up"], counted["down"], counted["entered"]) == (3, 4, 1)
        async with ssh.forward_remote("127.0.0.1", port) as listener:
            reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
            writer.write(b"abc")
            assert await reader.read() == b"abc!"
            writer.close()
            await writer.wait_closed()
        # The client has sent what the echo said.
        assert (counted["up"], counted["down"], counted["entered"]) == (3 + 4, 4 + 3, 2)
    await until(lambda: counted["left"] == 2)
