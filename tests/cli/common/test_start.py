"""The programs end with their status, and with all that they said."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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


def test_asyncio_is_loaded_without_tls() -> None:
    program = (
        "import sys; from nacre.cli.common.start import load_asyncio; load_asyncio()\n"
        "print('asyncio' in sys.modules, '_ssl' in sys.modules)\n"
        "import ssl; print(ssl.OP_ALL > 0)\n"
    )
    assert run("-c", program).stdout == "True False\nTrue\n"


CLOSED = {"stdin": "<&-", "stdout": ">&-", "stderr": "2>&-", "all": "<&- >&- 2>&-"}


@pytest.mark.slow
@pytest.mark.parametrize("closed", CLOSED)
@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("--version", 0),
        ("ssh -V", 0),
        ("ssh 127.0.0.1 -p 1 true", 255),
        ("sftp", 1),
        ("sftp -P 1 127.0.0.1", 255),
        ("scp /no/such 127.0.0.1:", 255),
        ("trace 127.0.0.1 -p 1", 255),
        ("keygen -l -f /no/such", 255),
        ("keygen -t ed25519 -N x -f {tmp}/key", 0),
        ("user list --state /no/such", 1),
        ("user add alice --state {tmp}/state --run-as nobody", 1),
        ("serve --state {tmp}/state --listen 192.0.2.1:1", 1),
    ],
)
def test_standard_streams_that_are_closed(
    closed: str, words: str, status: int, tmp_path: Path
) -> None:
    given = words.format(tmp=tmp_path).split()
    script = f'exec "$@" {CLOSED[closed]}'
    done = subprocess.run(
        ["/bin/sh", "-c", script, "sh", sys.executable, "-m", "nacre", *given],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == status, done.stderr


def test_programs_take_no_standard_descriptor_for_something_else(tmp_path: Path) -> None:
    program = (
        "import os, sys; from nacre.cli.common.start import prepare; prepare(); prepare()\n"
        "print('x'); print('y', file=sys.stderr); assert sys.stdin.read() == ''\n"
        "names = {os.readlink(f'/proc/self/fd/{n}') for n in range(3)}\n"
        "open(sys.argv[1], 'w').write(' '.join(names))\n"
    )
    found = tmp_path / "found"
    script = f'exec "$@" {CLOSED["all"]}'
    words = ["/bin/sh", "-c", script, "sh", sys.executable, "-c", program, str(found)]
    subprocess.run(words, timeout=50, check=True)
    assert found.read_text() == "/dev/null"
