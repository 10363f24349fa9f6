"""A run of ``nacre fleet`` as a program that is interrupted, and that is killed."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cli.fleet.fleets import Fleet, fleet

DEADLINE = 25.0


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Fleet]:
    with fleet(tmp_path) as made:
        yield made


def started(made: Fleet, *words: str) -> subprocess.Popen[str]:
    program = "from nacre.cli.fleet.command import command; command()"
    return subprocess.Popen(
        [sys.executable, "-c", program, "run", *made.words(), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        text=True,
        start_new_session=True,
    )


def wait_begun(made: Fleet, count: int) -> None:
    """Wait until the file of runs says that the task has begun at so many hosts."""
    until = time.monotonic() + DEADLINE
    while time.monotonic() < until:
        try:
            with closing(sqlite3.connect(made.state)) as connection:
                (found,) = connection.execute("SELECT sum(begun) FROM hosts").fetchone()
            if found == count:
                return
        except sqlite3.OperationalError:
            pass
        time.sleep(0.01)
    raise AssertionError("the run has not begun")


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_is_interrupted_or_killed_says_what_was_where(
    commands: Fleet, how: signal.Signals
) -> None:
    run = started(commands, "-H", "a,b,c", "-P", "2", "--json", "hang")
    try:
        wait_begun(commands, 2)
        refused = commands.do("resume", "--state", str(commands.state), "--json", "-q")
        assert "Error: run 1 is still running, in another process" in refused.stderr
        assert (refused.exit_code, refused.stdout) == (255, "")
        os.kill(run.pid, how)
        out, err = run.communicate(timeout=DEADLINE)
    finally:
        run.kill()
        run.communicate()
    if how is signal.SIGINT:
        endings = {one["host"]: one["ending"] for one in map(json.loads, out.splitlines())}
        assert endings == {"a": "unknown", "b": "unknown", "c": "skipped"}
        assert "3 hosts: 2 unknown, 1 skipped; interrupted" in err
        assert run.returncode == 130
    done = commands.do("runs", "--state", str(commands.state), "--json")
    assert json.loads(done.stdout)["hosts"].get("", 0) == (1 if how is signal.SIGINT else 3)
    commands.answers.released.set()
    again = commands.do("resume", "--state", str(commands.state), "--json", "-q")
    assert [json.loads(line)["host"] for line in again.stdout.splitlines()] == ["c"]
    assert "3 hosts: 1 ok, 2 unknown" in again.stderr
