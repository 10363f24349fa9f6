"""Templates, and values as people read them."""

from __future__ import annotations

import time
from importlib.resources import files
from typing import Any

import pytest
from jinja2 import UndefinedError

from nacre.console.web.rendering import STATIC, Templates, moment, said, since, size, span, words


@pytest.mark.parametrize(
    ("number", "shown"),
    [(None, "–"), (0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (1 << 80, "1073741824.0 PiB")],
)
def test_sizes(number: int | None, shown: str) -> None:
    assert size(number) == shown


def test_times() -> None:
    assert [moment(one) for one in (None, 0, 86400 * 365)] == ["–", "–", "1971-01-01 00:00:00"]
    assert moment(1e300) == "1e+300"
    assert [span(one) for one in (-1, 59, 60, 7200, 86400 * 3)] == [
        *("0 s", "59 s", "1 min", "2 h", "3 d")
    ]
    assert since(time.time() - 7300) == "2 h"
    assert words("max_sessions") == "max sessions"
    assert [said(one) for one in (True, False, 1, "x")] == ["yes", "no", "1", "x"]


def test_what_is_put_in_is_text_and_what_is_missing_is_a_fault() -> None:
    templates = Templates()
    common: dict[str, Any] = {
        "me": None,
        "notice": "",
        "menu": [],
        "here": "/",
        "csrf": "",
        "changes": False,
    }
    text = templates.render("problem.html", {**common, "code": 404, "detail": "<b>x</b>"})
    assert "&lt;b&gt;x&lt;/b&gt;" in text
    with pytest.raises(UndefinedError):
        templates.render("problem.html", common)


def test_a_file_that_changes_has_another_address() -> None:
    static = Templates()._environment.globals["static"]
    assert isinstance(static, dict)
    assert static["console.js"].startswith("/static/console.js?")
    first = sum(len(STATIC[name][0]) for name in ("console.css", "console.js"))
    assert first < 50_000, "a first page has less than 200 kB"


def test_what_others_have_written_comes_with_its_licence() -> None:
    folder = files("nacre.console").joinpath("static")
    notice = folder.joinpath("NOTICE").read_text()
    own = {"console.css", "console.js", "files.js", "join.js", "replay.js", "shell.js"}
    own |= {"terminal.js", "watch.js", "webauthn.js"}
    for name in STATIC.keys() - own:
        assert name in notice
    assert "Apache License" in folder.joinpath("asciinema-player.LICENSE").read_text()
    for name in ("xterm.LICENSE", "xterm-addon-fit.LICENSE"):
        assert "Permission is hereby granted" in folder.joinpath(name).read_text()
        assert name in notice
