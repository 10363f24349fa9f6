"""What ``nacre keygen -l`` and ``-F`` cost in a large file, without a clock: calls for each line.

The ceilings are lowered when the code gets better, and never raised.
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from types import FrameType

import pytest

from nacre.cli.keygen.command import run
from nacre.keys.hosts.known_hosts import KnownHosts
from nacre.keys.key import generate

KEY = generate("ssh-ed25519").public
LINES = 200
FILES = {
    "plain": [f"host{i},10.0.{i}.1 {KEY} root@{i}" for i in range(LINES)],
    "hashed": [KnownHosts.line_for(f"host{i}", 22, KEY, hashed=True) for i in range(LINES)],
}
CEILINGS = {("-l", "plain"): 69, ("-l", "hashed"): 68, ("-F", "plain"): 0, ("-F", "hashed"): 6}
"""Calls for each line, of functions in Python and in C."""


def calls(*words: str) -> int:
    """Count the calls of the program."""
    count = 0

    def note(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    gc.disable()
    sys.setprofile(note)
    try:
        assert run("nacre-ssh-keygen", words) == 0
    finally:
        sys.setprofile(None)
        gc.enable()
    return count


@pytest.mark.untraced
@pytest.mark.parametrize(("option", "kind"), CEILINGS)
def test_calls_per_line(
    option: str, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["-l"] if option == "-l" else ["-F", "target"]
    many, one = tmp_path / "many", tmp_path / "one"
    one.write_text(f"target {KEY}\n")
    many.write_text("\n".join([*FILES[kind], f"target {KEY}", ""]))
    calls(*words, "-f", str(one))  # warms up
    more = calls(*words, "-f", str(many)) - calls(*words, "-f", str(one))
    assert more / LINES <= CEILINGS[option, kind]
    assert len(capsys.readouterr().out.splitlines()) > 2
