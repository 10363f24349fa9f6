"""nacre keyscan as a program."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

KEYSCAN = Path(sys.executable).parent / "nacre-ssh-keyscan"


def keyscan(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([KEYSCAN, *words], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["--help"], 0, ""),
        ([], 1, "name the hosts"),
        (["-p", "0", "a"], 1, "bad port"),
        (["-f", "/nowhere"], 255, "/nowhere: No such file"),
        (["-p", "1", "127.0.0.1"], 1, ""),
    ],
    ids=["help", "nothing", "port", "file", "nobody there"],
)
def test_exit_status(words: list[str], status: int, said: str) -> None:
    done = keyscan(*words)
    assert (done.returncode, said in done.stderr) == (status, True)
