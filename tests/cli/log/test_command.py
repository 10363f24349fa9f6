"""``nacre log``."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from nacre.cli.log.command import command
from nacre.daemon.control.caller import ControlCaller
from nacre.daemon.control.place import ControlPlace
from nacre.daemon.control.requests import Follow
from nacre.daemon.control.values import Logged, Lost


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What is asked of a server that logs two records, of which one is lost between them."""
    asked: list[Any] = []

    def ask(_: ControlCaller, name: str, request: object, *, endless: bool) -> Iterator[object]:
        asked.extend((name, request, endless))
        yield Logged(record={"time": "t", "event": "auth", "name": "a b"})
        yield Lost(lines=7)
        yield Logged(record={"bad\nname": "x\n"})

    monkeypatch.setattr(ControlCaller, "ask", ask)
    with ControlPlace(tmp_path):
        yield asked


def test_records_are_words_or_json(tmp_path: Path, asked: list[Any]) -> None:
    words = ["-f", "--state", str(tmp_path), "--user", "a", "--user", "b", "--event", "auth"]
    done = CliRunner().invoke(command, words)
    assert asked == ["log", Follow(users=("a", "b"), events=("auth",)), True]
    first, lost, last = done.output.splitlines()
    assert first == 'time=t event=auth name="a b"'
    assert lost.startswith("event=lost what=")
    assert lost.endswith("lines=7")
    assert last == 'bad\\x0aname="x\\n"'
    done = CliRunner().invoke(command, ["-f", "--json", "--state", str(tmp_path)])
    assert done.output.splitlines()[0] == '{"time": "t", "event": "auth", "name": "a b"}'


def test_what_was_logged_before_is_elsewhere(tmp_path: Path) -> None:
    before = threading.active_count()
    done = CliRunner().invoke(command, ["--state", str(tmp_path)])
    assert (done.exit_code, "give -f" in done.output) == (2, True)
    assert threading.active_count() == before
