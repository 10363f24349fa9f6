"""Objects of the API with await, in another process or event loop than their own."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import nacre
from blocking.forks import in_child
from nacre.aio.home import check_loop, detach
from nacre.errors import NotUsableHere
from parties import PASSWORD, client_for, handle, until

USES: dict[str, Callable[[Any, Any, Any], Awaitable[object]]] = {
    "run": lambda ssh, process, sftp: ssh.run("cat"),
    "process": lambda ssh, process, sftp: ssh.process("cat"),
    "open": lambda ssh, process, sftp: ssh.sftp(),
    "keepalive": lambda ssh, process, sftp: ssh.keepalive(),
    "rekey": lambda ssh, process, sftp: ssh.rekey(),
    "forward": lambda ssh, process, sftp: ssh.forward_remote("localhost", 1),
    "listen": lambda ssh, process, sftp: ssh.forward_local("localhost", 1),
    "write": lambda ssh, process, sftp: process.stdin.write(b"x"),
    "much": lambda ssh, process, sftp: process.stdin.write(bytes(3_000_000)),
    "read": lambda ssh, process, sftp: process.stdout.read(1),
    "wait": lambda ssh, process, sftp: process.wait(),
    "stat": lambda ssh, process, sftp: sftp.stat("/"),
    "put": lambda ssh, process, sftp: sftp.put(__file__, "/put"),
    "get": lambda ssh, process, sftp: sftp.get("/", os.devnull),
}


async def called(use: Callable[[Any, Any, Any], Awaitable[object]], *opened: object) -> str:
    async with asyncio.timeout(30):
        try:
            await use(*opened)
        except NotUsableHere as error:
            return str(error)
    return "it went through"


@pytest.fixture
def started(host_key: nacre.PrivateKey, tmp_path: Any) -> Callable[[], Awaitable[Any]]:
    async def start() -> tuple[nacre.Server, Any, Any, Any]:
        server = await nacre.listen(
            host_keys=[host_key],
            policy=nacre.Users({"alice": PASSWORD}),
            handler=handle,
            sftp=lambda session: nacre.LocalFilesystem(tmp_path),
        )
        ssh = await client_for(server)
        return server, ssh, await ssh.process("cat"), await ssh.sftp()

    return start


async def check(ssh: Any, process: Any, sftp: Any) -> None:
    """The loop to which it all belongs has noticed nothing."""
    await process.stdin.write(b"line\n")
    assert await process.stdout.readline() == b"line\n"
    assert (await ssh.run("cat", input="x", timeout=10)).stdout == "x"
    assert await sftp.listdir("/") == []


async def test_a_loop_in_another_thread_is_refused(started: Callable[[], Awaitable[Any]]) -> None:
    server, *opened = await started()

    async def elsewhere() -> dict[str, str]:
        return {name: await called(use, *opened) for name, use in USES.items()}

    said = await asyncio.to_thread(lambda: asyncio.run(elsewhere()))
    assert {name for name, text in said.items() if "another event loop" not in text} == set()
    await check(*opened)
    await opened[0].close()
    await server.close()


def test_a_loop_after_the_first_one_is_refused(started: Callable[[], Awaitable[Any]]) -> None:
    runner = asyncio.new_event_loop()
    server, *opened = runner.run_until_complete(started())

    async def elsewhere() -> dict[str, str]:
        return {name: await called(use, *opened) for name, use in USES.items()}

    said = asyncio.run(elsewhere())
    assert {name for name, text in said.items() if "another event loop" not in text} == set()
    runner.run_until_complete(check(*opened))

    async def end() -> None:
        await opened[0].close()
        await server.close()

    runner.run_until_complete(end())
    runner.close()


@pytest.mark.slow
def test_a_child_of_an_asyncio_program_is_refused(started: Callable[[], Awaitable[Any]]) -> None:
    """In a loop of its own, and in the one that it has inherited."""

    async def work() -> list[str]:
        server, *opened = await started()
        said: list[str] = []

        def in_a_loop_of_its_own(use: Callable[[Any, Any, Any], Awaitable[object]]) -> str:
            # asyncio has forgotten, in the child, that a loop was running.
            return asyncio.run(called(use, *opened))

        said += [in_child(lambda u=use: in_a_loop_of_its_own(u)) for use in USES.values()]  # type: ignore[misc]

        async def close() -> str:
            async with asyncio.timeout(30):
                opened[1].close()
                opened[0].abort()
                await opened[0].close()
                await opened[0].wait_closed()
                await server.close()
            return "quiet"

        assert in_child(lambda: asyncio.run(close())) == "quiet"
        await check(*opened)
        await opened[0].close()
        await server.close()
        return said

    assert {text for text in asyncio.run(work()) if "fork" not in text} == set()


@pytest.mark.slow
def test_a_loop_that_a_child_inherits_touches_nothing(
    started: Callable[[], Awaitable[Any]],
) -> None:
    runner = asyncio.new_event_loop()
    server, *opened = runner.run_until_complete(started())
    # Without this the parent would have nothing to read in its selector.
    said = [
        in_child(lambda u=use: runner.run_until_complete(called(u, *opened)))  # type: ignore[misc]
        for use in USES.values()
    ]
    assert {text for text in said if "fork" not in text} == set()
    runner.run_until_complete(check(*opened))

    async def end() -> None:
        await opened[0].close()
        await server.close()

    runner.run_until_complete(end())
    runner.close()


async def test_a_call_without_a_loop_is_refused(ssh: nacre.Connection) -> None:
    process = await ssh.process("cat")
    driver: Any = ssh.driver
    await until(lambda: not driver._scheduled)  # a turn that has begun is not checked again
    caught: list[BaseException] = []

    def send() -> None:
        try:
            process.send_signal("TERM")
        except NotUsableHere as error:
            caught.append(error)

    thread = threading.Thread(target=send)
    thread.start()
    await asyncio.to_thread(thread.join)
    assert len(caught) == 1
    process.close()


async def test_check_loop() -> None:
    check_loop(asyncio.get_running_loop())
    with pytest.raises(NotUsableHere, match="another event loop"):
        await asyncio.to_thread(check_loop, asyncio.get_running_loop())


def test_a_descriptor_that_is_detached_leads_nowhere_and_stays_in_use() -> None:
    ours, peer = socket.socketpair()
    with ours, peer:
        copy = ours.dup()
        detach([copy.fileno(), -1])
        os.write(copy.fileno(), b"lost")
        ours.sendall(b"kept")
        assert peer.recv(100) == b"kept"
        copy.close()


def test_a_server_that_was_only_prepared_before_a_fork_serves_in_the_child(
    host_key: nacre.PrivateKey,
) -> None:
    policy = nacre.Users({"alice": PASSWORD})
    prepared = nacre.listen(host_keys=[host_key], policy=policy, handler=handle)

    async def work() -> str:
        async with asyncio.timeout(30), prepared as server, client_for(server) as ssh:
            return (await ssh.run("cat", input="served")).stdout

    assert in_child(lambda: asyncio.run(work())) == "served"
    assert asyncio.run(work()) == "served"
