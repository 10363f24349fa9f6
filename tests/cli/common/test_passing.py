"""A click command that leaves its words to the program."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from click.testing import CliRunner

from nacre.cli.common.passing import Passing


@pytest.fixture
def passed() -> list[tuple[str, list[str]]]:
    return []


@pytest.fixture
def command(passed: list[tuple[str, list[str]]]) -> Passing:
    def run(program: str, words: Sequence[str]) -> int:
        passed.append((program, list(words)))
        return 7

    return Passing("tool", run)


def test_all_words_reach_the_program(command: Passing, passed: list[tuple[str, list[str]]]) -> None:
    done = CliRunner().invoke(command, ["-h", "host", "--help"])
    assert done.exit_code == 7
    assert passed == [("tool", ["-h", "host", "--help"])]
