"""The list of recordings."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from cli.replay.recorded import STARTED, write_recording
from nacre.cli.replay.listing import list_recordings
from nacre.crypto.sealing import SealKey

KEY = SealKey.generate()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    day = tmp_path / "2023-11-14"
    first = write_recording(day / "1.cast", [(1.0, b"x")])
    write_recording(day / "2.sealed", [], user="bob", recipient=KEY.public, started=STARTED + 60)
    os.utime(first, (STARTED + 5, STARTED + 5))
    return tmp_path


def rows(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(capsys.readouterr().out)
    return found


def test_each_tells_whose_it_is_without_a_key(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert list_recordings(directory, None, None, as_json=True) == 0
    first, second = rows(capsys)
    assert first == {
        "user": "alice",
        "from": "192.0.2.1",
        "kind": "command",
        "began": "2023-11-14T22:13:20Z",
        "seconds": 5,
        "bytes": (directory / "2023-11-14" / "1.cast").stat().st_size,
        "sealed": False,
        "file": str(directory / "2023-11-14" / "1.cast"),
    }
    assert (second["user"], second["sealed"]) == ("bob", True)


def test_those_of_a_user_or_of_some_time(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    list_recordings(directory, "bob", None, as_json=True)
    assert [row["user"] for row in rows(capsys)] == ["bob"]
    list_recordings(directory, None, int(STARTED + 30) * 1_000_000, as_json=True)
    assert [row["user"] for row in rows(capsys)] == ["bob"]
    list_recordings(directory, None, int(STARTED + 61) * 1_000_000, as_json=True)
    assert rows(capsys) == []


def test_what_is_damaged_is_named(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (directory / "2023-11-14" / "0.cast").write_text("no header\n")
    assert list_recordings(directory, None, None, as_json=False) == 1
    said = capsys.readouterr()
    assert "0.cast: it is no recording" in said.err
    assert "alice" in said.out
