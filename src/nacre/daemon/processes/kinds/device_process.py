"""The process that attaches a tunnel device with the rights of an account.

The template forks it (:mod:`nacre.daemon.processes.template`). It starts with the server's rights
and the server's open file, gives the rights up, attaches the file to a device, and tells how that
went: see :mod:`nacre.daemon.processes.errand`.
"""

from __future__ import annotations

import os
import socket
from typing import Any

from nacre.daemon.processes.kinds.launcher import take_rights
from nacre.daemon.processes.template import FIRST_MORE
from nacre.tunnels.device import FILE, attach


def request(
    rights: tuple[int, int, tuple[int, ...]], mode: str, unit: int | None
) -> dict[str, object]:
    """Return what :func:`main` is to do, as values of JSON.

    :param rights: the numbers of the user, the group, and all groups.
    :param mode: that of :meth:`~nacre.tunnels.device.TunnelDevice.open`, as ``unit``.
    """
    return {"rights": rights, "mode": mode, "unit": unit}


def main(given: dict[str, Any], link: socket.socket) -> None:
    """Attach the device that :func:`request` names, and tell its name."""
    try:
        take_rights(*given["rights"])
        # The server could open the file; the account must have the right to.
        os.close(os.open(FILE, os.O_RDWR))
        name = attach(FIRST_MORE, given["mode"], given["unit"])
    except OSError as error:
        link.sendall(b"%d\n" % (error.errno or 1))
    else:
        link.sendall(b"0 %s\n" % name.encode())
