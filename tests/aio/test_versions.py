"""The version that both sides speak, and that SSH-1 is off unless someone switches it on."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import nacre
from nacre.aio.versions import RISK, _Servers, client_engine, server_engines
from nacre.errors import ConfigurationError, VersionError
from nacre.keys import PrivateKey, generate
from nacre.protocol.events import VersionReceived
from nacre.protocol.options import ClientOptions, ServerOptions
from nacre.protocol.phases import Phase
from nacre.testing import Pair, host_key, one_by_one
from parties import PASSWORD, client_for, handle, until

ALL = [(1,), (2,), (2, 1)]


@cache
def rsa1_host_key() -> PrivateKey:
    return generate("rsa1", bits=1024)


def options() -> ServerOptions:
    return ServerOptions(host_keys=(host_key(), rsa1_host_key()))


def pair(client: tuple[int, ...], server: tuple[int, ...], **more: Any) -> Pair:
    engines = (
        client_engine(ClientOptions(user="alice"), client),
        server_engines(server)(options()),
    )
    return Pair(engines=engines, **more)


@pytest.mark.slow
@pytest.mark.parametrize("server", ALL)
@pytest.mark.parametrize("client", ALL)
@pytest.mark.parametrize("slow", [False, True])
def test_the_lower_version_counts_if_the_client_has_it(
    client: tuple[int, ...], server: tuple[int, ...], slow: bool
) -> None:
    """Every pair: what both have is spoken, and the higher one of two."""
    made = pair(client, server, **({"split": one_by_one} if slow else {}))
    made.run()
    both = set(client) & set(server)
    if not both:
        assert made.client.phase is made.server.phase is Phase.CLOSED
        return
    assert made.client.phase is made.server.phase is Phase.CONNECTION
    expected = "2.0" if 2 in both else "1.5"
    for events in (made.client_events, made.server_events):
        versions = [e for e in events if isinstance(e, VersionReceived)]
        assert [version.protocol for version in versions] == [expected]
    channel = made.client.connection.open_channel("session")
    made.run()
    assert channel == 0


@pytest.mark.parametrize(
    ("server", "announced"), [((2,), b"SSH-2.0-"), ((2, 1), b"SSH-1.99-"), ((1,), b"SSH-1.5-")]
)
def test_what_a_server_announces(server: tuple[int, ...], announced: bytes) -> None:
    engine = server_engines(server)(options())
    engine.start(0.0)
    assert bytes(engine.take_output()).startswith(announced)


@pytest.mark.parametrize(
    ("server", "answered"),
    [
        (b"SSH-2.0-x\r\n", b"SSH-2.0-"),
        (b"SSH-1.99-x\r\n", b"SSH-2.0-"),
        (b"SSH-1.5-x\r\n", b"SSH-1.5-"),
        (b"hello\r\nSSH-1.5-x\r\n", b"SSH-1.5-"),
    ],
)
def test_what_a_client_with_both_answers(server: bytes, answered: bytes) -> None:
    engine = client_engine(ClientOptions(user="a"), (2, 1))
    engine.start(0.0)
    assert engine.take_output() == b""
    engine.receive(server, 0.0)
    assert bytes(engine.take_output()).startswith(answered)


@pytest.mark.parametrize("line", [b"SSH-1.4-x\r\n", b"SSH-1.3-old\r\n", b"SSH-0.9-x\r\n"])
def test_what_is_older_than_15_is_refused(line: bytes) -> None:
    engine = client_engine(ClientOptions(user="a"), (2, 1))
    engine.start(0.0)
    engine.receive(line, 0.0)
    assert engine.phase is Phase.CLOSED


def test_a_peer_that_speaks_no_ssh() -> None:
    engine = client_engine(ClientOptions(user="a"), (2, 1))
    engine.start(0.0)
    engine.receive(b"HTTP/1.1 400 Bad Request\r\n", 0.0)
    (ended,) = engine.take_events()
    assert "HTTP" in str(ended)


def test_a_peer_that_hangs_up_at_once() -> None:
    for engine in (
        client_engine(ClientOptions(user="a"), (2, 1)),
        server_engines((2, 1))(options()),
    ):
        engine.start(0.0)
        engine.receive(b"SSH-", 0.0)
        engine.receive_eof()
        assert engine.phase is Phase.CLOSED


@pytest.mark.parametrize("protocols", [(), (3,), (2, 0)])
def test_other_versions(protocols: tuple[int, ...]) -> None:
    with pytest.raises(ConfigurationError):
        client_engine(ClientOptions(user="a"), protocols)
    with pytest.raises(ConfigurationError):
        server_engines(protocols)


def test_the_server_key_is_made_anew_each_hour() -> None:
    now = 0.0
    servers = _Servers(both=True, clock=lambda: now)

    def key() -> object:
        servers(options())
        return servers._key

    first = key()
    now = 3599.0
    assert key() is first
    now = 3600.0
    assert key() is not first


# --- through the runtime ---


@asynccontextmanager
async def serving(protocols: tuple[int, ...], **more: Any) -> AsyncIterator[nacre.Server]:
    async with nacre.listen(
        host_keys=[host_key(), rsa1_host_key()],
        policy=nacre.Users({"alice": [PASSWORD, user_key().public]}),
        handler=handle,
        protocols=protocols,
        **more,
    ) as server:
        yield server


@cache
def user_key() -> PrivateKey:
    return generate("rsa1", bits=1024)


@pytest.mark.parametrize("how", [{}, {"password": None, "keys": "rsa1"}])
async def test_ssh1_through_the_runtime(how: dict[str, Any], caplog: Any) -> None:
    records: list[Any] = []
    if "keys" in how:
        how = {**how, "keys": [user_key()]}
    async with (
        serving((2, 1), log=records.append) as server,
        client_for(server, protocols=(1,), keepalive=0.01, **how) as ssh,
    ):
        assert ssh.protocol == "1.5"
        done = await ssh.run("cat", input="through")
        assert (done.stdout, done.exit_status) == ("through", 0)
    assert [r["what"] for r in records if r["event"] == "warning"] == [RISK]
    assert [r.getMessage() for r in caplog.records if r.name == "nacre.client"] == [
        f"127.0.0.1: {RISK}"
    ]


@pytest.mark.parametrize("compress", [False, True])
async def test_much_data_and_a_status(compress: bool) -> None:
    offered = nacre.algorithms(compression=["zlib", "none"]) if compress else None
    async with (
        serving((1,)) as server,
        client_for(server, protocols=(2, 1), algorithms=offered, ssh1_ciphers=["blowfish"]) as ssh,
    ):
        done = await ssh.run("print 3000000 2000000", encoding=None)
        assert (len(done.stdout), len(done.stderr)) == (3000000, 2000000)
        with pytest.raises(nacre.ChannelOpenFailed, match="one session"):
            await ssh.run("exit 0")


@pytest.mark.slow
async def test_backpressure_of_a_slow_reader() -> None:
    async with (
        serving((1,)) as server,
        client_for(server, protocols=(1,), ssh1_ciphers=["blowfish"]) as ssh,
        ssh.process("print 12000000 0") as process,
    ):
        await until(lambda: not ssh.engine.wants_input)
        (channel,) = ssh._channels.values()
        held = ssh.engine.connection._unread
        assert 4 << 20 <= held <= 6 << 20
        assert len(await process.stdout.read()) == 12000000
        assert await process.wait() == 0
        assert channel.closed


@pytest.mark.parametrize(("command", "status"), [("exit 7", 7), ("raise", 255)])
async def test_status(command: str, status: int) -> None:
    async with serving((1,)) as server, client_for(server, protocols=(1,)) as ssh:
        assert (await ssh.run(command)).exit_status == status


async def test_a_shell_at_a_terminal() -> None:
    async with (
        serving((1,)) as server,
        client_for(server, protocols=(1,)) as ssh,
        ssh.shell(term="xterm", size=(81, 25)) as process,
    ):
        await process.stdin.write(b"line\n")
        assert await process.stdout.readline() == b"> line\n"
        (connection,) = server.connections
        (session,) = connection.sessions
        assert session.terminal is not None
        assert (session.terminal.columns, session.terminal.rows) == (81, 25)
        resized = asyncio.get_running_loop().create_future()
        session.on_resize = resized.set_result
        process.resize(100, 40)
        terminal = await asyncio.wait_for(resized, 30)
        assert (terminal.columns, terminal.rows) == (100, 40)


async def test_without_the_option_an_error_names_it() -> None:
    records: list[Any] = []
    async with serving((1,)) as server:
        with pytest.raises(VersionError, match=r"Protocol=2,1.*protocols=\(2, 1\)"):
            await client_for(server)
    async with serving((2,), log=records.append) as server:
        with pytest.raises(VersionError, match=r"speaks 2\.0"):
            await client_for(server, protocols=(1,))
        await until(lambda: records[-1]["event"] == "closed")
    assert "Protocol=2,1" in str(records[-1]["reason"])


@pytest.mark.slow
def test_nothing_of_ssh1_is_loaded_by_default() -> None:
    """A server and a client that talk SSH-2, in a process of their own."""
    program = """
