"""The broker in this process, and tasks in threads that ask it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import nacre
from nacre._version import __version__
from nacre.agent.memory import MemoryKeyring
from nacre.compat.ansible.asking import CONNECTION, FILE, LOGIN, BrokerError, BrokerRequest, ask
from nacre.compat.ansible.broker import Broker
from nacre.compat.ansible.frames import BrokerFrame
from nacre.keys import dump_private
from nacre.keys.agents.constraints import Constraints
from nacre.server.peer import Client
from parties import PASSWORD, handle, until

KEY = nacre.generate("ssh-ed25519")


@pytest.fixture
async def directory(tmp_path: Path) -> AsyncIterator[Path]:
    """Where a broker of this process listens."""
    path = tmp_path / "broker"
    path.mkdir(mode=0o700)
    listening = socket.socket(socket.AF_UNIX)
    name = path / f"broker-{__version__}"
    listening.bind(str(name))
    listening.listen()
    task = asyncio.create_task(Broker(0.2).serve(listening, str(name)))
    yield path
    async with asyncio.timeout(30):
        await task  # it ends by itself
    assert not name.exists()


@pytest.fixture
async def server(make_server: Any, tmp_path: Path) -> nacre.Server:
    (tmp_path / "there").mkdir()

    async def run(session: nacre.Session) -> int | None:
        if session.command == b"term":
            assert session.terminal is not None
            await session.stdout.write(session.terminal.term.encode())
            return 0
        return await handle(session)

    found: nacre.Server = await make_server(
        policy=nacre.Users({"alice": [PASSWORD, KEY.public]}),
        handler=run,
        sftp=lambda session: nacre.LocalFilesystem(tmp_path / "there"),
    )
    return found


def login(server: nacre.Server, **more: Any) -> dict[str, Any]:
    return {
        "host": "127.0.0.1",
        "port": server.port,
        "user": "alice",
        "password": PASSWORD,
        "timeout": 20,
        "config": "none",
        "keywords": ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null"],
        **more,
    }


def run(
    directory: Path, login: dict[str, Any], data: bytes = b"", **request: Any
) -> tuple[int | None, bytes, bytes]:
    """Ask for something; return the exit status and the outputs."""
    outputs = {BrokerFrame.OUTPUT: bytearray(), BrokerFrame.ERRORS: bytearray()}
    with ask(str(directory), 60, {"login": login, **request}) as asked:
        status = asked.pass_input(data, outputs)
    return status, bytes(outputs[BrokerFrame.OUTPUT]), bytes(outputs[BrokerFrame.ERRORS])


async def test_commands_share_a_connection(
    server: nacre.Server, directory: Path, records: list[dict[str, Any]]
) -> None:
    data = bytes(3 << 20)
    found = tuple(
        await asyncio.gather(
            asyncio.to_thread(run, directory, login(server), data, command="cat"),
            asyncio.to_thread(run, directory, login(server), command="print 4 2"),
            asyncio.to_thread(run, directory, login(server), command="exit 3"),
            asyncio.to_thread(run, directory, login(server), command="kill"),
            asyncio.to_thread(run, directory, login(server), command="term", term="dumb"),
        )
    )
    assert found == (
        (0, data, b""),
        (0, bytes(4), b"ee"),
        (3, b"", b""),
        (None, b"", b""),
        (0, b"dumb", b""),
    )
    assert sum(one["event"] == "authenticated" for one in records) == 1, records


async def test_files_are_copied(server: nacre.Server, directory: Path, tmp_path: Path) -> None:
    here, back = tmp_path / "here", tmp_path / "back"
    here.write_bytes(b"text" * 1000)
    by_key = tmp_path / "key"
    by_key.write_bytes(dump_private(KEY))
    by_key.chmod(0o600)
    with_key = login(server, password=None, key=str(by_key))

    def copy(how: str, *paths: str) -> int | None:
        return run(directory, with_key, copy=how, paths=paths)[0]

    assert await asyncio.to_thread(copy, "put", str(here), "/copy") == 0
    assert await asyncio.to_thread(copy, "get", str(back), "/copy") == 0
    assert back.read_bytes() == here.read_bytes()
    with pytest.raises(BrokerError, match="No such file") as caught:
        await asyncio.to_thread(copy, "get", str(back), "/none")
    assert caught.value.kind == FILE


async def test_a_reset_has_the_next_task_log_in_anew(
    server: nacre.Server, directory: Path, records: list[dict[str, Any]]
) -> None:
    def one(**request: Any) -> int | None:
        return run(directory, login(server), **request)[0]

    for request in ({"command": "exit 0"}, {"reset": True}, {"command": "exit 0"}):
        assert await asyncio.to_thread(one, **request) == 0
    assert sum(one["event"] == "authenticated" for one in records) == 2


async def test_a_connection_that_has_ended_is_made_again(
    server: nacre.Server, directory: Path
) -> None:
    def one() -> int | None:
        return run(directory, login(server), command="exit 0")[0]

    assert await asyncio.to_thread(one) == 0
    for connection in list(server.connections):
        connection.abort()
    await until(lambda: not server.connections)
    await asyncio.sleep(0)
    assert await asyncio.to_thread(one) == 0


async def test_a_connection_ends_that_is_not_used(make_server: Any, directory: Path) -> None:
    async def run_one(session: nacre.Session) -> int:
        await session.stdin.read(1)
        return 0

    users = nacre.Users({"alice": PASSWORD, "bob": PASSWORD})
    server = await make_server(policy=users, handler=run_one)

    def start(user: str) -> BrokerRequest:
        return ask(str(directory), 60, {"login": login(server, user=user), "command": "x"})

    with await asyncio.to_thread(start, "alice") as used:
        with await asyncio.to_thread(start, "bob") as asked:
            await until(lambda: len(server.connections) == 2)
            assert await asyncio.to_thread(asked.pass_input, b"1", {}) == 0
        await until(lambda: [one.user for one in server.connections] == ["alice"])
        assert await asyncio.to_thread(used.pass_input, b"1", {}) == 0


async def test_more_tasks_than_a_connection_has_sessions(make_server: Any, directory: Path) -> None:
    begun, go = [], asyncio.Event()

    async def wait(session: nacre.Session) -> int:
        begun.append(session)
        await go.wait()
        return 0

    server = await make_server(handler=wait)

    def start() -> BrokerRequest:
        return ask(str(directory), 60, {"login": login(server), "command": "x"})

    asked = [await asyncio.to_thread(start) for _ in range(11)]
    await until(lambda: len(begun) == 11)
    assert len(server.connections) == 2, "sshd would refuse the eleventh session of one"
    go.set()
    for one in asked:
        with one:
            assert await asyncio.to_thread(one.pass_input, b"", {}) == 0


async def test_the_agent_is_that_of_the_task_or_of_the_configuration(
    server: nacre.Server, directory: Path
) -> None:
    def one(agent: str, *keywords: str) -> int | None:
        how = login(server, password=None, agent=agent)
        how["keywords"] += ["PreferredAuthentications=publickey", *keywords]
        return run(directory, how, command="exit 0")[0]

    keyring = MemoryKeyring()
    keyring.add(KEY, Constraints())
    async with nacre.serve_agent(None, keyring) as agent:
        assert await asyncio.to_thread(one, agent.path) == 0
        assert await asyncio.to_thread(one, "/none", f"IdentityAgent={agent.path}") == 0
        with pytest.raises(BrokerError, match="was not let in"):
            await asyncio.to_thread(one, agent.path, "IdentityAgent=none")


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({"password": "wrong"}, LOGIN),
        ({"password": 5}, CONNECTION),
        ({"keywords": ["UserKnownHostsFile=/dev/null"]}, CONNECTION),
        ({"keywords": ["Nonsense=1"]}, CONNECTION),
    ],
)
async def test_what_fails_is_told(
    server: nacre.Server, directory: Path, more: dict[str, Any], kind: str
) -> None:
    with pytest.raises(BrokerError) as caught:
        await asyncio.to_thread(run, directory, login(server, **more), command="exit 0")
    assert caught.value.kind == kind


async def test_tasks_that_wait_for_a_login_share_its_failure(
    make_server: Any, directory: Path
) -> None:
    tried, go = [], asyncio.Event()

    class Slow(nacre.Policy):
        async def password(self, user: str, password: str, connection: Client) -> bool:
            tried.append(password)
            await go.wait()
            return False

    server = await make_server(policy=Slow())

    def start() -> BrokerRequest:
        return ask(str(directory), 60, {"login": login(server), "command": "x"})

    asked = [await asyncio.to_thread(start) for _ in range(3)]
    await until(lambda: bool(tried))
    go.set()
    for one in asked:
        with one, pytest.raises(BrokerError, match="was not let in"):
            await asyncio.to_thread(one.read)
    assert len(tried) == 1
    with pytest.raises(BrokerError, match="was not let in"):
        await asyncio.to_thread(run, directory, login(server), command="x")
    assert len(tried) == 2


async def test_a_command_ends_with_its_task(make_server: Any, directory: Path) -> None:
    ended = asyncio.Event()

    async def hang(session: nacre.Session) -> None:
        await session.stdout.write(b"begun")
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    server = await make_server(handler=hang)

    def start() -> BrokerRequest:
        asked = ask(str(directory), 60, {"login": login(server), "command": "x"})
        asked.read(30)
        return asked

    with await asyncio.to_thread(start):
        pass
    async with asyncio.timeout(30):
        await ended.wait()


async def test_a_copy_ends_with_its_task(make_server: Any, directory: Path, tmp_path: Path) -> None:
    sessions: list[nacre.Session] = []
    begun, go = asyncio.Event(), asyncio.Event()

    class Slow(nacre.LocalFilesystem):
        blocking = False

        async def stat(self, path: str) -> Any:  # type: ignore[override]
            begun.set()
            await go.wait()
            raise OSError

    def files(session: nacre.Session) -> nacre.Filesystem:
        sessions.append(session)
        return Slow(tmp_path)

    server = await make_server(sftp=files)

    def start() -> BrokerRequest:
        request = {"login": login(server), "copy": "get", "paths": [str(tmp_path / "to"), "/from"]}
        return ask(str(directory), 60, request)

    with await asyncio.to_thread(start):
        async with asyncio.timeout(30):
            await begun.wait()
        assert not sessions[0].closed
    await until(lambda: sessions[0].closed)
    go.set()
