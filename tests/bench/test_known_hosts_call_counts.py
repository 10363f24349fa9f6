"""What a lookup costs in a large known_hosts file, without a clock: calls for each line.

The ceilings are lowered when the code gets better, and never raised.
"""

from __future__ import annotations

import gc
import sys
from types import FrameType

import pytest

from nacre.keys.hosts.known_hosts import KnownHosts
from nacre.keys.key import generate

KEY = generate("ssh-ed25519").public
LINES = 1000

NAMED = [f"host{i}.example.com,10.0.{i % 256}.1" for i in range(LINES)]
FILES = {
    "plain": [f"{names} {KEY} root@{i}" for i, names in enumerate(NAMED)],
    "with comments": [f"{names} {KEY} who made it?" for names in NAMED],
    "hashed": [KnownHosts.line_for(f"host{i}", 22, KEY, hashed=True) for i in range(LINES)],
}
CEILINGS = {"plain": 0, "with comments": 5, "hashed": 7}
"""Calls for each line that is not about the host, of functions in Python and in C."""


def calls(text: bytes) -> int:
    """Count the calls of a lookup in a file."""
    count = 0

    def note(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    gc.disable()
    sys.setprofile(note)
    try:
        KnownHosts(text).check("target", 22, KEY)
    finally:
        sys.setprofile(None)
        gc.enable()
    return count


@pytest.mark.untraced
@pytest.mark.parametrize("kind", CEILINGS)
def test_calls_per_line(kind: str) -> None:
    text = "\n".join([*FILES[kind], f"target {KEY}", ""]).encode()
    alone = text[text.rindex(b"target") :]
    calls(alone)  # warms up
    assert (calls(text) - calls(alone)) / LINES <= CEILINGS[kind]
