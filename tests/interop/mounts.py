"""A server's files as a file system of this machine, by sshfs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from interop.programs import environment, require, run


@contextmanager
def mounted(
    source: str, mount: Path, options: Sequence[str], *, ssh: str | None = None
) -> Iterator[None]:
    """Mount ``source`` (``user@host:/path``) at the new directory ``mount``, or skip the test.

    :param options: those of ``ssh`` for the login.
    :param ssh: the program that logs in; None for OpenSSH's.
    """
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("there is no FUSE here")
    program, unmount = require("sshfs"), require("fusermount3")
    mount.mkdir()
    command = " ".join([ssh or require("ssh"), *options])
    process = subprocess.Popen(
        [program, "-f", source, mount, "-o", f"ssh_command={command}"],
        env=environment(),
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        for _ in range(200):
            if os.path.ismount(mount):
                break
            try:
                process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
            pytest.skip(f"FUSE can't be used: {process.stderr.read().decode()}")
        yield
    finally:
        run([unmount, "-u", mount])
        process.wait(10)
        process.stderr.close()
