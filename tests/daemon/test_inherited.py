"""The one connection of a process: pipes, a socket, or the first that a port gets."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from nacre.daemon.inherited import Taken, take_first, take_inherited
from nacre.daemon.sockets import Address, ListeningSockets


@contextmanager
def standard(reading: int, writing: int) -> Iterator[None]:
    """Have other descriptors as standard input and output."""
    before = os.dup(0), os.dup(1)
    os.dup2(reading, 0)
    os.dup2(writing, 1)
    try:
        yield
    finally:
        for old, number in zip(before, (0, 1), strict=True):
            os.dup2(old, number)
            os.close(old)


async def receive(sock: socket.socket) -> bytes:
    async with asyncio.timeout(30):
        return await asyncio.get_running_loop().sock_recv(sock, 1 << 16)


async def test_two_pipes_are_joined_to_a_socket() -> None:
    (theirs_in, write), (read, theirs_out) = os.pipe(), os.pipe()
    with standard(theirs_in, theirs_out):
        taken = await take_inherited(asyncio.Event())
        assert os.readlink("/proc/self/fd/0") == os.readlink("/proc/self/fd/1") == "/dev/null"
    os.close(theirs_in)
    os.close(theirs_out)
    loop = asyncio.get_running_loop()
    os.write(write, b"to the server")
    assert await receive(taken.sock) == b"to the server"
    size = 3_000_000
    sending = asyncio.create_task(loop.sock_sendall(taken.sock, bytes(size)))
    received = 0
    while received < size:
        received += len(await asyncio.to_thread(os.read, read, 1 << 20))
    await sending
    os.close(write)
    assert await receive(taken.sock) == b""
    taken.sock.close()
    async with asyncio.timeout(30):
        await taken.ended()
    assert os.read(read, 10) == b""
    os.close(read)


async def test_a_client_that_reads_no_more_ends_it() -> None:
    (theirs_in, write), (read, theirs_out) = os.pipe(), os.pipe()
    with standard(theirs_in, theirs_out):
        taken = await take_inherited(asyncio.Event())
    os.close(theirs_in)
    os.close(theirs_out)
    os.close(read)
    taken.sock.send(b"x" * 100)
    async with asyncio.timeout(30):
        await taken.ended()
    assert await receive(taken.sock) == b""
    taken.sock.close()
    os.close(write)


async def test_standard_error_is_left_alone_unless_it_is_the_clients() -> None:
    ours, theirs = socket.socketpair()
    before = os.dup(2)
    with ours, theirs:
        try:
            os.dup2(theirs.fileno(), 2)
            for quiet in (False, True):
                with standard(theirs.fileno(), theirs.fileno()):
                    (await take_inherited(asyncio.Event(), quiet=quiet)).sock.close()
                assert (os.readlink("/proc/self/fd/2") == "/dev/null") is quiet
        finally:
            os.dup2(before, 2)
            os.close(before)


async def test_a_socket_is_used_as_it_is() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with standard(theirs.fileno(), theirs.fileno()):
            taken = await take_inherited(asyncio.Event())
        assert taken.copying is None
        with taken.sock:
            ours.send(b"x")
            assert await receive(taken.sock) == b"x"
        await taken.ended()


async def test_the_first_connection_of_a_port_is_taken_and_no_other() -> None:
    sockets = ListeningSockets()
    sockets.change([Address("127.0.0.1", 0), Address("127.0.0.1", 0, told_by="Port")])
    where = [sock.getsockname() for sock in sockets.all]
    taking = asyncio.create_task(take_first(sockets, asyncio.Event()))
    with socket.create_connection(where[1]) as client:
        async with asyncio.timeout(30):
            taken = await taking
        assert isinstance(taken, Taken)
        with taken.sock:
            assert taken.sock.getpeername() == client.getsockname()
    assert sockets.all == []


async def test_a_stop_ends_the_wait() -> None:
    sockets = ListeningSockets()
    sockets.change([Address("127.0.0.1", 0)])
    stop = asyncio.Event()
    stop.set()
    assert await take_first(sockets, stop) is None
