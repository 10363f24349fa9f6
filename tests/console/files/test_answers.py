"""Answers with the contents of files; tests/console/pages/test_files.py has the usual ones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from console.file_server import FileServer
from console.world import Browser
from nacre.console.web import file_connections
from nacre.sftp.client.file import SFTPFile


def test_a_special_file_is_not_opened(uma: Browser, homes: Path) -> None:
    """A pipe would hang until somebody writes to it."""
    os.mkfifo(homes / "uma" / "pipe")
    (homes / "uma" / "sub").mkdir()
    for page in ("view", "download", "image"):
        for path in ("/pipe", "/sub"):
            answer = uma.get(f"/files/{page}?path={path}")
            assert (answer.status_code, "no plain file" in answer.text) == (422, True), page


def test_an_empty_file_is_downloaded(uma: Browser, homes: Path) -> None:
    (homes / "uma" / "empty").write_bytes(b"")
    answer = uma.get("/files/download?path=/empty")
    assert (answer.status_code, answer.content) == (200, b"")


def test_answers_leave_nothing_open(uma: Browser, homes: Path, server: FileServer) -> None:
    (homes / "uma" / "a").write_bytes(b"\xff\xd8\xff")
    for _ in range(file_connections.MOST_TRANSFERS + 1):
        for page in ("download?path=/a", "image?path=/a", "zip?path=/"):
            assert uma.get(f"/files/{page}").status_code == 200
        assert uma.get("/files/zip?path=/gone").status_code == 404
        ranges = {"Range": "bytes=9-"}
        assert uma.get("/files/download?path=/a", headers=ranges).status_code == 416
    assert server.connections() == 1


def test_little_is_read_ahead_of_a_browser(
    uma: Browser, homes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (homes / "uma" / "sub").mkdir()
    (homes / "uma" / "sub" / "big").write_bytes(b"\xff\xd8\xff" + bytes(1 << 20))
    found: set[int] = set()
    ask = SFTPFile._ask

    def noted(file: SFTPFile) -> None:
        found.add(file.ahead)
        ask(file)

    monkeypatch.setattr(SFTPFile, "_ask", noted)
    for page in ("download?path=/sub/big", "image?path=/sub/big", "zip?path=/sub"):
        assert uma.get(f"/files/{page}").status_code == 200
    assert found == {file_connections.AHEAD}
