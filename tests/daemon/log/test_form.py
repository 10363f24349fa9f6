"""Records as lines of text and of JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nacre.daemon.log.form import json_line, line


def test_line() -> None:
    assert line({"event": "auth", "attempt": 1}) == "event=auth attempt=1"
    assert line({"a": "two words", "b": "", "c": 'q"', "d": "x=y"}) == (
        'a="two words" b="" c="q\\"" d="x=y"'
    )


@pytest.mark.parametrize("text", ["a\nevent=forged", "\x1b[2J", "\u202e", "\x7f", "\u2028", "\r"])
def test_nothing_forges_a_line_or_repaints(text: str) -> None:
    shown = line({"name": text})
    assert shown.isprintable()
    assert shown.count("\n") == 0
    assert shown.startswith('name="')
    shown = json_line({"name": text})
    assert (shown.isascii(), shown.isprintable()) == (True, True)
    assert json.loads(shown) == {"name": text}


def test_json_keeps_numbers_and_flags() -> None:
    record = {"event": "file", "bytes": 5, "seconds": 0.5, "granted": True, "status": None}
    assert json.loads(json_line({**record, "path": Path("/x")})) == {**record, "path": "/x"}
