"""The process that connects or binds a Unix socket with the rights of an account.

The template forks it (:mod:`nacre.daemon.processes.template`). It starts with the server's rights
and the server's socket, gives the rights up, does its one step, and tells how that went: see
:mod:`nacre.daemon.processes.errand`. After a bind it waits until the server closes the link, and
then removes the socket's file.
"""

from __future__ import annotations

import os
import socket
from typing import Any

from nacre.daemon.processes.kinds.launcher import take_rights
from nacre.daemon.processes.template import FIRST_MORE
from nacre.tunnels.unix_files import bind_unix, identity, remove


def request(
    path: str,
    rights: tuple[int, int, tuple[int, ...]],
    root: str | None,
    listen: tuple[int, bool] | None = None,
) -> dict[str, object]:
    """Return what :func:`main` is to do, as values of JSON.

    :param rights: the numbers of the user, the group, and all groups to take on.
    :param root: the directory that becomes the root directory of the process.
    :param listen: the mask and the ``replace`` of :class:`~nacre.tunnels.unix.UnixSockets`, to
        listen; None connects.
    """
    return {"path": path, "rights": rights, "root": root, "listen": listen}


def main(given: dict[str, Any], link: socket.socket) -> None:
    """Do what :func:`request` describes with the socket that the server has passed.

    Nothing is imported after :func:`take_rights`.
    """
    path = given["path"]
    try:
        with socket.socket(fileno=FIRST_MORE) as sock:
            if given["root"] is not None:
                os.chroot(given["root"])
                os.chdir("/")
            take_rights(*given["rights"])
            _use(sock, path, given["listen"])
    except OSError as error:
        link.sendall(b"%d\n" % (error.errno or 1))
        return
    made = None if given["listen"] is None else identity(path)
    link.sendall(b"0\n")
    if made is not None:
        link.recv(1)
        remove(path, made)


def _use(sock: socket.socket, path: str, listen: Any) -> None:
    if listen is None:
        sock.connect(path)
    else:
        mask, replace = listen
        bind_unix(sock, path, mask=mask, replace=replace)
