"""nacre copy-id as a program, before it connects."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

COPY_ID = Path(sys.executable).parent / "nacre-ssh-copy-id"


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["-h"], 0, ""),
        ([], 1, "name the host"),
        (["-i", "/nowhere", "host"], 1, "can't open the key file /nowhere.pub"),
        (["-F", "/nowhere", "host"], 1, "/nowhere"),
    ],
    ids=["help", "nothing", "key", "configuration"],
)
def test_exit_status(words: list[str], status: int, said: str) -> None:
    done = subprocess.run([COPY_ID, *words], capture_output=True, text=True, timeout=60)
    assert (done.returncode, said in done.stderr) == (status, True)
