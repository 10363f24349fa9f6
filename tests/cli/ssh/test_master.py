"""What a client of a shared connection asks of ``nacre ssh``: sessions and forwardings."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import nacre
from nacre.cli.common.log import Log
from nacre.cli.ssh.master import Sharing, _forward, start_sharing
from nacre.cli.ssh.tunnels import Forwardings
from nacre.client.sharing.master import Guest
from nacre.client.sharing.messages import (
    DYNAMIC,
    LOCAL,
    NO_ESCAPE,
    REMOTE,
    SOCKS,
    UNIX_SOCKET,
    CloseForward,
    NewSession,
    NewStdioForward,
    OpenForward,
    joined,
)
from nacre.client.target import Target
from nacre.config.client.files import parse
from nacre.config.tunnels import Forward
from nacre.errors import ConfigurationError, RequestFailed
from parties import client_for, open_files, until
from party_fixtures import host_key, make_server, records  # noqa: F401

FORWARDS: dict[str, tuple[tuple[Any, ...], tuple[str, Forward]]] = {
    "ports": ((LOCAL, "", 80, "host", 81), ("local", Forward(None, 80, "host", 81))),
    "all": ((REMOTE, "*", 0, "h", 1), ("remote", Forward("*", 0, "h", 1))),
    "socks": ((DYNAMIC, "::1", 80, SOCKS, 0), ("dynamic", Forward("::1", 80))),
    "paths": (
        (LOCAL, "/l", UNIX_SOCKET, "/c", UNIX_SOCKET),
        ("local", Forward(None, 0, path="/l", host_path="/c")),
    ),
}


@pytest.mark.parametrize(("fields", "expected"), FORWARDS.values(), ids=FORWARDS)
def test_forwardings_as_the_configuration_has_them(fields, expected):
    assert _forward(OpenForward(1, *fields)) == expected
    assert _forward(CloseForward(1, *fields)) == expected


@pytest.mark.parametrize("fields", [(4, "", 1, "h", 1), (LOCAL, "", 70000, "h", 1)], ids=str)
def test_forwardings_that_there_are_not(fields):
    with pytest.raises(RequestFailed, match="invalid"):
        _forward(OpenForward(1, *fields))


class Shared:
    """A connection to a server in this process that is shared."""

    def __init__(self, ssh: nacre.Connection, path: Path, *options: str) -> None:
        self.path = path
        self.config = parse([f"ControlPath={path}", "ControlMaster=yes", *options])
        self.file = (path.parent / "log").open("wb", buffering=0)
        log = Log(self.config.log_level, self.file)
        target = Target("host", "host", 22, "alice")
        forwardings = Forwardings(ssh, self.config, log)
        self.start = lambda: start_sharing(ssh, target, self.config, forwardings, log)
        self.sharing: Any = self.start()

    def logged(self) -> str:
        return (self.path.parent / "log").read_text()


@pytest.fixture
async def shared(make_server: Any) -> AsyncIterator[Shared]:  # noqa: F811
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        async with client_for(await make_server()) as ssh:
            made = Shared(ssh, Path(directory) / "m", "SetEnv=LC_A=set", "SendEnv=LC_*")
            yield made
            await ssh.wait_idle()
        await until(lambda: not made.path.exists())
        made.file.close()


def guest(told: list[str]) -> Guest:
    return Guest(lambda: told.append("opened"), lambda: told.append("no terminal"))


async def run(
    sharing: Sharing, command: str, data: bytes = b"", **fields: Any
) -> tuple[int | None, bytes, list[str]]:
    """Run a session on pipes; return its status, its output, and what its guest was told."""
    ends = [os.pipe() for _ in range(3)]
    os.write(ends[0][1], data)
    os.close(ends[0][1])
    told: list[str] = []
    values = {"terminal": 0, "subsystem": 0, "environment": b"", **fields}
    wanted = NewSession(
        *(1, b"", values["terminal"], 0, 0, values["subsystem"], NO_ESCAPE, "xterm", command),
        values["environment"],
    )
    theirs = [ends[0][0], ends[1][1], ends[2][1]]
    try:
        status = await sharing.session(wanted, theirs, guest(told))
        output = await asyncio.to_thread(os.read, ends[1][0], 1000)
    finally:
        os.close(ends[1][0])
        os.close(ends[2][0])
    return status, output, told


async def test_sessions(shared):
    assert await run(shared.sharing, "cat", b"typed") == (0, b"typed", ["opened"])
    assert await run(shared.sharing, "exit 9") == (9, b"", ["opened"])
    variables = joined(["LC_B=b", "LC_A=a", "=x", "LC_C", "B=b"])
    assert (await run(shared.sharing, "env", environment=variables))[1] == b"LC_A=set\nLC_B=b\n"
    assert await run(shared.sharing, "", b"line\n") == (0, b"> line\n", ["opened"])


async def test_a_session_without_the_terminal_that_it_wants(shared):
    assert (await run(shared.sharing, "exit 3", terminal=1))[0] == 3


async def test_a_session_that_the_server_refuses_leaves_no_descriptor(shared):
    before = open_files()
    with pytest.raises(RequestFailed):
        await run(shared.sharing, "none", subsystem=1)
    assert open_files() == before


async def test_a_session_that_is_cancelled_leaves_no_descriptor(shared):
    await run(shared.sharing, "exit 0")
    before = open_files()
    running = asyncio.create_task(run(shared.sharing, "hang"))
    await until(lambda: open_files() > before)
    await asyncio.sleep(0.05)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await until(lambda: open_files() == before)


async def test_a_place_that_the_server_does_not_connect_to(shared):
    before = open_files()
    for host, port in (("127.0.0.1", 1), ("/none", UNIX_SOCKET)):
        reading, writing = os.pipe()
        wanted = NewStdioForward(1, b"", host, port)
        with pytest.raises(nacre.ChannelOpenFailed):
            await shared.sharing.join(wanted, [reading, writing], guest([]))
    assert open_files() == before


async def test_forwarding_begins_once_and_ends(shared):
    wanted = OpenForward(1, LOCAL, "127.0.0.1", 0, "127.0.0.1", 1)
    sharing = shared.sharing
    assert [await sharing.open_forward(wanted) for _ in range(2)] == [0, 0]
    ended = CloseForward(1, LOCAL, "127.0.0.1", 0, "127.0.0.1", 1)
    await sharing.close_forward(ended)
    with pytest.raises(RequestFailed, match="it is not there"):
        await sharing.close_forward(ended)
    with pytest.raises(RequestFailed):
        await sharing.open_forward(OpenForward(1, REMOTE, "", 0, "h", 1))


async def test_only_one_master_is_at_a_path(shared):
    assert shared.start() is None
    assert "already exists, disabling multiplexing" in shared.logged()
    shared.config = parse([f"ControlPath={shared.path}/none"])
    with pytest.raises(ConfigurationError, match=r"^ControlPath .*: Not a directory"):
        shared.start()


async def test_the_time_without_a_client(shared):
    session = asyncio.create_task(run(shared.sharing, "cat"))
    async with asyncio.timeout(30):
        assert await shared.sharing.persist(0.05) == 0
    assert session.done() or not await session
    assert not shared.path.exists()


async def test_exit_ends_the_work_and_stop_lets_it_end(shared):
    hanging = asyncio.Event()

    async def work() -> int:
        await hanging.wait()
        return 0

    ending = asyncio.create_task(shared.sharing.until_terminated(work()))
    await asyncio.sleep(0)
    shared.sharing._master.terminated.set()
    assert await ending == 255
    assert not shared.path.exists()
    async with asyncio.timeout(30):
        await shared.sharing.wait_unused(None)
