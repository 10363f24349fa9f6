"""The way to a host: through jump hosts, tunnels and pairs of streams, between engines of nacre."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

import nacre
from aio.test_versions import rsa1_host_key
from nacre.client.route import carried
from nacre.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectFailed,
    ConnectionLost,
    DeadlineExceeded,
    HostKeyChanged,
    HostKeyUnknown,
    NacreError,
    PeerSilent,
)
from nacre.keys.hosts.known_hosts import KnownHosts
from parties import PASSWORD, client_for, hangs_up_after, until

DATA = random.Random(3).randbytes(3 << 20)
PASS_KEY = nacre.generate("ssh-ed25519")


class Passing(nacre.Users):
    """Lets a user in with PASS_KEY, and forward whatever there is to forward."""

    def __init__(self, user: str) -> None:
        super().__init__({user: PASS_KEY.public})
        self.asked: list[int] = []
        self.delay = 0.0
        self.holds: asyncio.Event | None = None

    async def direct_connection(
        self, host: str, port: int, connection: nacre.ServerConnection
    ) -> bool:
        self.asked.append(port)
        await asyncio.sleep(self.delay)
        if self.holds is not None:
            await self.holds.wait()
        return True


class Forwarding(nacre.Users):
    """Lets its users forward whatever there is to forward."""

    def direct_connection(self, host: str, port: int, connection: nacre.ServerConnection) -> bool:
        return True


class Chain:
    """A server for each of the users, the last one being the host to reach.

    :ivar hops: how to name the servers before the last.
    """

    def __init__(
        self, policies: dict[str, Passing], servers: list[nacre.Server], known: Path
    ) -> None:
        self.servers = servers
        self.policies = list(policies.values())
        self.users = users = list(policies)
        self.known = known
        self.names = [f"[127.0.0.1]:{server.port}" for server in servers]
        named = zip(users, servers, strict=True)
        self.hops = [f"{user}@127.0.0.1:{server.port}" for user, server in named][:-1]

    def connect(self, **options: Any) -> Any:
        """Connect to the last server; by default through the others."""
        options = {
            "user": self.users[-1],
            "password": None,
            "keys": [PASS_KEY],
            "trust": None,
            "known_hosts": self.known,
            "jump": self.hops,
            **options,
        }
        return client_for(self.servers[-1], **options)

    @property
    def open(self) -> list[int]:
        """How many connections each server has."""
        return [len(server.connections) for server in self.servers]


@pytest.fixture
async def chain(make_server: Callable[..., Any], tmp_path: Path) -> Chain:
    policies = {user: Passing(user) for user in ("ann", "bob", "eve")}
    keys = [nacre.generate("ssh-ed25519") for _ in policies]
    servers = [
        await make_server(policy=policy, host_keys=[key])
        for policy, key in zip(policies.values(), keys, strict=True)
    ]
    known = tmp_path / "known_hosts"
    with known.open("w") as lines:
        for server, key in zip(servers, keys, strict=True):
            lines.write(KnownHosts.line_for("127.0.0.1", server.port, key.public) + "\n")
    return Chain(policies, servers, known)


async def test_each_hop_is_a_login_of_its_own(chain: Chain) -> None:
    async with chain.connect() as ssh:
        assert chain.open == [1, 1, 1]
        assert (await ssh.run("cat", input=DATA, encoding=None)).stdout == DATA
        assert (ssh.via.name, ssh.via.via.name) == (chain.names[1], chain.names[0])
        assert (ssh.via.user, ssh.via.via.user) == ("bob", "ann")
    assert ssh.via.closed
    assert ssh.via.via.closed
    await until(lambda: chain.open == [0, 0, 0])


async def test_files_go_both_ways(chain: Chain, make_server: Any) -> None:
    async with chain.connect() as ssh:
        many = [ssh.run("cat", input=DATA, encoding=None) for _ in range(4)]
        assert [done.stdout for done in await asyncio.gather(*many)] == [DATA] * 4
        assert await ssh.keepalive() >= 0
        await ssh.rekey()
        await ssh.via.rekey()
        assert (await ssh.run("print 5 5")).stderr == "eeeee"


@pytest.mark.parametrize("form", ["text with commas", "URI", "list"])
async def test_jump_hosts_are_texts(form: str, chain: Chain) -> None:
    jump: Any = ",".join(chain.hops)
    if form == "URI":
        jump = [f"ssh://{hop}" for hop in chain.hops]
    elif form == "list":
        jump = chain.hops
    async with chain.connect(jump=jump) as ssh:
        assert (await ssh.run("exit 3")).exit_status == 3


async def test_an_open_connection_stays_the_callers(chain: Chain) -> None:
    first, second = chain.servers[:2]
    async with client_for(first, user="ann", password=None, keys=[PASS_KEY]) as ann:
        async with chain.connect(jump=[ann, chain.hops[1]]) as ssh:
            assert (await ssh.run("exit 3")).exit_status == 3
        assert ssh.via.closed
        assert not ann.closed
        async with chain.connect(jump=ann) as ssh:
            assert ssh.via is ann
        assert len(second.connections) == 0
        assert await ann.keepalive() >= 0


async def test_a_tunnel_carries_a_connection(chain: Chain) -> None:
    server = chain.servers[-1]
    async with client_for(chain.servers[0], user="ann", password=None, keys=[PASS_KEY]) as ann:
        tunnel = await ann.open_connection("127.0.0.1", server.port)
        async with chain.connect(jump=None, sock=tunnel) as ssh:
            assert (await ssh.run("cat", input=DATA, encoding=None)).stdout == DATA
            assert ssh.via is ann
        await tunnel.wait_closed()
        assert not ann.closed


async def test_streams_of_asyncio_carry_a_connection(chain: Chain) -> None:
    pair = await asyncio.open_connection("127.0.0.1", chain.servers[-1].port)
    async with chain.connect(jump=None, sock=pair) as ssh:
        assert (await ssh.run("cat", input=DATA, encoding=None)).stdout == DATA
    assert pair[1].is_closing()


RELAY = """
import os, socket, sys, threading
there = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
def copy(read, write, end):
    while data := read(65536):
        write(data)
    end()
