"""Whatever fails, and wherever a task is cancelled: nobody hangs, nothing is left."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

import nacre
from nacre.aio.dial import dial
from nacre.aio.driver import Driver
from nacre.protocol.asks import Granted
from nacre.protocol.events import ChannelOpened
from parties import client_for, until


async def cancelled_after(steps: int, work: Coroutine[Any, Any, object]) -> bool:
    """Cancel ``work`` after so many turns of the loop; True when it was done before."""
    task = asyncio.create_task(work)
    for _ in range(steps):
        if task.done():
            break
        await asyncio.sleep(0)
    done = task.done()
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled() and (error := task.exception()) is not None:
        raise error
    return done


async def at_every_step(work: Callable[[], Coroutine[Any, Any, object]]) -> int:
    """Cancel ``work`` after 0, 1, 2 … turns, until it is faster; how many there were."""
    for steps in range(2000):
        if await cancelled_after(steps, work()):
            return steps
    raise AssertionError("it never ended")


async def test_connect_cancelled_anywhere_leaves_nothing(
    server: nacre.Server, client: Callable[..., Any]
) -> None:
    async def work() -> None:
        async with client():
            pass

    assert await at_every_step(work) > 10
    await until(lambda: not server.connections)


async def test_run_cancelled_anywhere_leaves_the_connection_usable(
    ssh: nacre.Connection, server: nacre.Server
) -> None:
    data = bytes(300_000)

    async def work() -> None:
        assert len((await ssh.run("cat", input=data, timeout=10)).stdout) == len(data)

    assert await at_every_step(work) > 5
    await until(lambda: not ssh._channels and not server.connections[0].sessions)
    assert (await ssh.run("exit 4")).exit_status == 4


async def test_process_cancelled_anywhere_leaves_no_channel(
    ssh: nacre.Connection, server: nacre.Server
) -> None:
    async def work() -> None:
        async with ssh.process("cat", term="xterm", env={"LC_ALL": "C"}) as process:
            await process.stdin.write(b"line\n")
            assert await process.stdout.readline() == b"line\n"
            await process.stdin.drain()

    assert await at_every_step(work) > 5
    await until(lambda: not ssh._channels and not server.connections[0].sessions)
    assert (await ssh.run("exit 4")).exit_status == 4


async def test_listen_cancelled_anywhere_leaves_nothing(host_key: nacre.PrivateKey) -> None:
    async def handler(session: nacre.Session) -> None:
        pass

    async def work() -> None:
        listening = nacre.listen(host_keys=[host_key], policy=nacre.Policy(), handler=handler)
        async with listening:
            pass

    assert await at_every_step(work) > 1


async def test_a_connection_that_is_lost_wakes_everybody(
    ssh: nacre.Connection, server: nacre.Server
) -> None:
    process = await ssh.process("cat")
    stuck = await ssh.process("hang")
    waiters = [
        asyncio.create_task(work)
        for work in (
            process.stdout.read(),
            process.stderr.readline(),
            process.wait(),
            process.wait_closed(),
            stuck.stdin.write(bytes(100_000_000)),
            stuck.send_break(),
            ssh.run("hang"),
            ssh.keepalive(),
            ssh.wait_closed(),
        )
    ]
    for _ in range(5):
        await asyncio.sleep(0)
    lost = server.connections[0]
    assert lost.driver.transport is not None
    lost.driver.transport.abort()
    async with asyncio.timeout(30):
        results = await asyncio.gather(*waiters, return_exceptions=True)
    kinds = [type(result) for result in results]
    lost_kind, none = nacre.ConnectionLost, type(None)
    assert kinds[:3] == [lost_kind] * 3
    assert kinds[3] is none
    assert kinds[4:8] == [lost_kind, kinds[5], lost_kind, kinds[7]]
    assert kinds[5] in (lost_kind, nacre.RequestFailed)
    assert kinds[7] in (lost_kind, float)
    assert kinds[8] is none
    with pytest.raises(nacre.ConnectionLost):
        await ssh.process("cat")


@pytest.mark.parametrize("role", ["client", "server"])
async def test_a_link_that_fails_after_n_operations(
    server: nacre.Server,
    client: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    role: str,
) -> None:
    """After any receive of either side the transport is gone: an error of ours, and soon."""
    real = Driver.buffer_updated
    left = 0

    def buffer_updated(self: Driver, size: int) -> None:
        nonlocal left
        if self._engine.role.value == role:
            left -= 1
            if left == 0:
                assert self.transport is not None
                self.transport.abort()
                return
        real(self, size)

    monkeypatch.setattr(Driver, "buffer_updated", buffer_updated)
    for operations in range(1, 100):
        left = operations
        try:
            async with asyncio.timeout(30), client() as ssh, ssh.process("cat") as process:
                await process.stdin.write(bytes(100_000))
                process.stdin.write_eof()
                assert len(await process.stdout.read()) == 100_000
                await process.wait()
        except nacre.ConnectionLost:
            continue
        except TimeoutError:
            pytest.fail(f"somebody hangs when operation {operations} fails")
        break
    assert 5 < operations < 99
    await until(lambda: not server.connections)


async def test_a_failed_connection_makes_no_noise(
    server: nacre.Server, client: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    noise: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, about: noise.append(about))
    ssh = await client()
    left_alone = [await ssh.process("cat"), await ssh.process("hang")]
    server.connections[0].abort()
    await ssh.wait_closed()
    del left_alone, ssh
    await until(lambda: not server.connections)
    gc.collect()
    await asyncio.sleep(0)
    assert noise == []
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_closing_does_not_wait_for_a_peer_that_reads_nothing(
    server: nacre.Server, client: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nacre.aio.driver.LINGER", 0.1)
    ours, theirs = socket.socketpair()
    await server.attach(theirs)
    ssh = await client(sock=ours)
    process = await ssh.process("hang")
    transport = server.connections[0].driver.transport
    assert transport is not None
    transport.pause_reading()
    writer = asyncio.create_task(process.stdin.write(bytes(50_000_000)))
    await until(lambda: ssh.driver.congested)
    async with asyncio.timeout(30):
        await ssh.close()
    with pytest.raises(nacre.ConnectionLost):
        await writer
    transport.abort()


async def test_a_flood_of_requests_whose_replies_are_not_read_stops_the_reading(
    server: nacre.Server, client: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nacre.aio.driver.UNSENT", 100_000)
    async with client() as ssh:
        ours, theirs = ssh.driver.transport, server.connections[0].driver.transport
        assert ours is not None
        assert theirs is not None
        ours.pause_reading()
        sent = 0
        while theirs.is_reading() and sent < 500:
            for _ in range(10):
                ssh.engine.ping(bytes(30_000))
            ssh.driver.flush()
            sent += 1
            await asyncio.sleep(0.001)
        assert not theirs.is_reading()
        ours.resume_reading()
        await until(theirs.is_reading)
        assert (await ssh.run("exit 6")).exit_status == 6


async def test_data_that_comes_with_the_end_is_not_lost(make_server: Callable[..., Any]) -> None:
    async def handler(session: nacre.Session) -> None:
        await session.stdout.write(b"last words")
        session.connection.close()

    server = await make_server(handler=handler)
    async with client_for(server) as ssh:
        process = await ssh.process("x")
        assert await process.stdout.read(100) == b"last words"
        with pytest.raises(nacre.Disconnected):
            await process.stdout.read(100)
    async with client_for(server) as ssh:
        with pytest.raises(nacre.Disconnected):
            await ssh.run("x")


async def test_an_error_while_acting_on_an_event_ends_the_connection(
    client: Callable[..., Any],
) -> None:
    def trace(event: object, now: float) -> None:
        if isinstance(event, ChannelOpened):
            raise KeyError("a bug")

    async with client(trace=trace) as ssh:
        with pytest.raises(nacre.NacreError, match=r"ChannelOpened failed.*a bug") as caught:
            await ssh.run("exit 0")
        assert isinstance(caught.value.__cause__, KeyError)


async def test_an_answer_of_the_wrong_kind_is_reported(client: Callable[..., Any]) -> None:
    class Confused(nacre.Identities):
        async def authentication(self, ask: object) -> Any:
            return Granted()

    with pytest.raises(nacre.LocalProtocolError, match="AskAuthentication takes TryNone"):
        await client(credentials=Confused("alice", "here"))


async def test_a_callback_that_fails_is_logged_and_the_session_continues(
    make_server: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(session: nacre.Session) -> int:
        def fail(about: object) -> None:
            raise KeyError("a bug")

        session.on_signal = session.on_break = fail
        await session.stdout.write(b"ready")
        await session.stdin.read()
        return 3

    server = await make_server(handler=handler)
    async with client_for(server) as ssh, ssh.process("x") as process:
        await process.stdout.readexactly(5)
        process.send_signal("TERM")
        await process.send_break()
        process.stdin.write_eof()
        assert await process.wait() == 3
    assert caplog.text.count("KeyError: 'a bug'") == 2


async def test_exit_in_a_callback_while_the_client_closes(make_server: Callable[..., Any]) -> None:
    ended = asyncio.Event()

    async def handler(session: nacre.Session) -> None:
        session.on_signal = lambda name: session.exit_signal(name)
        await session.stdout.write(b"ready")
        try:
            await session.stdin.read()
        finally:
            ended.set()

    server = await make_server(handler=handler)
    async with client_for(server) as ssh:
        process = await ssh.process("x")
        await process.stdout.readexactly(5)
        process.send_signal("TERM")
        process.close()
        await process.wait_closed()
        await ended.wait()
        assert not server.connections[0].closed


async def test_dial_cancelled_anywhere_leaves_nothing(server: nacre.Server) -> None:
    async def work() -> None:
        (await dial("localhost", server.port)).close()

    assert await at_every_step(work) > 1
    await until(lambda: not server.connections)


async def test_a_peer_that_floods_reads_our_disconnect(server: nacre.Server) -> None:
    """Bytes that are no longer read must not reset the connection before our DISCONNECT is read."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET / HTTP/1.1\r\n" + b"x" * 3_000_000)
    async with asyncio.timeout(30):
        said = await reader.read()
    assert said.startswith(b"SSH-2.0-nacre")
    assert b"GET / HTTP/1.1" in said
    writer.close()
    await until(lambda: not server.connections)
