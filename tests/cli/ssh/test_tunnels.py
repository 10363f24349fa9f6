"""Forwardings of ``nacre ssh``: what starts, and what is reported when it does not."""

from __future__ import annotations

import logging
import socket
import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import nacre
from nacre.cli.common.log import Log, open_log
from nacre.cli.ssh.tunnels import start_forwarding
from nacre.client.target import Target
from nacre.config.client.files import parse
from nacre.config.values import LogLevel
from nacre.errors import RequestFailed
from parties import PASSWORD, client_for

TARGET = Target("name", "host", 22, "alice")


@pytest.fixture(autouse=True)
def _no_handler_stays() -> Iterator[None]:
    """The programs show the library's warnings until they end, and so would the test run."""
    logger = logging.getLogger("nacre.client")
    before = [*logger.handlers]
    yield
    logger.handlers = before


@pytest.fixture
async def ssh() -> AsyncIterator[nacre.Connection]:
    server = await nacre.listen(
        host_keys=[nacre.generate("ssh-ed25519")],
        policy=nacre.Users({"alice": PASSWORD}),
        log=lambda record: None,
    )
    async with server, client_for(server) as connection:
        yield connection


async def start(ssh: nacre.Connection, path: Path, *options: str) -> list[str]:
    """Start forwardings, and return the lines that were logged."""
    with open_log(str(path)) as file:
        await start_forwarding(ssh, TARGET, parse(options), Log(LogLevel.VERBOSE, file))
    return path.read_text().splitlines()


async def test_a_local_port_is_listened_on(
    ssh: nacre.Connection, tmp_path: Path, unused_tcp_port: int
) -> None:
    option = f"LocalForward=127.0.0.1:{unused_tcp_port} localhost:9"
    assert await start(ssh, tmp_path / "log", option) == []
    with socket.create_connection(("127.0.0.1", unused_tcp_port), 10):
        pass


async def test_a_dynamic_port_is_listened_on(
    ssh: nacre.Connection, tmp_path: Path, unused_tcp_port: int
) -> None:
    assert await start(ssh, tmp_path / "log", f"DynamicForward={unused_tcp_port}") == []
    with socket.create_connection(("127.0.0.1", unused_tcp_port), 10):
        pass


async def test_a_port_in_use_is_reported_and_the_session_starts(
    ssh: nacre.Connection, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        option = f"LocalForward=127.0.0.1:{port} localhost:9"
        (line,) = await start(ssh, tmp_path / "log", option)
        assert line == (
            f"bind [127.0.0.1]:{port}: Address already in use; choose another port or address, "
            "or end the program that uses it"
        )
        with pytest.raises(RequestFailed, match="without ExitOnForwardFailure"):
            await start(ssh, tmp_path / "log", option, "ExitOnForwardFailure=yes")


async def test_a_port_that_the_server_refuses(ssh: nacre.Connection, tmp_path: Path) -> None:
    (line,) = await start(ssh, tmp_path / "log", "RemoteForward=0 localhost:9")
    assert line.startswith("Warning: remote port forwarding failed for listen port 0: ")


async def test_a_permission_that_is_missing(
    ssh: nacre.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*words: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(ssh), "forward_local", refused)
    (line,) = await start(ssh, tmp_path / "log", "LocalForward=80 localhost:9")
    assert line == "bind [localhost]:80: Permission denied; ports below 1024 need root"


async def test_an_agent_without_a_socket_is_reported(
    ssh: nacre.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (line,) = await start(ssh, tmp_path / "log", "ForwardAgent=yes")
    assert line.startswith("No agent is forwarded: ")
    assert await start(ssh, tmp_path / "other", "ForwardAgent=no") == []


async def test_unix_sockets_are_listened_on_with_their_mask(ssh: nacre.Connection) -> None:
    with TemporaryDirectory(prefix="f", dir="/tmp") as short:
        log, other, path = Path(short, "log"), Path(short, "other"), Path(short, "s")
        options = [f"LocalForward={path} /run/there", "StreamLocalBindMask=0111"]
        assert await start(ssh, log, *options) == []
        assert stat.S_IMODE(path.stat().st_mode) == 0o666
        (line,) = await start(ssh, log, *options)
        assert line == (
            f"bind {path}: Address already in use; remove the file, or set StreamLocalBindUnlink"
        )
        assert await start(ssh, other, *options, "StreamLocalBindUnlink=yes") == []
        (line,) = await start(ssh, other, f"DynamicForward={short}/none/s")
        assert line == f"bind {short}/none/s: No such file or directory"


@pytest.mark.parametrize(
    ("option", "place"),
    [
        ("RemoteForward=/run/a h:80", "path /run/a"),
        ("RemoteForward=/run/a /run/b", "path /run/a"),
        ("RemoteForward=8080 /run/b", "port 8080"),
        ("RemoteForward=8080", "port 8080"),
    ],
)
async def test_what_the_server_refuses_is_named(
    ssh: nacre.Connection, tmp_path: Path, option: str, place: str
) -> None:
    (line,) = await start(ssh, tmp_path / "log", option)
    assert line.startswith(f"Warning: remote port forwarding failed for listen {place}: ")
    with pytest.raises(RequestFailed, match="ExitOnForwardFailure"):
        await start(ssh, tmp_path / "log", option, "ExitOnForwardFailure=yes")