import asyncio, sys, nacre
from nacre.keys import generate
import nacre.cli.main, nacre.cli.serve.command, nacre.cli.ssh.command, nacre.daemon.daemon
import nacre.cli.ssh.session, nacre.cli.common.connect, nacre.cli.trace.tracing
async def main():
    async def handle(session):
        return 3
    key = generate("ssh-ed25519")
    policy = nacre.Users({"a": "b"})
    async with nacre.listen(host_keys=[key], policy=policy, handler=handle) as server:
        async with nacre.connect("127.0.0.1", server.port, user="a", password="b", keys=[],
                                 agent=False, trust=nacre.AnyHostKey()) as ssh:
            assert (await ssh.run("x")).exit_status == 3
asyncio.run(main())
print(*(name for name in sys.modules if name.startswith("nacre.ssh1")))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=50, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


async def test_sftp_over_ssh1(tmp_path: Path) -> None:
    """The subsystem is a command on the wire, which the server takes for what it is."""
    (tmp_path / "here").write_bytes(bytes(100_000))
    async with (
        serving((1,), sftp=lambda session: nacre.LocalFilesystem(tmp_path)) as server,
        client_for(server, protocols=(1,), ssh1_ciphers=["blowfish"]) as ssh,
        ssh.sftp() as sftp,
    ):
        await sftp.put(tmp_path / "here", "there")
        assert sorted(await sftp.listdir("/")) == ["here", "there"]
    assert (tmp_path / "there").read_bytes() == bytes(100_000)


class Riddle(nacre.Policy):
    def keyboard_interactive(
        self, user: str, submethods: str, responses: tuple[str, ...] | None, connection: object
    ) -> Any:
        if responses is None:
            return nacre.Challenge("", "", (nacre.Prompt("6 x 9? ", True),))
        return responses == ("42",)


async def test_challenge_response_over_ssh1() -> None:
    asked: list[str] = []

    async def prompt(text: str, echo: bool) -> str:
        asked.append(text)
        return "42"

    credentials = nacre.Identities("alice", "h", files=[], prompt=prompt)
    async with (
        nacre.listen(
            host_keys=[rsa1_host_key()], policy=Riddle(), handler=handle, protocols=(1,)
        ) as server,
        client_for(server, protocols=(1,), credentials=credentials) as ssh,
    ):
        assert ssh.methods == ("keyboard-interactive",)
    assert any("6 x 9?" in text for text in asked)
