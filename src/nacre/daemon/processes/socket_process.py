"""The process that connects or binds a Unix socket with the rights of an account.

It starts with the server's rights and the server's socket, gives the rights up, does its one step,
and writes how that went to its standard output: a number of errno, or 0. After a bind it waits for
the end of its standard input, and then removes the socket's file.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from typing import Any

import nacre
from nacre.daemon.processes.launcher import take_rights
from nacre.tunnels.unix_files import bind_unix, identity, remove

VARIABLE = "NACRE_SOCKET"
"""The variable that holds what to do, as JSON; see :func:`environment`."""


def environment(
    descriptor: int,
    path: str,
    rights: tuple[int, int, tuple[int, ...]],
    root: str | None,
    listen: tuple[int, bool] | None = None,
) -> dict[str, str]:
    """Return the environment variables for :func:`main`.

    :param descriptor: the socket's number.
    :param rights: the numbers of the user, the group, and all groups to take on.
    :param root: the directory that becomes the root directory of the process.
    :param listen: the mask and the ``replace`` of :class:`~nacre.tunnels.unix.UnixSockets`, to
        listen; None connects.
    """
    given = {
        "descriptor": descriptor,
        "path": path,
        "rights": rights,
        "root": root,
        "listen": listen,
    }
    return {VARIABLE: json.dumps(given)}


def command_line() -> list[str]:
    """Return the command that runs :func:`main`, isolated from the user's files."""
    here = os.path.dirname(os.path.dirname(os.path.abspath(nacre.__file__)))
    code = f"import sys; sys.path.append({here!r}); from {__name__} import main; main()"
    return [sys.executable, "-I", "-S", "-c", code]


def main() -> None:
    """Do what the environment describes. Nothing is imported after :func:`take_rights`."""
    given = json.loads(os.environ.pop(VARIABLE))
    sock = socket.socket(fileno=given["descriptor"])
    path = given["path"]
    failed = 0
    try:
        if given["root"] is not None:
            os.chroot(given["root"])
            os.chdir("/")
        take_rights(*given["rights"])
        _use(sock, path, given["listen"])
    except OSError as error:
        failed = error.errno or 1
    made = None if failed or given["listen"] is None else identity(path)
    sys.stdout.write(f"{failed}\n")
    sys.stdout.flush()
    if made is not None:
        sock.close()
        sys.stdin.read()
        remove(path, made)


def _use(sock: socket.socket, path: str, listen: Any) -> None:
    if listen is None:
        sock.connect(path)
    else:
        mask, replace = listen
        bind_unix(sock, path, mask=mask, replace=replace)