def forth():
    copy(lambda n: os.read(0, n), there.sendall, lambda: there.shutdown(socket.SHUT_WR))
threading.Thread(target=forth, daemon=True).start()
copy(there.recv, lambda data: os.write(1, data), lambda: None)
"""


@pytest.mark.parametrize("kind", ["descriptors", "files"])
async def test_pipes_carry_a_connection(kind: str, chain: Chain) -> None:
    command = [sys.executable, "-c", RELAY, str(chain.servers[-1].port)]
    with subprocess.Popen(
        command, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as relay:
        assert relay.stdin is not None
        assert relay.stdout is not None
        pair: Any = relay.stdout, relay.stdin
        if kind == "descriptors":
            pair = os.dup(relay.stdout.fileno()), os.dup(relay.stdin.fileno())
            relay.stdout.close()
            relay.stdin.close()
        async with chain.connect(jump=None, sock=pair) as ssh:
            assert (await ssh.run("cat", input=DATA, encoding=None)).stdout == DATA
        assert await asyncio.to_thread(relay.wait, 10) == 0


async def test_streams_of_a_process_carry_a_connection(
    chain: Chain, make_server: Callable[..., Any]
) -> None:
    """A program at the server, such as netcat, whose standard streams lead further."""

    async def relay(session: nacre.Session) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", chain.servers[-1].port)

        async def back() -> None:
            while data := await reader.read(1 << 16):
                await session.stdout.write(data)

        returning = asyncio.create_task(back())
        while data := await session.stdin.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.close()
        await returning
        return 0

    server = await make_server(handler=relay)
    async with client_for(server) as outer, outer.process("netcat") as process:
        pair = process.stdout, process.stdin
        async with chain.connect(jump=None, sock=pair) as ssh:
            assert (await ssh.run("cat", input=DATA, encoding=None)).stdout == DATA
        assert await process.wait() == 0


async def test_what_can_not_carry_a_connection_is_refused(chain: Chain, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="sock can't be str: give"):
        await chain.connect(jump=None, sock="socket")
    with socket.socket() as sock, pytest.raises(ConfigurationError, match="exclude each other"):
        chain.connect(sock=sock)
    with (
        (tmp_path / "file").open("wb") as file,
        pytest.raises(ConnectFailed, match="can't be used as a pair of streams"),
    ):
        await carried((file, file))
    with socket.socket() as sock, pytest.raises(ConnectFailed, match=r"give socket\.socket"):
        await carried((sock.fileno(), sock.fileno()))
    with pytest.raises(ConfigurationError, match="bool at place 2"):
        chain.connect(jump=[chain.hops[0], True])
    async with chain.connect(jump=None) as ssh:
        with pytest.raises(ConfigurationError, match="can only be the first"):
            chain.connect(jump=[chain.hops[0], ssh])
    with pytest.raises(ConfigurationError, match="17 jump hosts: give at most 16"):
        chain.connect(jump=["h"] * 17)
    with pytest.raises(ConfigurationError, match="can't be the name of a host"):
        chain.connect(jump="-oProxyCommand=x")


# --- failures: the error names the hop ---


async def blamed(chain: Chain, kind: type[NacreError], place: int, **options: Any) -> Any:
    """Connect in vain; return the error, which names the server at ``place`` if it is a hop."""
    with pytest.raises(kind) as caught:
        async with asyncio.timeout(30):
            await chain.connect(**options)
    last = place == len(chain.servers) - 1
    assert caught.value.hop == ("" if last else chain.names[place])
    assert str(caught.value).startswith(f"jump host {chain.names[place]}: ") is not last
    await until(lambda: not any(chain.open))
    return caught.value


@pytest.mark.parametrize("place", range(3))
async def test_a_changed_key_is_refused_at_every_hop(place: int, chain: Chain) -> None:
    port = chain.servers[place].port
    lines = chain.known.read_text().splitlines()
    lines[place] = KnownHosts.line_for("127.0.0.1", port, PASS_KEY.public)
    chain.known.write_text("\n".join(lines) + "\n")
    error = await blamed(chain, HostKeyChanged, place)
    assert (error.host, error.port, error.line) == ("127.0.0.1", port, place + 1)


@pytest.mark.parametrize("place", range(3))
async def test_an_unknown_key_is_refused_at_every_hop(place: int, chain: Chain) -> None:
    lines = chain.known.read_text().splitlines()
    del lines[place]
    chain.known.write_text("\n".join(lines) + "\n")
    await blamed(chain, HostKeyUnknown, place)


@pytest.mark.parametrize("place", range(2))
async def test_a_hop_that_lets_nobody_in_is_named(place: int, chain: Chain) -> None:
    hops = list(chain.hops)
    hops[place] = hops[place].replace(chain.users[place], "mallory")
    error = await blamed(chain, AuthenticationFailed, place, jump=hops)
    assert error.user == "mallory"
    assert error.tried


async def test_the_users_password_is_not_shown_to_hops(chain: Chain) -> None:
    hops = [chain.hops[0].replace("ann", "mallory"), chain.hops[1]]
    error = await blamed(chain, AuthenticationFailed, 0, jump=hops, password="secret", keys=[])
    assert not any("password" in tried for tried in error.tried)


@pytest.mark.parametrize("place", range(2))
async def test_a_hop_that_can_not_reach_the_next_is_named(place: int, chain: Chain) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        chain.servers[place + 1 : place + 2] = []
        port = free.getsockname()[1]
        hops = [*chain.hops[: place + 1], f"zoe@127.0.0.1:{port}"]
        with pytest.raises(
            ConnectFailed, match=f"can't connect to 127.0.0.1 port {port}"
        ) as caught:
            await chain.connect(jump=hops)
    assert caught.value.hop == chain.names[place]


@pytest.mark.parametrize("place", range(2))
async def test_one_deadline_is_for_all_hops(place: int, chain: Chain) -> None:
    """A hop that never answers the request to connect to the next one."""
    chain.policies[place].holds = asyncio.Event()
    error = await blamed(chain, DeadlineExceeded, place, timeout=0.3)
    assert "has not connected to 127.0.0.1" in str(error)


@contextlib.asynccontextmanager
async def mute(said: bytes = b"") -> AsyncIterator[int]:
    """A server that says something and then nothing; yields its port."""
    held: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)
        writer.write(said)
        while await reader.read(1 << 16):
            pass
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
        for writer in held:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


@pytest.mark.parametrize("said", [b"", b"SSH-2.0-mute\r\n"], ids=["nothing", "its version"])
@pytest.mark.parametrize("place", range(2))
async def test_a_hop_that_says_nothing_is_named(place: int, said: bytes, chain: Chain) -> None:
    async with mute(said) as port:
        hops = list(chain.hops)
        hops[place] = f"mute@127.0.0.1:{port}"
        chain.names[place] = f"[127.0.0.1]:{port}"
        await blamed(chain, DeadlineExceeded, place, jump=hops, timeout=0.5)


async def test_a_host_that_says_nothing_is_not_a_hop(chain: Chain) -> None:
    async with mute() as port:
        with pytest.raises(DeadlineExceeded) as caught:
            await nacre.connect(
                "127.0.0.1", port, jump=chain.hops, keys=[PASS_KEY], agent=False,
                known_hosts=chain.known, timeout=0.5,
            )  # fmt: skip
    assert caught.value.hop == ""
    assert f"through {chain.names[1]}" in str(caught.value)


async def test_a_cancelled_connect_leaves_nothing(chain: Chain) -> None:
    policy = chain.policies[1]
    policy.holds = asyncio.Event()
    connecting = asyncio.ensure_future(chain.connect())
    await until(lambda: policy.asked)
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting
    await until(lambda: not any(chain.open))


@pytest.mark.parametrize("place", range(2))
async def test_a_hop_that_dies_ends_the_connection_and_is_named(place: int, chain: Chain) -> None:
    ssh = await chain.connect()
    running = asyncio.ensure_future(ssh.run("hang"))
    await until(lambda: chain.servers[-1].connections)
    (there,) = chain.servers[place].connections
    there.abort()
    with pytest.raises(ConnectionLost) as caught:
        await running
    assert caught.value.hop == chain.names[place]
    assert ssh.error.hop == chain.names[place]
    await ssh.wait_closed()
    assert ssh.via.error.hop == ("" if place else chain.names[0])


async def test_an_error_of_the_callers_own_connection_stays_as_it_is(chain: Chain) -> None:
    async with client_for(chain.servers[0], user="ann", password=None, keys=[PASS_KEY]) as ann:
        ssh = await chain.connect(jump=ann)
        (there,) = chain.servers[0].connections
        there.abort()
        await ssh.wait_closed()
        assert (ssh.error.hop, ann.error.hop) == (chain.names[0], "")
        assert ssh.error.__cause__ is ann.error


async def test_a_connection_that_has_ended_is_no_way(chain: Chain) -> None:
    async with client_for(chain.servers[0], user="ann", password=None, keys=[PASS_KEY]) as ann:
        (there,) = chain.servers[0].connections
        there.abort()
        await ann.wait_closed()
        with pytest.raises(ConnectionLost) as caught:
            await chain.connect(jump=ann)
        assert (caught.value.hop, ann.error.hop) == (chain.names[0], "")


async def test_a_login_that_fails_early_closes_the_way(chain: Chain) -> None:
    """A file of ``known_hosts`` that can't be read fails before anything is sent to the host."""

    class Unreadable(nacre.AnyHostKey):
        def algorithms(self, host: str, port: int, offered: tuple[str, ...]) -> tuple[str, ...]:
            if port == chain.servers[1].port:
                raise ConfigurationError("can't read it")
            return offered

    with pytest.raises(ConfigurationError) as caught:
        await chain.connect(trust=Unreadable())
    assert caught.value.hop == chain.names[1]
    await until(lambda: not any(chain.open))


