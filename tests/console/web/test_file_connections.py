"""Connections to the SSH server in the names of users."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from console.file_server import FileServer
from console.world import Browser, World, at_home
from nacre.console.web import file_connections
from nacre.console.web.browsers import BrowserSession
from nacre.console.web.calls import APIRefused, ConsoleAPI
from nacre.console.web.file_connections import FileConnections, told
from nacre.console.web.logins import SSHLogins
from nacre.errors import AuthenticationFailed, ConnectionLost, NoSuchFile, SFTPError


@pytest.mark.parametrize(
    ("error", "status", "detail"),
    [
        (NoSuchFile(2, "No such file", "/a\n<b>"), 404, "/a\\x0a<b>: No such file"),
        (SFTPError(122, "Disk quota exceeded"), 422, "Disk quota exceeded"),
        (PermissionError(13, "Permission denied", "/a"), 403, "/a: Permission denied"),
        (ConnectionLost("it is gone"), 503, "it is gone"),
        (APIRefused(418, "as it was"), 418, "as it was"),
    ],
)
def test_what_a_person_is_told_of_an_error(error: Exception, status: int, detail: str) -> None:
    found = told(error)
    assert (found.status, found.detail) == (status, detail)


def test_an_unused_connection_ends(
    uma: Browser, server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_connections, "IDLE", 0.0)
    assert uma.get("/files").status_code == 200
    for _ in range(3):
        uma.get("/you")  # the loop goes on
    server.drop()  # it waits for what ends
    assert server.connections() == 0
    assert uma.get("/files").status_code == 200


def test_all_sessions_together_have_so_many_connections(
    uma: Browser, server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_connections, "MOST_CONNECTIONS", 0)
    answer = uma.get("/files")
    assert (answer.status_code, "too many people" in answer.text) == (503, True)


def test_without_a_server_the_page_says_so(world: World) -> None:
    with at_home(world, "uma") as browser:
        answer = browser.get("/files")
    assert (answer.status_code, "give the console --ssh" in answer.text) == (503, True)


def test_the_policy_of_the_server_decides(uma: Browser, world: World, server: FileServer) -> None:
    """A user who may use a shell alone has no files in the console, either."""
    world.resources.store.change("uma", service="shell")
    answer = uma.get("/files")
    assert (answer.status_code, "refused the subsystem" in answer.text) == (503, True)
    assert "refused" in {one["event"] for one in server.records}


def test_a_connection_that_ends_while_the_api_is_asked_is_replaced(
    uma: Browser, world: World, server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert uma.get("/files").status_code == 200
    monkeypatch.setattr(file_connections, "_AGAIN", 0.0)
    call = ConsoleAPI.call

    async def ending(api: ConsoleAPI, token: str, method: str, path: str, **more: Any) -> Any:
        found = await call(api, token, method, path, **more)
        if method == "GET":
            files = world.app._console.files
            for place in files._places.values():
                files._end(place)  # as the timer does
        return found

    monkeypatch.setattr(ConsoleAPI, "call", ending)
    assert uma.get("/files").status_code == 200


def test_a_refused_login_is_not_tried_again_at_once(
    uma: Browser, world: World, server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    async def refused(self: SSHLogins, session: BrowserSession) -> Any:
        tries.append(session)
        raise AuthenticationFailed("the server takes no password")

    with monkeypatch.context() as patch:
        patch.setattr(SSHLogins, "log_in", refused)
        for _ in range(3):
            answer = uma.get("/files")
            assert (answer.status_code, "takes no password" in answer.text) == (503, True)
        assert len(tries) == 1
        uma.client.cookies.clear()
        uma.sign_in("otto")
        patch.setattr(file_connections, "_REFUSED", 0.0)
        assert uma.get("/files").status_code == 503
        assert len(tries) == 2, "other sessions have their own"
    assert uma.get("/files").status_code == 200, "after a while it is tried again"


async def test_those_that_log_in_count_as_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_connections, "MOST_CONNECTIONS", 1)
    begun, never = asyncio.Event(), asyncio.Event()

    class Slow:
        async def call(self, *_words: object) -> None:
            begun.set()
            await never.wait()

    class Named:
        token = ""

    api = cast(ConsoleAPI, Slow())
    found = FileConnections(api, lambda _session: True, SSHLogins(api))

    async def use() -> None:
        async with found.opened(cast(BrowserSession, Named())):
            pass

    first = asyncio.create_task(use())
    async with asyncio.timeout(30):
        await begun.wait()
        with pytest.raises(APIRefused, match="too many people"):
            await use()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert not found._places
