"""An agent of OpenSSH's, for programs that sign with its keys."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from interop.programs import environment, require


@contextmanager
def agent() -> Iterator[str]:
    """Run ssh-agent, and yield the path of its socket."""
    # A Unix socket's path has at most 107 bytes.
    directory = tempfile.mkdtemp(dir="/tmp")
    socket = os.path.join(directory, "s")
    process = subprocess.Popen(
        [require("ssh-agent"), "-D", "-a", socket],
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
        process.communicate(timeout=10)
        shutil.rmtree(directory, ignore_errors=True)
