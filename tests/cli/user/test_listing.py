"""Tables, on a terminal and as JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from nacre.cli.user.listing import show, shown_expiry, shown_span, shown_time

ROWS = [("alice", 1, None, True), ("a\x1b[2Jb", 22, "", False)]
NAMES = ("name", "keys", "home", "disabled")


def test_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    show(NAMES, ROWS, False)
    # What a name could do to the terminal is written out.
    assert capsys.readouterr().out.splitlines() == [
        "name       keys  home  disabled",
        "alice      1     -     yes",
        "a\\x1b[2Jb  22    -     no",
    ]


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    show(NAMES, ROWS, True, keys=str)
    assert json.loads(capsys.readouterr().out) == [
        {"name": "alice", "keys": "1", "home": None, "disabled": True},
        {"name": "a\x1b[2Jb", "keys": "22", "home": "", "disabled": False},
    ]


@pytest.mark.parametrize(("as_json", "text"), [(True, "[]\n"), (False, "")])
def test_nothing(as_json: bool, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    show(NAMES, [], as_json)
    assert capsys.readouterr().out == text


@pytest.mark.parametrize("seconds", [0, 86399, 1924988407])
def test_times(seconds: int) -> None:
    assert shown_time(seconds) == datetime.fromtimestamp(seconds, UTC).strftime("%FT%TZ")


def test_expiry() -> None:
    assert (shown_expiry(None), shown_expiry(0)) == (None, "never")
    assert shown_expiry(86399) == "1970-01-01T23:59:59Z"


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, None), (0, "never"), (43200, "12h"), (90 * 86400, "90d")]
)
def test_spans(seconds: int | None, text: str | None) -> None:
    assert shown_span(seconds) == text
