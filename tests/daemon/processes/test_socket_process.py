"""The process that connects or binds a Unix socket."""

from __future__ import annotations

import errno
import os
import socket
import stat
import subprocess
from tempfile import TemporaryDirectory

from nacre.daemon.processes.socket_process import command_line, environment

OURS = os.getuid(), os.getgid(), tuple(os.getgroups())


def start(
    sock: socket.socket, path: str, listen: tuple[int, bool] | None = None
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command_line(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(sock.fileno(), path, OURS, None, listen),
        pass_fds=[sock.fileno()],
    )


def test_it_listens_until_its_input_ends_and_removes_the_file() -> None:
    with (
        TemporaryDirectory(prefix="f", dir="/tmp") as short,
        socket.socket(socket.AF_UNIX) as listening,
        socket.socket(socket.AF_UNIX) as client,
        start(listening, path := f"{short}/s", (0o117, False)) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.readline() == b"0\n"
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o660
        with start(client, path) as connecting:
            assert connecting.communicate(timeout=20)[0] == b"0\n"
        listening.accept()[0].close()
        process.communicate(timeout=20)
        assert os.listdir(short) == []


def test_an_error_is_told_by_its_number() -> None:
    with socket.socket(socket.AF_UNIX) as sock, start(sock, "/nonexistent/s") as process:
        assert process.communicate(timeout=20)[0] == b"%d\n" % errno.ENOENT