@pytest.mark.parametrize("protocol", [1, 2])
async def test_hops_of_both_protocols(protocol: int, make_server: Callable[..., Any]) -> None:
    keys = [nacre.generate("ssh-ed25519"), rsa1_host_key()]
    policy = Forwarding({"alice": PASSWORD})
    server = await make_server(policy=policy, host_keys=keys, protocols=(2, 1))
    async with client_for(server, protocols=(protocol,)) as hop:
        for inner in (1, 2):
            async with client_for(server, protocols=(inner,), jump=hop) as ssh:
                assert ssh.protocol == {1: "1.5", 2: "2.0"}[inner]
                assert (await ssh.run("cat", input=DATA, encoding=None)).stdout == DATA


async def test_a_host_that_dies_is_not_taken_for_its_hop(
    chain: Chain, make_server: Callable[..., Any]
) -> None:
    dying = await make_server(
        policy=Passing("eve"), handler=hangs_up_after(reset=True), host_keys=[PASS_KEY]
    )
    chain.servers[-1] = dying
    async with chain.connect(trust=nacre.AnyHostKey()) as ssh:
        with pytest.raises(ConnectionLost) as caught:
            await ssh.run("x")
    assert caught.value.hop == ""


@pytest.mark.slow
@pytest.mark.parametrize("place", range(3))
async def test_a_silent_hop_is_noticed_and_named(place: int, chain: Chain) -> None:
    async with asyncio.timeout(20):
        ssh = await chain.connect(keepalive=0.2, keepalive_count=2)
        (there,) = chain.servers[place].connections
        driver: Any = there.driver
        driver.transport.pause_reading()
        driver.transport.resume_reading = lambda: None
        with pytest.raises(PeerSilent) as caught:
            await ssh.run("hang")
        assert caught.value.hop == ("" if place == 2 else chain.names[place])
        ssh.abort()
        there.abort()
        await ssh.wait_closed()
