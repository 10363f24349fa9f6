"""Counts the cases of a run, for the table of scripts/fuzzing.py."""

from __future__ import annotations

import pytest

from fuzz import mutate


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many cases were made from seeds in this process, as libFuzzer does."""
    if mutate.cases:
        terminalreporter.write_line(f"#{mutate.cases} DONE")
