"""How the API is reached, at an address and over a Unix socket."""

from __future__ import annotations

import asyncio
import json
import socket
from http import HTTPStatus
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve, unix_serve
from websockets.http11 import Request, Response

from nacre.console.connecting import api_at
from nacre.console.web.calls import APIRefused
from nacre.errors import ConfigurationError


async def test_an_api_may_be_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readuntil(b"\r\n\r\n")
        assert b"authorization: Bearer key" in asked.replace(b"Authorization", b"authorization")
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        writer.close()

    server = await asyncio.start_unix_server(answer, path)
    async with server:
        api = api_at(str(path), "key")
        assert await api.call(api.key, "GET", "/v1/health") is None
        await api.close()


def test_an_authority_that_is_none_is_refused(tmp_path: Path) -> None:
    wrong = tmp_path / "x.pem"
    wrong.write_text("nonsense")
    for path in (wrong, tmp_path / "missing"):
        with pytest.raises(ConfigurationError, match="can't use"):
            api_at("https://api.test", "", str(path))


async def test_an_api_that_is_not_there_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    api = api_at(f"http://127.0.0.1:{port}", "")
    with pytest.raises(APIRefused, match="does not answer"):
        await api.call("", "GET", "/v1/health")
    await api.close()


async def echo(connection: ServerConnection) -> None:
    """Say the path and the key, and each message again; end after the word ``over``."""
    request = connection.request
    assert request is not None
    await connection.send(f"{request.path} {request.headers['authorization']}")
    async for message in connection:
        await connection.send(message)
        if json.loads(message) == {"typed": "over"}:
            return


async def test_a_websocket_of_the_api_goes_both_ways_up_to_its_end(tmp_path: Path) -> None:
    path = str(tmp_path / "api.sock")
    async with asyncio.timeout(30), unix_serve(echo, path), serve(echo, "127.0.0.1", 0) as tcp:
        port = next(iter(tcp.sockets)).getsockname()[1]
        for place in (path, f"http://127.0.0.1:{port}"):
            api = api_at(place, "")
            async with api.dial("token", "/v1/x?channel=1") as opened:
                texts = aiter(opened)
                assert await anext(texts) == "/v1/x?channel=1 Bearer token"
                await opened.send({"typed": "ä"})
                assert json.loads(await anext(texts)) == {"typed": "ä"}
                await opened.send({"typed": "over"})
                assert [json.loads(one) async for one in opened] == [{"typed": "over"}]
                await opened.send({"typed": "later"})
            await api.close()


async def test_a_websocket_that_is_refused_says_why() -> None:
    def refuse(connection: ServerConnection, _request: Request) -> Response:
        return connection.respond(HTTPStatus.CONFLICT, '{"detail": "there is no session"}')

    async with serve(echo, "127.0.0.1", 0, process_request=refuse) as server:
        api = api_at(f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}", "")
        with pytest.raises(APIRefused) as raised:
            async with api.dial("token", "/v1/x"):
                pass
    assert (raised.value.status, raised.value.detail) == (409, "there is no session")
    with pytest.raises(APIRefused, match="does not answer"):
        async with api.dial("token", "/v1/x"):
            pass
    await api.close()
