"""Uploads of a session, and when they end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from console.file_server import FileServer
from console.world import Browser, World
from nacre.console.web import file_connections, uploads


def begin(browser: Browser, name: str, size: str = "10") -> tuple[int, str]:
    answer = browser.post("/files/uploads?path=/", name=name, size=size)
    return answer.status_code, answer.json()["id"] if answer.status_code == 201 else ""


def test_a_session_has_so_many_transfers_at_once(uma: Browser, homes: Path) -> None:
    begun = [begin(uma, str(number)) for number in range(file_connections.MOST_TRANSFERS)]
    assert {status for status, _ in begun} == {201}
    assert begin(uma, "more")[0] == 429
    (homes / "uma" / "a").write_text("x")
    assert uma.get("/files/download?path=/a").status_code == 429
    assert uma.get("/files").status_code == 200, "looking is no transfer"
    assert uma.post(f"/files/uploads/{begun[0][1]}/cancel").status_code == 200
    assert begin(uma, "more")[0] == 201


@pytest.mark.parametrize("size", ["", "-1", "x", "1" * 17, "9" * 16])
def test_a_size_that_is_none_is_refused(uma: Browser, homes: Path, size: str) -> None:
    assert begin(uma, "a", size)[0] == 422
    assert os.listdir(homes / "uma") == []


@pytest.fixture
def clean(world: World) -> None:
    """Have the server remove what has come of an upload that breaks off."""
    world.resources.store.change("uma", uploads="atomic", partial_uploads="remove")


@pytest.mark.usefixtures("clean")
def test_an_upload_that_nobody_goes_on_with_is_given_up(
    uma: Browser, homes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "IDLE", 0.0)
    status, number = begin(uma, "a")
    assert status == 201
    assert uma.get(f"/files/uploads/{number}").status_code == 404
    assert uma.get("/files").status_code == 200
    assert "a" not in os.listdir(homes / "uma")


def test_an_upload_goes_with_its_connection(uma: Browser, homes: Path, server: FileServer) -> None:
    _, number = begin(uma, "a")
    server.drop()
    headers = {"X-CSRF": uma.csrf()}
    path = f"/files/uploads/{number}?offset=0"
    lost = uma.client.post(path, content=b"12345", headers=headers)
    assert lost.status_code == 503
    assert uma.get(f"/files/uploads/{number}").status_code == 404
    assert begin(uma, "b")[0] == 201, "a new one begins over a new connection"


@pytest.mark.usefixtures("clean")
def test_the_end_of_the_console_gives_uploads_up(uma: Browser, world: World, homes: Path) -> None:
    begin(uma, "a")
    assert uma.client.portal is not None
    uma.client.portal.call(world.app.close)
    assert "a" not in os.listdir(homes / "uma")


@pytest.mark.parametrize("end", ["cancel", "finish"])
@pytest.mark.usefixtures("clean")
def test_a_file_that_another_client_has_made_meanwhile_is_not_removed(
    uma: Browser, homes: Path, end: str
) -> None:
    status, number = begin(uma, "a", "0")
    assert status == 201
    (homes / "uma" / "a").write_text("of another client")
    done = uma.post(f"/files/uploads/{number}/{end}")
    assert done.status_code == (200 if end == "cancel" else 409)
    uma.get("/files")
    assert (homes / "uma" / "a").read_text() == "of another client"


def test_what_has_come_of_an_upload_stays_where_the_server_keeps_it(
    uma: Browser, homes: Path
) -> None:
    _, number = begin(uma, "a")
    headers = {"X-CSRF": uma.csrf()}
    path = f"/files/uploads/{number}"
    assert uma.client.post(f"{path}?offset=0", content=b"12345", headers=headers).is_success
    assert uma.post(f"{path}/cancel").status_code == 200
    assert (homes / "uma" / "a").read_bytes() == b"12345"


@pytest.mark.usefixtures("clean")
def test_an_upload_that_breaks_off_replaces_nothing_where_uploads_are_atomic(
    uma: Browser, homes: Path
) -> None:
    (homes / "uma" / "a").write_text("before")
    answer = uma.post("/files/uploads?path=/", name="a", size="10", replace="yes")
    path = f"/files/uploads/{answer.json()['id']}"
    headers = {"X-CSRF": uma.csrf()}
    sent = uma.client.post(f"{path}?offset=0", content=b"12345", headers=headers)
    assert sent.json() == {"written": 5}
    assert uma.post(f"{path}/cancel").status_code == 200
    uma.get("/files")  # behind what the server does at the end of the upload
    assert (homes / "uma" / "a").read_text() == "before"


@pytest.mark.parametrize("what", ["append", "finish"])
def test_who_is_disabled_goes_on_with_no_upload(
    uma: Browser, world: World, homes: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(file_connections, "_AGAIN", 0.0)
    world.resources.store.change("uma", uploads="atomic", partial_uploads="remove")
    _, number = begin(uma, "a", "5")
    headers = {"X-CSRF": uma.csrf()}
    path = f"/files/uploads/{number}"
    if what == "finish":
        sent = uma.client.post(f"{path}?offset=0", content=b"12345", headers=headers)
        assert sent.json() == {"written": 5}
    world.resources.store.change("uma", disabled=True)
    if what == "append":
        refused = uma.client.post(f"{path}?offset=0", content=b"12345", headers=headers)
    else:
        refused = uma.client.post(f"{path}/finish", data={"csrf": headers["X-CSRF"]})
    assert (refused.status_code, refused.headers["location"]) == (303, "/sign-in")
    assert "a" not in os.listdir(homes / "uma")


def test_the_end_of_an_upload_may_be_asked_for_again(
    uma: Browser, homes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer may be lost; the file is whole nevertheless."""
    _, number = begin(uma, "a", "0")
    for _ in range(2):
        done = uma.post(f"/files/uploads/{number}/finish")
        assert (done.status_code, done.json()) == (200, {"written": 0})
    uma.client.cookies.clear()
    uma.sign_in("otto")
    assert uma.post(f"/files/uploads/{number}/finish").status_code == 404
    monkeypatch.setattr(uploads, "_KNOWN", 0.0)
    _, number = begin(uma, "b", "0")
    assert uma.post(f"/files/uploads/{number}/finish").status_code == 200
    assert uma.post(f"/files/uploads/{number}/finish").status_code == 404
