"""Run the tests again that failed in the last run, each alone: some measure a machine, not nacre.

The tests start thousands of programs and servers on a machine that may have other work, and each of
them waits for something. One that fails in a run of all, and passes twice in a row by itself, is
called unsteady: it is named, with what it said, so that it is mended. There may be few of them. A
test that fails once more has failed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

MOST = 3
"""Tests that may be unsteady in a run of all. More of them are one fault."""

TIMES = 2
"""How often in a row each has to pass."""

FAILED = Path(".pytest_cache/v/cache/lastfailed")


def last_failed(file: Path) -> list[str]:
    """Return the names of the tests that failed in the last run; none if it can't be read."""
    try:
        return list(json.loads(file.read_text()))
    except (OSError, ValueError):
        return []


def passes(test: str) -> bool:
    """Run a test by itself, and tell whether it passes."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test]
    return subprocess.run(command, check=False).returncode == 0


def main() -> int:
    """Return 0 if all that failed are unsteady, else 1."""
    tests = last_failed(FAILED)
    if not tests or len(tests) > MOST:
        print(f"{len(tests)} tests failed: run again are 1 to {MOST}")
        return 1
    steady = [test for test in tests if not all(passes(test) for _ in range(TIMES))]
    for test in tests:
        print(f"{'FAILED AGAIN' if test in steady else 'UNSTEADY'} {test}")
    return 1 if steady else 0


if __name__ == "__main__":
    sys.exit(main())
