"""A task at many hosts, without await."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

import nacre.blocking.fleet
import nacre.fleet
from cli.transfers import USER_KEY, serving
from nacre.errors import ConfigurationError


def said(session: nacre.blocking.Session) -> int:
    session.stdout.write(session.command or b"")
    return 0


def test_a_run_returns_its_report(tmp_path: Path) -> None:
    with serving(tmp_path, said) as served:
        report = nacre.blocking.fleet.run(
            f"127.0.0.1:{served.port}",
            "hello",
            user="alice",
            keys=[USER_KEY],
            trust=nacre.AnyHostKey(),
            config=None,
        )
    assert [one.stdout for one in report.verdicts.values()] == [b"hello"]
    with pytest.raises(ConfigurationError, match="no host to work on"):
        nacre.blocking.fleet.run([], "hello")


def test_its_arguments_are_those_of_the_other() -> None:
    assert inspect.signature(nacre.blocking.fleet.run) == inspect.signature(nacre.fleet.run)
