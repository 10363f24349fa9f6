"""Whatever fails, and wherever a task is cancelled: nobody hangs, nothing is left."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

import nacre
from nacre.runtime.driver import Driver
from runtime.parties import until


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
    async with asyncio.timeout(5):
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
        if self.engine.role.value == role:
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
            async with asyncio.timeout(5), client() as ssh, ssh.process("cat") as process:
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
    monkeypatch.setattr("nacre.runtime.driver.LINGER", 0.1)
    ours, theirs = socket.socketpair()
    await server.attach(theirs)
    ssh = await client(sock=ours)
    process = await ssh.process("hang")
    transport = server.connections[0].driver.transport
    assert transport is not None
    transport.pause_reading()
    writer = asyncio.create_task(process.stdin.write(bytes(50_000_000)))
    await until(lambda: ssh.driver.congested)
    async with asyncio.timeout(5):
        await ssh.close()
    with pytest.raises(nacre.ConnectionLost):
        await writer
    transport.abort()


async def test_a_flood_of_requests_whose_replies_are_not_read_stops_the_reading(
    server: nacre.Server, client: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nacre.runtime.driver.UNSENT", 100_000)
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
