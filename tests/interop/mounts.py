"""A server's files as a file system of this machine, by sshfs."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from interop.programs import environment, require, run


@contextmanager
def mounted(
    source: str,
    mount: Path,
    options: Sequence[str],
    *,
    ssh: str | None = None,
    shared: bool = False,
) -> Iterator[None]:
    """Mount ``source`` (``user@host:/path``) at the new directory ``mount``, or skip the test.

    :param options: those of ``ssh`` for the login.
    :param ssh: the program that logs in; None for OpenSSH's.
    :param shared: whether other accounts may use it.
    """
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("there is no FUSE here")
    program, unmount = require("sshfs"), require("fusermount3")
    mount.mkdir()
    command = " ".join([ssh or require("ssh"), *options])
    more = ["-o", "allow_other"] if shared else []
    process = subprocess.Popen(
        [program, "-f", source, mount, "-o", f"ssh_command={command}", *more],
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
        # Whoever still uses it does not keep the directory from its end.
        run([unmount, "-u", "-z", mount])
        with suppress(subprocess.TimeoutExpired):
            process.wait(30)
        process.kill()
        process.wait()
        process.stderr.close()


@contextmanager
def from_stoppable(files: Path, mount: Path, *, shared: bool = False) -> Iterator[int]:
    """Mount ``files`` at ``mount``, as from a file server; yield the number of its process.

    While that is stopped (SIGSTOP), whoever uses the mount hangs, and nothing interrupts the call.
    """
    script, noted = mount.with_suffix(".connect"), mount.with_suffix(".pid")
    server = require("/usr/lib/openssh/sftp-server")
    script.write_text(f"#!/bin/sh\necho $$ >{noted}\nexec {server}\n")
    script.chmod(0o755)
    with mounted(f"x:{files}", mount, [], ssh=str(script), shared=shared):
        number = int(noted.read_text())
        try:
            yield number
        finally:
            os.kill(number, signal.SIGCONT)
