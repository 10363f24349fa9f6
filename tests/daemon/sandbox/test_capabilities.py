"""What a process keeps of root's capabilities."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from nacre.daemon.sandbox.capabilities import NUMBERS, permitted

root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has capabilities")


def seen(*names: str, then: str = "") -> list[int]:
    """Return the capabilities, as bits, that a process has that keeps some, and what it runs."""
    code = (
        "import subprocess, sys\n"
        "from nacre.daemon.sandbox.capabilities import keep, permitted\n"
        f"keep({names!r})\n"
        "print(permitted())\n"
        f"{then}\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return [int(line) for line in done.stdout.split()]


@root
def test_what_is_not_named_is_given_up() -> None:
    has = permitted()
    wanted = [name for name in ("SETUID", "KILL") if has >> NUMBERS[name] & 1]
    (left,) = seen(*wanted)
    assert left == sum(1 << NUMBERS[name] for name in wanted)


@root
def test_what_was_not_there_is_not_gained() -> None:
    (left, again) = seen("KILL", then="keep(('KILL', 'SETUID')); print(permitted())")
    assert again == left


@root
def test_a_program_of_root_has_those_of_root() -> None:
    then = (
        "code = 'from nacre.daemon.sandbox.capabilities import permitted; print(permitted())'\n"
        "sys.stdout.flush()\n"
        "subprocess.run([sys.executable, '-c', code], check=True)"
    )
    left, gained = seen("KILL", then=then)
    assert (left, gained) == (1 << NUMBERS["KILL"], permitted())
