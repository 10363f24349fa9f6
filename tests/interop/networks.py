"""Networks of their own for programs: what is in one reaches nothing outside."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from interop.programs import environment, require


@dataclass(frozen=True)
class Network:
    """A network namespace, which a process holds.

    :ivar inside: the words in front of a command that runs it inside.
    """

    inside: Sequence[str]


@contextmanager
def network() -> Iterator[Network]:
    """Make a network with nothing but a loopback interface that is down."""
    with subprocess.Popen(
        [require("unshare"), "-n", "sh", "-c", "echo; exec cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(),
        start_new_session=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"\n"
        try:
            yield Network([require("nsenter"), "-t", str(holder.pid), "-n"])
        finally:
            assert holder.stdin is not None
            holder.stdin.close()
            holder.wait(30)
