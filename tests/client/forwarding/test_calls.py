"""The calls that forward: what they refuse, and Unix sockets and a remote proxy end to end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

import nacre
from nacre.errors import ChannelOpenFailed, ConfigurationError, RequestFailed
from parties import PASSWORD, client_for

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Generous(nacre.Users):
    def __init__(self) -> None:
        super().__init__({"alice": PASSWORD})

    def remote_listen(self, host: str, port: int, connection: nacre.ServerConnection) -> str:
        return "127.0.0.1"

    def direct_unix_connection(
        self, path: str, connection: nacre.ServerConnection
    ) -> bool | nacre.UnixSockets:
        return not path.endswith("secret")

    def remote_unix_listen(
        self, path: str, connection: nacre.ServerConnection
    ) -> bool | nacre.UnixSockets:
        return nacre.UnixSockets(mask=0o111, replace=True)


@pytest.fixture
async def short() -> AsyncIterator[Path]:
    """A directory with a socket ``echo`` whose program returns what it gets."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read())
        await writer.drain()
        writer.close()

    with TemporaryDirectory(prefix="f", dir="/tmp") as path:
        async with await asyncio.start_unix_server(echo, f"{path}/echo"):
            yield Path(path)


@pytest.fixture
async def ssh(make_server: Any) -> AsyncIterator[nacre.Connection]:
    async with client_for(await make_server(policy=Generous())) as connection:
        yield connection


async def round_trip(opening: Awaitable[Streams], first: bytes = b"") -> bytes:
    reader, writer = await opening
    writer.write(first + b"hello")
    writer.write_eof()
    answer = await asyncio.wait_for(reader.read(), 20)
    writer.close()
    return answer


async def test_every_combination_of_ports_and_paths(ssh: nacre.Connection, short: Path) -> None:
    there = short / "echo"
    async with (
        ssh.forward_local(path=there) as from_port,
        ssh.forward_local(path=there, listen_path=short / "l") as from_path,
        ssh.forward_remote(path=there) as port_there,
        ssh.forward_remote(path=there, listen_path=short / "r") as path_there,
    ):
        assert (from_path.host, from_path.port, from_path.path) == ("", 0, f"{short}/l")
        assert path_there.path == f"{short}/r"
        for port in from_port.port, port_there.port:
            assert await round_trip(asyncio.open_connection("127.0.0.1", port)) == b"hello"
        for path, mode in ("l", 0o600), ("r", 0o666):
            assert await round_trip(asyncio.open_unix_connection(short / path)) == b"hello"
            assert (short / path).stat().st_mode & 0o777 == mode
    assert os.listdir(short) == ["echo"]
    async with ssh.open_unix_connection(there) as tunnel:
        await tunnel.writer.write(b"hello")
        tunnel.writer.write_eof()
        assert await tunnel.reader.read() == b"hello"


async def test_a_path_is_listened_on_once_and_again_after_its_end(
    ssh: nacre.Connection, short: Path
) -> None:
    async with ssh.forward_remote("h", 1, listen_path=short / "r"):
        with pytest.raises(RequestFailed, match="forwarded already"):
            await ssh.forward_remote("h", 1, listen_path=short / "r")
    async with ssh.forward_remote("h", 1, listen_path=short / "r"):
        pass
    with pytest.raises(RequestFailed, match="the path may be taken"):
        await ssh.forward_remote("h", 1, listen_path="relative")


@pytest.mark.parametrize("name", ["secret", "nobody", "a\0b"])
async def test_what_can_not_be_connected_to(ssh: nacre.Connection, short: Path, name: str) -> None:
    with pytest.raises(ChannelOpenFailed):
        await ssh.open_unix_connection(f"{short}/{name}")


async def test_a_proxy_at_the_server_connects_from_here(
    ssh: nacre.Connection, short: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def request(port: int) -> bytes:
        return b"\5\1\0" + b"\5\1\0\3\x09localhost" + port.to_bytes(2, "big")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read())
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        places = [("localhost", port), ("localhost", 1)]
        async with ssh.forward_remote_dynamic(permitted=places) as proxy:
            for wanted, answer in (
                (port, b"\5\0" + b"\5\0\0\1" + bytes(6) + b"hello"),
                (1, b"\5\0" + b"\5\5\0\1" + bytes(6)),  # nothing listens there
                (2, b"\5\0" + b"\5\2\0\1" + bytes(6)),  # not permitted
            ):
                opening = asyncio.open_connection("127.0.0.1", proxy.port)
                assert await round_trip(opening, request(wanted)) == answer
        assert "not among the permitted places" in caplog.text
        async with ssh.forward_remote_dynamic(listen_path=short / "socks"):
            opening = asyncio.open_unix_connection(short / "socks")
            assert (await round_trip(opening, request(port))).endswith(b"hello")


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({}, "give a destination"),
        ({"host": "h", "port": 1, "path": "/p"}, "give a destination"),
        ({"host": "h"}, "is not a port"),
        ({"path": "/p", "listen_port": 65536}, "is not a port"),
    ],
)
async def test_a_destination_is_one_place(
    ssh: nacre.Connection, given: dict[str, Any], text: str
) -> None:
    for call in ssh.forward_local, ssh.forward_remote:
        with pytest.raises(ConfigurationError, match=text):
            call(**given)
    with pytest.raises(ConfigurationError, match="give a destination"):
        ssh.open_unix_connection("")
