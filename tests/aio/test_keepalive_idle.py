"""Channels and connections without traffic are closed, others are not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nacre
from nacre.aio.channel import kind_of
from nacre.aio.keepalive import IdleWatch
from nacre.protocol.requests import Exec, Shell, Subsystem
from parties import client_for
from server.test_serving_terms import server_with

pytestmark = pytest.mark.slow

Make = Callable[..., Any]
Records = list[dict[str, object]]


async def ended(process: Any) -> None:
    async with asyncio.timeout(30):
        await process.stdout.read()


@pytest.mark.parametrize(
    ("command", "pattern"),
    [("hang", "session:command"), ("hang", "session:*"), (None, "session:shell"), ("cat", "*")],
)
async def test_a_silent_channel_is_closed(
    make_server: Make, records: Records, command: str | None, pattern: str
) -> None:
    server = await server_with(make_server, channel_timeouts=((pattern, 1),))
    async with client_for(server) as ssh, ssh.process(command) as process:
        await ended(process)
        assert not ssh.closed
    (record,) = [r for r in records if r["event"] == "timeout"]
    assert record["type"] == ("session:shell" if command is None else "session:command")


async def test_the_first_pattern_that_matches_counts_and_traffic_keeps_a_channel(
    make_server: Make, records: Records
) -> None:
    timeouts = (("session:command", 0), ("*", 1))
    server = await server_with(make_server, channel_timeouts=timeouts)
    async with (
        client_for(server) as ssh,
        ssh.process("cat") as kept,
        ssh.process(None) as closed,
    ):
        await ended(closed)
        await kept.stdin.write(b"still here")
        assert await kept.stdout.read(10) == b"still here"
        kept.stdin.write_eof()
        assert await kept.wait() == 0
    assert len([r for r in records if r["event"] == "timeout"]) == 1


async def test_traffic_on_one_channel_counts_for_all(make_server: Make, records: Records) -> None:
    server = await server_with(make_server, channel_timeouts=(("global", 1),))
    loop = asyncio.get_running_loop()
    async with (
        client_for(server) as ssh,
        ssh.process("cat") as busy,
        ssh.process("hang") as silent,
    ):
        started = loop.time()
        while loop.time() - started < 1.5:
            await busy.stdin.write(b"x")
            assert await busy.stdout.read(1) == b"x"
            await asyncio.sleep(0.05)
        assert not [r for r in records if r["event"] == "timeout"]
        await ended(silent)
        await ended(busy)


async def test_an_unused_connection_is_closed(make_server: Make) -> None:
    server = await server_with(make_server, unused_timeout=1)
    async with client_for(server) as ssh:
        async with asyncio.timeout(30):
            await ssh.wait_closed()
        with pytest.raises(nacre.Disconnected, match="no channel was open for 1 seconds"):
            await ssh.run("exit 0")


async def test_a_connection_with_a_channel_is_not_unused(make_server: Make) -> None:
    server = await server_with(make_server, unused_timeout=1)
    async with client_for(server) as ssh, ssh.process("cat") as process:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.5):
                await ssh.wait_closed()
        process.stdin.write_eof()
        assert await process.wait() == 0


# --- the client's side ---


async def test_the_client_closes_its_idle_channels(make_server: Make) -> None:
    """As ssh_config says; a session that is in use stays."""
    server = await make_server()
    async with client_for(server) as ssh:
        IdleWatch(ssh, (("session:shell", 1),), None, lambda channel: told.append(channel.kind))
        told: list[str] = []
        async with ssh.process("cat") as kept, ssh.process(None) as closed:
            await ended(closed)
            await kept.stdin.write(b"still here")
            assert await kept.stdout.read(10) == b"still here"
        assert told == ["session:shell"]


async def test_the_client_has_the_timeouts_of_the_file(make_server: Make, tmp_path: Path) -> None:
    server = await make_server()
    config = tmp_path / "config"
    config.write_text("ChannelTimeout direct-*=5m session:command=1s\n")
    async with client_for(server, config=config) as ssh, ssh.process("hang") as process:
        await ended(process)
        assert not ssh.closed


@pytest.mark.parametrize(
    ("channel_type", "request_", "kind"),
    [
        ("session", Shell(), "session:shell"),
        ("session", Exec(b"ls"), "session:command"),
        ("session", Subsystem("sftp"), "session:subsystem:sftp"),
        ("direct-tcpip", None, "direct-tcpip"),
        ("auth-agent@openssh.com", None, "agent-connection"),
    ],
)
def test_types_of_channels(channel_type: str, request_: Any, kind: str) -> None:
    assert kind_of(channel_type, request_) == kind
