"""A process in the background, and its pid file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nacre.daemon.background import PidFile, silence

LEAVE = """
import os, sys
from nacre.daemon.background import leave_terminal
leave_terminal(quiet=%r)
assert os.getsid(0) == os.getpid() and os.getcwd() == "/"
with open(sys.argv[1], "w") as file:
    file.write(" ".join(os.readlink(f"/proc/self/fd/{n}") for n in range(3)) + "\\n")
"""


@pytest.mark.parametrize("quiet", [True, False])
def test_the_caller_ends_and_a_child_goes_on(tmp_path: Path, quiet: bool) -> None:
    told = tmp_path / "told"
    os.mkfifo(told)
    with (tmp_path / "err").open("w") as err:
        started = subprocess.Popen(
            [sys.executable, "-c", LEAVE % quiet, str(told)], stdout=subprocess.PIPE, stderr=err
        )
    with told.open() as reading:
        assert started.wait(20) == 0
        links = reading.read().split()
    assert links[:2] == ["/dev/null", "/dev/null"]
    assert links[2] == ("/dev/null" if quiet else str(tmp_path / "err"))
    assert (tmp_path / "err").read_text() == ""
    assert started.stdout is not None
    started.stdout.close()


def test_the_pid_file_holds_the_number_and_goes(tmp_path: Path) -> None:
    path, other, told = tmp_path / "pid", tmp_path / "other", list[str]()
    file = PidFile(told.append)
    file.write(str(path))
    assert path.read_text() == f"{os.getpid()}\n"
    path.unlink()
    file.write(str(path))
    assert path.read_text() == f"{os.getpid()}\n"
    file.write(str(other))
    assert not path.exists()
    assert other.exists()
    file.write(None)
    assert not other.exists()
    file.write(str(path))
    file.remove()
    assert not path.exists()
    assert not told


def test_a_pid_file_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    told: list[str] = []
    file = PidFile(told.append)
    file.write(str(tmp_path / "missing" / "pid"))
    file.remove()
    assert len(told) == 1
    assert "PidFile" in told[0]
    assert "No such file" in told[0]


def test_a_child_leaves_the_pid_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    file = PidFile(lambda problem: None)
    file.write(str(path))
    pid = os.fork()
    if pid == 0:
        file.remove()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert path.exists()


def test_silence_takes_what_is_written() -> None:
    reading, writing = os.pipe()
    silence(writing)
    os.write(writing, b"lost")
    os.close(writing)
    with open(reading, "rb") as file:
        assert file.read() == b""
