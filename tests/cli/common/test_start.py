"""The programs end with their status, and with all that they said."""

from __future__ import annotations

import subprocess
import sys

import pytest

import nacre


def run(*words: str, stdout: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        stdout=stdout,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=30,
        check=False,
    )


def test_module_is_the_command() -> None:
    assert run("-m", "nacre", "-V").stdout == f"nacre, version {nacre.__version__}\n"
    done = run("-m", "nacre", "ssh", "-V")
    assert (done.returncode, done.stderr) == (0, f"nacre {nacre.__version__}\n")


@pytest.mark.parametrize("status", [0, 7, 255])
def test_output_is_written_before_the_end(status: int) -> None:
    program = (
        "from nacre.cli.common.start import start\n"
        "def run(program, words):\n"
        "    print(program, *words, 'x' * 100000)\n"
        f"    return {status}\n"
        "start(run, 'p', ['a', 'b'])\n"
    )
    done = run("-c", program)
    assert (done.returncode, done.stdout) == (status, "p a b " + "x" * 100000 + "\n")


def test_closed_standard_output_is_no_error() -> None:
    program = "import sys; from nacre.cli.common.start import start; sys.stdout = None\n"
    done = run("-c", program + "start(lambda program, words: 3, 'p', [])")
    assert (done.returncode, done.stderr) == (3, "")


def test_output_that_can_not_be_written_is_told() -> None:
    program = (
        "from nacre.cli.common.start import start\n"
        "def run(program, words):\n"
        "    print('x')\n"
        "    return 0\n"
        "start(run, 'p', [])\n"
    )
    with open("/dev/full", "wb") as full:
        done = run("-c", program, stdout=full.fileno())
    assert done.returncode != 0
    assert "No space left" in done.stderr


def test_garbage_is_looked_for_when_all_is_loaded() -> None:
    program = (
        "import gc; from nacre.cli.common.start import loaded, start\n"
        "def run(program, words):\n"
        "    before = gc.isenabled(); loaded(); print(before, gc.isenabled()); return 0\n"
        "start(run, 'p', [])\n"
    )
    assert run("-c", program).stdout == "False True\n"
