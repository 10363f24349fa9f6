"""The Unix socket that leads to the client's agent, and connections that the client refuses."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import stat
from pathlib import Path

import pytest

from blocking.forks import in_child
from nacre.protocol.tcpip import AGENT_CHANNEL
from nacre.server.agent import AgentSocket, open_agent_socket
from nacre.server.offer import offer
from server.stand_ins import RecordingConnection


def mode(path: str) -> int:
    return stat.S_IMODE(os.lstat(path).st_mode)


async def test_only_the_owner_can_reach_the_socket_and_the_end_removes_it() -> None:
    connection = RecordingConnection()
    async with await open_agent_socket(connection, None) as agent:
        assert (mode(os.path.dirname(agent.path)), mode(agent.path)) == (0o700, 0o600)
    assert not os.path.exists(os.path.dirname(agent.path))
    await connection.idle()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a socket to another account")
async def test_directory_and_socket_belong_to_the_owner() -> None:
    connection = RecordingConnection()
    async with AgentSocket(connection, (65534, 65534)) as agent:
        for path in (agent.path, os.path.dirname(agent.path)):
            status = os.stat(path)
            assert (status.st_uid, status.st_gid) == (65534, 65534)
    await connection.idle()


async def test_nothing_is_left_when_the_socket_can_not_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def refuse(path: str, uid: int, gid: int) -> None:
        raise PermissionError("no")

    monkeypatch.setattr(os, "chown", refuse)
    with pytest.raises(PermissionError):
        AgentSocket(RecordingConnection(), (1, 1))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("missing", ["open", "socket"])
async def test_nothing_is_left_without_descriptors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = os.listdir("/proc/self/fd")

    def refuse(*about: object, **options: object) -> None:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(os if missing == "open" else socket, missing, refuse)
        with pytest.raises(OSError, match="Too many"):
            AgentSocket(RecordingConnection(), None)
    assert os.listdir(tmp_path) == []
    assert os.listdir("/proc/self/fd") == before


async def test_a_forked_child_leaves_the_socket_to_its_parent() -> None:
    connection = RecordingConnection()
    async with AgentSocket(connection, None) as agent:
        assert in_child(agent.close) == "None"
        with socket.socket(socket.AF_UNIX) as program:
            program.connect(agent.path)
    await connection.idle()


async def test_a_directory_put_in_its_place_is_not_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The owner may rename the directory: what the server removes is its own socket."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    connection = RecordingConnection()
    agent = AgentSocket(connection, None)
    directory = Path(agent.path).parent
    moved = directory.rename(tmp_path / "moved")
    directory.mkdir()
    (directory / "agent").write_text("of another")
    agent.close()
    assert (directory / "agent").read_text() == "of another"
    assert os.listdir(moved) == []
    await connection.idle()
    shutil.rmtree(directory)


async def test_a_client_that_refuses_the_channel_closes_the_connection() -> None:
    connection = RecordingConnection()
    async with AgentSocket(connection, None) as agent, asyncio.timeout(30):
        reader, writer = await asyncio.open_unix_connection(agent.path)
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
    await connection.idle()
    (record,) = connection.recorded("forward")
    assert record["channel"] == AGENT_CHANNEL


async def test_a_refusal_after_the_end_is_not_recorded() -> None:
    connection = RecordingConnection()
    connection.ended = True
    ours, theirs = socket.socketpair()
    with theirs:
        await offer(connection, AGENT_CHANNEL, b"", ours)
    assert ours.fileno() == -1
    assert connection.records == []
