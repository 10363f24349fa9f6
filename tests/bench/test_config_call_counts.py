"""What a host of ssh_config that is not the one looked up costs, in calls.

As in ``test_call_counts.py``, the ceiling is lowered when the code gets better, and never raised.
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from types import FrameType

from nacre.config.client.files import Config

FEW, MANY = 50, 300

CEILING = 67
"""Calls per block of four keywords that does not apply, of functions in Python and in C."""


def write(path: Path, hosts: int) -> Path:
    """Write a file of so many hosts; the last one is ``last``."""
    names = [f"host{number} *.zone{number}.example.org" for number in range(1, hosts)]
    block = (
        "    HostName {0}.example.org\n    User a{0}\n    Port 2{0}\n    IdentityFile ~/.ssh/{0}\n"
    )
    text = "".join(
        f"Host {name}\n{block.format(number)}" for number, name in enumerate([*names, "last"])
    )
    path.write_text(text)
    return path


def calls(path: Path, hosts: int) -> int:
    """Count the calls that a lookup makes of the last of so many hosts, reading included."""
    file = write(path / str(hosts), hosts)
    count = 0

    def note(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        if event in ("call", "c_call"):
            count += 1

    gc.disable()
    sys.setprofile(note)
    try:
        found = Config.load(file).lookup("last")
    finally:
        sys.setprofile(None)
        gc.enable()
    assert found.user == f"a{hosts - 1}"
    return count


def test_calls_per_host_that_is_not_meant(tmp_path: Path) -> None:
    calls(tmp_path, FEW)  # loads modules and compiles constructors
    difference = calls(tmp_path, MANY) - calls(tmp_path, FEW)
    assert difference / (MANY - FEW) <= CEILING, "a host costs more calls than it did"
