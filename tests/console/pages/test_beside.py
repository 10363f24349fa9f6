"""What a connection did beside a session that was recorded."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.api.recordings.kept import link_to
from console.world import World, world_at
from nacre.console.pages import beside as module

EVIL = "<script>alert(1)</script>"
SHELL, STARTED = "2030-01-02/000100.000-uma-a.cast", 1_893_542_460.0


def write(directory: Path, path: str, started: float, *lines: object, **own: object) -> None:
    """Write a recording of uma's connection 1.7."""
    file = directory / path
    file.parent.mkdir(exist_ok=True)
    facts = {"user": "uma", "from": "192.0.2.9", "connection": 7, "gate": 1, "kind": "shell"}
    head = {
        "version": 3,
        "term": {"cols": 80, "rows": 24},
        "nacre": {**facts, **own, "started": started},
    }
    file.write_text("".join(json.dumps(one) + "\n" for one in (head, *lines)))
    os.utime(file, (started + 60, started + 60))  # the last write: the end


def note(interval: float, **fields: str) -> list[object]:
    return [interval, "n", json.dumps(fields)]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    found = tmp_path / "recordings"
    found.mkdir()
    write(found, SHELL, STARTED, [0.5, "o", "x"])
    return found


@pytest.fixture
def world(tmp_path: Path, directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with link_to(directory) as link, world_at(tmp_path, monkeypatch, recordings=link) as world:
        yield world


def shown(world: World) -> str:
    return world.browser("otto").get(f"/recordings/{SHELL}").text


def test_operations_have_the_time_of_the_recording(world: World, directory: Path) -> None:
    notes = [note(1.0, op="open", path="/a"), note(61.0, op="remove", path=EVIL)]
    write(directory, "2030-01-02/000059.000-uma-b.cast", STARTED - 2, *notes, kind="connection")
    text = shown(world)
    assert "-0:01.0 <code>op=open  path=/a</code>" in text
    assert '<a href="#t=60.0">1:00.0</a>' in text
    assert (EVIL in text, "&lt;script&gt;" in text) == (False, True)


@pytest.mark.parametrize(
    "other",
    [
        {"kind": "connection", "connection": 8},
        {"kind": "connection", "gate": 2},
        {"kind": "connection", "from": "192.0.2.8"},
        {"kind": "connection", "user": "eve"},
        {"kind": "command"},
    ],
)
def test_other_recordings_are_not_beside(
    world: World, directory: Path, other: dict[str, Any]
) -> None:
    write(directory, "2030-01-02/000101.000-uma-b.cast", STARTED + 1, note(1.0, op="x"), **other)
    assert "Files and forwards" not in shown(world)


@pytest.mark.parametrize("later", [-7200.0, 7200.0])
def test_another_connection_of_the_same_number_is_not_beside(
    world: World, directory: Path, later: float
) -> None:
    path = "2030-01-02/000101.000-uma-b.cast"
    write(directory, path, STARTED + later, note(1.0, op="x"), kind="connection")
    assert "Files and forwards" not in shown(world)


def test_what_is_damaged_or_too_much_is_left_out(
    world: World, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_NOTES", 3)
    monkeypatch.setattr("nacre.console.pages.recordings.MOST_NOTES", 3)
    lines = [
        ["x"],
        [],
        7,
        [1, "n", "no JSON"],
        [1, "n", "[]"],
        *(note(1, op="x") for _ in range(9)),
    ]
    path = "2030-01-02/000101.000-uma-b.cast"
    write(directory, path, STARTED + 1, *lines, kind="connection")
    text = shown(world)
    assert text.count("op=x") == 3
    assert "These are the first 3." in text


def test_a_recording_without_facts_has_nothing_beside(world: World, directory: Path) -> None:
    for head in ("no JSON", "[]", '{"version": 3, "nacre": 7}', ""):
        (directory / SHELL).write_text(f"{head}\n")
        assert "Files and forwards" not in shown(world)
