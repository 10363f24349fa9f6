"""The master's sockets: what is in the file system, and what clients send with descriptors."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from nacre.client.sharing.messages import AliveCheck, Hello, encode
from nacre.client.sharing.sockets import ControlListener, ControlSocket
from nacre.errors import MalformedMessage


@pytest.fixture
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/tmp") as made:  # the path of a socket must be short
        yield Path(made)


def test_the_socket_is_there_once_it_listens_and_for_its_owner_alone(directory):
    listener = ControlListener(str(directory / "m"))
    assert [one.name for one in directory.iterdir()] == ["m"]
    mode = (directory / "m").stat().st_mode
    assert (stat.S_ISSOCK(mode), stat.S_IMODE(mode)) == (True, 0o600)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(directory / "m"))
    listener.close()
    listener.close()
    assert not list(directory.iterdir())


def test_a_file_that_is_there_stays(directory):
    (directory / "m").write_text("mine")
    with pytest.raises(FileExistsError):
        ControlListener(str(directory / "m"))
    with pytest.raises(FileNotFoundError):
        ControlListener(str(directory / "none" / "m"))
    assert [one.name for one in directory.iterdir()] == ["m"]


def test_another_masters_socket_stays(directory):
    first = ControlListener(str(directory / "m"))
    (directory / "m").unlink()
    second = ControlListener(str(directory / "m"))
    first.close()
    assert (directory / "m").is_socket()
    second.close()


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


async def test_messages_in_one_piece_and_in_many(ends):
    ours, theirs = ends
    theirs.sendall(encode(Hello(4, b"")) + encode(AliveCheck(7)))
    link = ControlSocket(ours)
    assert link.ours
    assert await link.receive() == Hello(4, b"")
    assert await link.receive() == AliveCheck(7)
    theirs.sendall(encode(AliveCheck(8))[:9])
    theirs.close()
    with pytest.raises(EOFError):
        await link.receive()


@pytest.mark.parametrize("size", [0, 3, 256 * 1024 + 1, 0xFFFFFFFF])
async def test_sizes_that_no_message_has(ends, size):
    ours, theirs = ends
    theirs.sendall(size.to_bytes(4, "big"))
    with pytest.raises(MalformedMessage):
        await ControlSocket(ours).receive()


async def test_descriptors_come_behind_a_message(ends):
    ours, theirs = ends
    reading, writing = os.pipe()
    theirs.sendall(encode(AliveCheck(1)))
    for one in (reading, writing):
        socket.send_fds(theirs, [b"\0"], [one])
    theirs.sendall(encode(AliveCheck(2)))
    link = ControlSocket(ours)
    await link.receive()
    passed = await link.receive_descriptors(2)
    assert await link.receive() == AliveCheck(2)
    assert not any(os.get_inheritable(one) for one in passed)
    os.write(passed[1], b"x")
    assert os.read(reading, 1) == b"x"
    for one in (reading, writing, *passed):
        os.close(one)


async def test_descriptors_that_are_missing(ends):
    ours, theirs = ends
    before = len(os.listdir("/proc/self/fd"))
    socket.send_fds(theirs, [b"\0"], [0])
    theirs.sendall(b"\0")
    with pytest.raises(MalformedMessage, match="a descriptor is missing"):
        await ControlSocket(ours).receive_descriptors(2)
    socket.send_fds(theirs, [b"\0"], [0, 0])
    with pytest.raises(MalformedMessage):
        await ControlSocket(ours).receive_descriptors(1)
    socket.send_fds(theirs, [b"\0"], [0])
    theirs.shutdown(socket.SHUT_WR)
    with pytest.raises(EOFError):
        await ControlSocket(ours).receive_descriptors(2)
    assert len(os.listdir("/proc/self/fd")) == before


async def test_a_client_that_reads_nothing_is_gone(ends):
    ours, _ = ends
    link = ControlSocket(ours)
    many = [AliveCheck(1)] * 100_000
    with pytest.raises(BlockingIOError):
        link.send(*many)


async def test_the_end_is_seen_behind_what_was_sent(ends):
    ours, theirs = ends
    link = ControlSocket(ours)
    link.send(AliveCheck(3))
    link.end()
    assert theirs.recv(100) == encode(AliveCheck(3))
    assert theirs.recv(100) == b""
