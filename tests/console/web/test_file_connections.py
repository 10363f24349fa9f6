"""Connections to the SSH server in the names of users."""

from __future__ import annotations

import pytest

from console.file_server import FileServer
from console.world import Browser, World, at_home
from nacre.console.web import file_connections
from nacre.console.web.calls import APIRefused
from nacre.console.web.file_connections import told
from nacre.errors import ConnectionLost, NoSuchFile, SFTPError


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
