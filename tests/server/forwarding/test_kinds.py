"""The kinds of places: their form on the wire, what is impossible, and who makes Unix sockets."""

from __future__ import annotations

from tempfile import TemporaryDirectory

import pytest

from nacre.aio.dial import loops_threads
from nacre.errors import ConnectFailed, MalformedMessage
from nacre.protocol.tcpip import (
    AllocatedPort,
    Endpoint,
    ForwardedStreamlocalChannel,
    StreamlocalChannel,
    StreamlocalForward,
    TCPIPChannel,
    TCPIPForward,
)
from nacre.server.forwarding.kinds import Ports, UnixPaths
from nacre.server.policy import Policy
from nacre.server.questions import Questions
from nacre.tunnels.unix import UnixSockets
from server.stand_ins import RecordingConnection


class Answering(Policy):
    def __init__(self, answer: object) -> None:
        self.answer = answer
        self.paths: list[str] = []

    def direct_unix_connection(self, path: str, connection: object) -> bool:
        self.paths.append(path)
        return self.answer  # type: ignore[return-value]

    def remote_unix_listen(self, path: str, connection: object) -> bool:
        return self.direct_unix_connection(path, connection)


def unix(answer: object = True) -> tuple[UnixPaths, Answering]:
    connection, policy = RecordingConnection(), Answering(answer)
    return UnixPaths(connection, Questions(connection, policy), loops_threads), policy


def ports() -> Ports:
    connection = RecordingConnection()
    return Ports(connection, Questions(connection, Policy()), loops_threads)


async def test_places_on_the_wire() -> None:
    kind, (paths, _) = ports(), unix()
    assert kind.destination(TCPIPChannel("h", 1, "o", 2).encode()) == Endpoint("h", 1)
    assert kind.place(TCPIPForward("", 0).encode()) == Endpoint("", 0)
    assert paths.destination(StreamlocalChannel("/a", "", 0).encode()) == Endpoint(path="/a")
    assert paths.place(StreamlocalForward("/b").encode()) == Endpoint(path="/b")
    for each in kind, paths:
        with pytest.raises(MalformedMessage):
            each.destination(b"\0\0")
        with pytest.raises(MalformedMessage):
            each.place(b"\0\0")
    offered = kind.offer(Endpoint("", 7), ("::1", 9, 0, 0))
    assert TCPIPChannel.decode(offered) == TCPIPChannel("", 7, "::1", 9)
    assert ForwardedStreamlocalChannel.decode(paths.offer(Endpoint(path="/b"), "")).path == "/b"


async def test_only_a_port_that_was_chosen_is_named_in_the_reply() -> None:
    chosen = Endpoint("", 40000)
    assert AllocatedPort.decode(ports().reply(Endpoint("", 0), chosen)).port == 40000
    assert ports().reply(Endpoint("", 40000), chosen) == b""
    assert unix()[0].reply(Endpoint(path="/a"), Endpoint(path="/a")) == b""


@pytest.mark.parametrize("path", ["", "a", "./a", "/a\0b"])
async def test_a_path_that_is_not_absolute_is_refused_without_asking(path: str) -> None:
    kind, policy = unix()
    assert kind.impossible(Endpoint(path=path)) == "no absolute path"
    assert await kind.may_connect(Endpoint(path=path)) is None
    assert policy.paths == []


@pytest.mark.parametrize("answer", [False, None, "yes", 1])
async def test_only_true_and_what_makes_sockets_allow(answer: object) -> None:
    kind, policy = unix(answer)
    assert await kind.may_connect(Endpoint(path="/a")) is None
    assert await kind.may_listen(Endpoint(path="/a")) is None
    assert policy.paths == ["/a", "/a"]


async def test_the_policys_sockets_are_used() -> None:
    class Marked(UnixSockets):
        async def connect(self, path: str) -> object:  # type: ignore[override]
            raise ConnectFailed(f"marked {path}")

    kind, _ = unix(Marked())
    connect = await kind.may_connect(Endpoint(path="/a"))
    assert connect is not None
    with pytest.raises(ConnectFailed, match="marked /a"):
        await connect()
    with TemporaryDirectory(prefix="f", dir="/tmp") as short:
        listen = await kind.may_listen(Endpoint(path=f"{short}/s"))
        assert listen is not None
        (sock,), place, release = await listen()
        assert place == Endpoint(path=f"{short}/s")
        sock.close()
        assert release is not None
        release()
