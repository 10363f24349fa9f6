"""How connections are shown."""

from __future__ import annotations

from dataclasses import replace

import pytest

from daemon.control.answering import DETAILS, connection
from nacre.cli.control.shown import NAMES, doing, row, size, span
from nacre.daemon.control.values import Connected, Details, Running


def details(*running: Running, sessions: int = 0) -> Details:
    return replace(DETAILS, running=running, sessions=sessions or len(running))


@pytest.mark.parametrize(
    ("one", "shown"),
    [
        (connection(state="login", details=None), "logs in"),
        (connection(state="rest", details=None), "at rest"),
        (connection(details=None), "?"),
        (connection(details=details()), "none"),
        (connection(), "make all (tty); 1 more"),
        (
            connection(
                details=details(
                    Running(channel=0, request="shell", what="", terminal=True),
                    Running(channel=1, request="subsystem", what="sftp", terminal=False),
                    Running(channel=2, request="", what="", terminal=False),
                    Running(channel=3, request="command", what="x" * 100, terminal=False),
                )
            ),
            f"shell (tty); sftp; begins; {'x' * 59}…",
        ),
    ],
    ids=["login", "rest", "silent", "nothing", "usual", "all kinds"],
)
def test_what_a_connection_does_in_words(one: Connected, shown: str) -> None:
    assert doing(one) == shown


def test_a_row_has_all_columns() -> None:
    full = dict(zip(NAMES, row(connection()), strict=True))
    assert (full["from"], full["idle"], full["forwards"]) == (
        "192.0.2.1:50000",
        "1m",
        "1 + 2 listening",
    )
    bare = connection(user="", methods=(), process=None, details=None)
    assert [row(bare)[number] for number in (1, 4, 5, 6)] == ["-"] * 4


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.9, "0s"), (59, "59s"), (60, "1m"), (7200, "2h"), (200_000, "2d")]
)
def test_spans(seconds: float, shown: str) -> None:
    assert span(seconds) == shown


@pytest.mark.parametrize(
    ("number", "shown"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2.5e6, "2.5 MB"), (3e15, "3000.0 TB")],
)
def test_sizes(number: float, shown: str) -> None:
    assert size(number) == shown
