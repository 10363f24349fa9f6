"""The options of ``nacre serve`` about hooks."""

from __future__ import annotations

from typing import Any

import click
import pytest
from click.testing import CliRunner

from nacre.cli.serve.hooks import hook_options
from nacre.daemon.hooks.plan import HooksWanted

given: list[Any] = []


@click.command()
@hook_options
def command(hooks: HooksWanted | None) -> None:
    given.append(hooks)


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("", None),
        ("--hooks", HooksWanted()),
        ("--hooks --hook-user daemon", HooksWanted(user="daemon")),
    ],
)
def test_they_are_one_argument(words: str, wanted: HooksWanted | None) -> None:
    given.clear()
    done = CliRunner().invoke(command, words.split())
    assert done.exit_code == 0, done.output
    assert given == [wanted]


def test_an_account_alone_is_a_mistake() -> None:
    assert "needs --hooks" in CliRunner().invoke(command, ["--hook-user", "daemon"]).output
