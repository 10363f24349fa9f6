"""Tunnel devices with the rights of an account, where the server has others.

The server opens the file that makes devices, and a process attaches it to a device with the
account's rights (:mod:`nacre.daemon.processes.kinds.device_process`): root may make one, and others
may have those that root has made for them (``ip tuntap add mode tun user NAME``). Both share the
open file, so nothing is passed back but its name.
"""

from __future__ import annotations

import os

from nacre.daemon.processes.errand import run_errand
from nacre.daemon.processes.kinds.device_process import request
from nacre.tunnels.device import TunnelDevice, open_file


async def open_as(
    rights: tuple[int, int, tuple[int, ...]], mode: str, unit: int | None
) -> TunnelDevice:
    """Have a process attach a device; see :meth:`TunnelDevice.open` for the arguments.

    :param rights: the numbers of the user, the group, and all groups.
    :raises OSError: the account may not have the device, or the process could not be started.
    """
    descriptor = open_file()
    try:
        errand = await run_errand("device", request(rights, mode, unit), descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    errand.release()
    return TunnelDevice(descriptor, errand.word, mode)
