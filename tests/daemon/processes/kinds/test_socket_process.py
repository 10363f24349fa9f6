"""The process that connects or binds a Unix socket."""

from __future__ import annotations

import errno
import os
import socket
import stat
from tempfile import TemporaryDirectory

from daemon.processes.forked import OWN, Piped
from nacre.daemon.processes.kinds.socket_process import request
from nacre.daemon.processes.template import Template


def start(
    template: Template, sock: socket.socket, path: str, listen: tuple[int, bool] | None = None
) -> Piped:
    process = Piped(template, "socket", request(path, OWN[:3], None, listen), sock.fileno())
    process.link.settimeout(20)
    return process


def test_it_listens_until_its_link_ends_and_removes_the_file(template: Template) -> None:
    with (
        TemporaryDirectory(prefix="f", dir="/tmp") as short,
        socket.socket(socket.AF_UNIX) as listening,
        socket.socket(socket.AF_UNIX) as client,
    ):
        process = start(template, listening, path := f"{short}/s", (0o117, False))
        assert process.link.recv(9) == b"0\n"
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o660
        connecting = start(template, client, path)
        assert connecting.link.recv(9) == b"0\n"
        connecting.end()
        listening.accept()[0].close()
        process.link.close()
        process.end()
        assert os.listdir(short) == []


def test_an_error_is_told_by_its_number(template: Template) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        process = start(template, sock, "/nonexistent/s")
        assert process.link.recv(9) == b"%d\n" % errno.ENOENT
        process.end()
