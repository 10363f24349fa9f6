"""Agents of OpenSSH and of nacre, for programs that sign with their keys."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from interop.programs import NACRE, environment, require


@contextmanager
def agent(maker: str = "OpenSSH") -> Iterator[str]:
    """Run ssh-agent, or ``nacre agent``, and yield the path of its socket."""
    program = [*NACRE, "agent"] if maker == "nacre" else [require("ssh-agent")]
    # A Unix socket's path has at most 107 bytes.
    directory = tempfile.mkdtemp(dir="/tmp")
    socket = os.path.join(directory, "s")
    process = subprocess.Popen(
        [*program, "-D", "-a", socket],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env=environment(),
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline()  # it prints its environment once it listens
        yield socket
    finally:
        process.terminate()
        process.communicate(timeout=30)
        shutil.rmtree(directory, ignore_errors=True)
