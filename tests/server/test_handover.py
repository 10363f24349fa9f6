"""A server lets users in, another one serves them, over the same socket: in one process here."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

import nacre
from attacks.links import inside, of
from nacre.errors import ConnectionLost
from nacre.keys.base import RemoteKey
from nacre.protocol.events import PongReceived
from nacre.protocol.frozen import FrozenServer
from nacre.server.handover import rested
from nacre.server.listen import Server
from nacre.server.peer import ConnectionTerms, ServerConnection
from nacre.server.settings import ServerSettings
from nacre.ssh2.transport.messages import Ping
from parties import PASSWORD, client_for, handle, until
from ssh2.moved import Moving

BULK = random.Random(4).randbytes(3 << 20)


class Welcoming(nacre.Policy):
    """Lets nobody in, and notes whom it is told of."""

    def __init__(self) -> None:
        self.told: list[tuple[str, tuple[str, ...], bytes]] = []

    def authenticated(
        self, user: str, methods: tuple[str, ...], connection: ServerConnection
    ) -> None:
        self.told.append((user, methods, connection.session_id))

    def session_request(self, *about: object) -> bool:
        return True


class Pass:
    """A gate and the server that it passes its connections to.

    :ivar seen: what was handed over.
    """

    def __init__(self, host_key: nacre.PrivateKey, log: Any, **more: Any) -> None:
        self.seen: list[FrozenServer] = []
        self.policy = Welcoming()
        self.signed = 0
        self._host_key = host_key
        self.target = Server(
            ServerSettings(
                host_keys=[RemoteKey(host_key.public)],
                policy=self.policy,
                handler=handle,
                log=lambda record: log({"at": "target", **record}),
                **{"terms": ConnectionTerms(sign_host=self._sign), **more},
            )
        )
        self.gate = Server(
            ServerSettings(
                host_keys=[host_key],
                policy=nacre.Users({"alice": PASSWORD}),
                log=lambda record: log({"at": "gate", **record}),
                hand_over=self.move,
            )
        )

    async def _sign(self, key: nacre.PublicKey, data: bytes, algorithm: str) -> bytes:
        self.signed += 1
        return self._host_key.sign(data, algorithm)

    async def move(
        self, connection: ServerConnection, frozen: FrozenServer, sock: socket.socket
    ) -> None:
        """Hand over as to another process: bytes, and a descriptor of its own."""
        state = frozen.encode()
        self.seen.append(frozen)
        await self.target.attach(sock.dup(), FrozenServer.decode(state))


@pytest.fixture
async def passing(
    host_key: nacre.PrivateKey, records: list[dict[str, object]]
) -> AsyncIterator[Pass]:
    both = Pass(host_key, records.append)
    await both.gate.start()
    yield both
    await closed(both)


async def closed(both: Pass) -> None:
    async with asyncio.timeout(30):
        await both.gate.close()
        await both.target.close()


async def test_commands_run_at_the_other_server(passing: Pass) -> None:
    async with client_for(passing.gate) as client:
        done = await client.run("print 3 5")
        assert (len(done.stdout), len(done.stderr)) == (3, 5)
        assert (await client.run("exit 9")).exit_status == 9
        assert passing.gate.connections == ()
        (connection,) = passing.target.connections
        (frozen,) = passing.seen
        assert passing.policy.told == [("alice", ("password",), client.session_id)]
        assert (connection.user, connection.methods) == ("alice", ("password",))
        assert connection.session_id == client.session_id == frozen.session_id
        assert connection.algorithms == client.algorithms
        assert connection.peer_version == client_line(client)
        assert connection.peer[0] == "127.0.0.1"
        assert connection.local[1] == passing.gate.port
        assert connection.protocol == "2.0"


async def test_a_session_is_told_of_before_its_requests(
    host_key: nacre.PrivateKey, records: list[dict[str, object]]
) -> None:
    begun = list[str]()
    both = Pass(host_key, records.append, on_session=lambda: begun.append("session"))

    def request(*about: object) -> bool:
        begun.append("request")
        return True

    both.policy.session_request = request  # type: ignore[method-assign]
    await both.gate.start()
    async with client_for(both.gate) as client:
        await client.run("exit 0")
        await client.run("exit 0")
    assert begun == ["session", "request"] * 2
    await closed(both)


def client_line(client: Any) -> str:
    frozen: str = client.engine._line.decode()
    return frozen


async def test_much_data_and_new_keys_of_both_sides(passing: Pass) -> None:
    async with client_for(passing.gate) as client:
        for side in (client, passing.target):
            exchange = side if side is client else passing.target.connections[0]
            copy = asyncio.create_task(client.run("cat", input=BULK, encoding=None))
            await exchange.rekey()
            assert (await copy).stdout == BULK
    assert passing.signed == 2


async def test_what_is_logged_where(passing: Pass, records: list[dict[str, object]]) -> None:
    async with client_for(passing.gate):
        pass
    await until(lambda: not passing.target.connections)
    assert [(one["at"], one["event"]) for one in records if one.get("outcome") != "failure"] == [
        ("gate", "accepted"),
        ("gate", "version"),
        ("gate", "kex"),
        ("gate", "auth"),
        ("target", "authenticated"),
        ("target", "closed"),
    ]
    assert passing.gate._settings.startups.waiting == 0


async def test_the_other_server_announces_its_host_keys(passing: Pass) -> None:
    events: list[str] = []
    async with client_for(
        passing.gate, trace=lambda event, _: events.append(repr(event))
    ) as client:
        await client.run("exit 0")
    assert any("hostkeys-00@openssh.com" in event for event in events)


async def test_a_client_that_is_not_let_in_stays_at_the_gate(passing: Pass) -> None:
    with pytest.raises(nacre.AuthenticationFailed):
        await client_for(passing.gate, password="wrong")
    assert passing.seen == []
    assert passing.policy.told == []


async def test_a_handover_that_fails_ends_the_connection(
    host_key: nacre.PrivateKey, records: list[dict[str, object]], caplog: Any
) -> None:
    both = Pass(host_key, records.append)

    async def fail(*about: object) -> None:
        raise OSError("no process is left")

    settings = ServerSettings(
        host_keys=[host_key],
        policy=nacre.Users({"alice": PASSWORD}),
        log=lambda record: records.append(dict(record)),
        hand_over=fail,
    )
    both.gate = Server(settings)
    await both.gate.start()
    with pytest.raises(ConnectionLost):
        await client_for(both.gate)
    await until(lambda: not both.gate.connections)
    (error,) = (one for one in records if one["event"] == "error")
    assert "no process is left" in str(error["error"])
    assert settings.startups.waiting == 0
    await closed(both)


async def test_a_server_that_is_stopping_takes_no_connection(passing: Pass) -> None:
    await passing.target.close()
    with pytest.raises(nacre.NacreError, match="the server is stopping"):
        await client_for(passing.gate)
    await until(lambda: not passing.target.connections)


async def test_timeouts_and_keepalives_run_at_the_other_server(
    host_key: nacre.PrivateKey, records: list[dict[str, object]]
) -> None:
    both = Pass(host_key, records.append, terms=ConnectionTerms(unused_timeout=1), keepalive=0.01)
    await both.gate.start()
    client = await client_for(both.gate)
    async with asyncio.timeout(30):
        await client.wait_closed()
    assert "idle" in str(client.error) or "channel" in str(client.error)
    await closed(both)


async def test_the_driver_waits_until_the_socket_took_everything(passing: Pass) -> None:
    """What was put out before, and a peer that reads late, change nothing."""
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    connection = await passing.gate.attach(ours)
    driver: Any = connection.driver
    assert driver.transport is not None
    driver.transport.write(bytes(1 << 20))
    assert driver.congested
    moving = asyncio.create_task(driver.hand_over(lambda: "state"))
    await asyncio.sleep(0)
    assert not moving.done()
    loop = asyncio.get_running_loop()
    theirs.setblocking(False)
    got = 0
    async with asyncio.timeout(30):
        while not moving.done():
            got += len(await loop.sock_recv(theirs, 1 << 16))
    state, sock = await moving
    assert state == "state"
    await until(lambda: driver.transport is None)
    # The socket lives on.
    sock.setblocking(False)
    await loop.sock_sendall(sock, b"still here")
    while got < (1 << 20):
        got += len(await loop.sock_recv(theirs, 1 << 16))
    assert (await loop.sock_recv(theirs, 100)).endswith(b"still here")
    sock.close()
    theirs.close()


async def test_a_process_without_descriptors_says_so_to_the_client(
    passing: Pass, monkeypatch: pytest.MonkeyPatch, records: list[dict[str, object]]
) -> None:
    def dup(number: int) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("nacre.aio.driver.os.dup", dup)
    with pytest.raises(nacre.NacreError, match="can't serve this user now"):
        await client_for(passing.gate)
    assert [one["what"] for one in records if one["event"] == "error"] == [
        "the handover to another process failed"
    ]
    await until(lambda: not passing.gate.connections)


@pytest.mark.parametrize("pings", [3, 100])
async def test_what_the_client_had_sent_is_handled_in_turns(passing: Pass, pings: int) -> None:
    """More messages than a turn handles, and a part of one; the rest comes over the socket."""
    pair = Moving()
    pair.run()
    for number in range(pings):
        inside(pair.client)._outbox.send(Ping(bytes([number])).encode())
    sent = bytes(pair.client.take_output())
    pair.server.receive(sent[:-7], 0.0)
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    await passing.target.attach(ours, pair.freeze())
    await loop.sock_sendall(theirs, sent[-7:])
    answers: list[PongReceived] = []
    async with asyncio.timeout(30):
        while len(answers) < pings:
            pair.client.receive(await loop.sock_recv(theirs, 1 << 16), 0.0)
            answers += of(pair.client.take_events(), PongReceived)
    assert [one.data for one in answers] == [bytes([number]) for number in range(pings)]
    assert passing.policy.told[0][:2] == ("alice", ("password",))
    theirs.close()
    await until(lambda: not passing.target.connections)


async def test_a_client_that_goes_before_it_is_moved(passing: Pass) -> None:
    ours, theirs = socket.socketpair()
    connection = await passing.gate.attach(ours)

    def freeze() -> object:
        raise nacre.LocalProtocolError("the question is not open")

    theirs.close()
    await until(lambda: connection.ended)
    with pytest.raises(nacre.LocalProtocolError):
        await connection.driver.hand_over(freeze)
    await until(lambda: not passing.gate.connections)


# --- rest ---


async def rest(connection: Any, seconds: float) -> tuple[FrozenServer, socket.socket] | None:
    thawed = connection.engine
    return await rested(connection, thawed.freeze, seconds)


async def test_a_connection_at_rest_goes_on_elsewhere(
    passing: Pass, records: list[dict[str, object]]
) -> None:
    announced: list[str] = []
    async with client_for(
        passing.gate, trace=lambda event, _: announced.append(repr(event))
    ) as client:
        for _ in range(3):
            assert (await client.run("exit 9")).exit_status == 9
            (connection,) = passing.target.connections
            async with asyncio.timeout(30):
                given_up = await rest(connection, 0.01)
            assert given_up is not None
            assert passing.target.connections == ()
            frozen, sock = given_up
            assert (frozen.user, frozen.told) == ("alice", True)
            await passing.target.attach(sock, FrozenServer.decode(frozen.encode()))
        (connection,) = passing.target.connections
        assert (connection.user, connection.methods) == ("alice", ("password",))
        copy = asyncio.create_task(client.run("cat", input=BULK, encoding=None))
        await client.rekey()
        assert (await copy).stdout == BULK
    assert len([one for one in announced if one.startswith("Global") and "hostkeys-00" in one]) == 1
    assert [one["event"] for one in records if one["at"] == "target"].count("authenticated") == 1
    assert len(passing.policy.told) == 4


async def test_a_connection_that_ends_does_not_rest(passing: Pass) -> None:
    async with client_for(passing.gate) as client:
        await client.run("exit 0")
        (connection,) = passing.target.connections
        resting = asyncio.create_task(rest(connection, 3600))
    async with asyncio.timeout(30):
        assert await resting is None


async def test_what_goes_on_keeps_a_connection_from_its_rest(
    host_key: nacre.PrivateKey, records: list[dict[str, object]]
) -> None:
    both = Pass(host_key, records.append, terms=ConnectionTerms(unused_timeout=60))
    await both.gate.start()
    async with client_for(both.gate) as client:
        await client.run("exit 0")
        (connection,) = both.target.connections
        await until(lambda: not both.target.busy)
        assert not connection.at_rest, "its clock would begin anew"
        connection.terms = ConnectionTerms()
        assert connection.at_rest
        asked = asyncio.create_task(connection.keepalive())
        await asyncio.sleep(0)
        assert not connection.at_rest
        await asked
        assert connection.at_rest
        async with client.process("cat"):
            await until(lambda: both.target.busy)
            assert not connection.at_rest
    await closed(both)
