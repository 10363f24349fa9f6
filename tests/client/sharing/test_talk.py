"""Messages from a master that are cut off or too long."""

from __future__ import annotations

import socket

import pytest

from nacre.client.sharing.messages import AliveCheck, Done, encode
from nacre.client.sharing.talk import asked, receive
from nacre.errors import MalformedMessage


@pytest.fixture
def ends():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


async def test_a_message_and_what_follows_it(ends):
    ours, theirs = ends
    theirs.sendall(encode(Done(3)) + b"rest")
    assert await asked(ours, AliveCheck(3)) == Done(3)
    assert theirs.recv(100) == encode(AliveCheck(3))
    assert ours.recv(100) == b"rest"


@pytest.mark.parametrize(
    ("data", "error"),
    [(b"\xff" * 4, MalformedMessage), (b"\0\0\0\x08\x80", ConnectionResetError)],
    ids=["too long", "cut off"],
)
async def test_what_is_no_message(ends, data, error):
    ours, theirs = ends
    theirs.sendall(data)
    theirs.shutdown(socket.SHUT_WR)
    with pytest.raises(error):
        await receive(ours)
