"""Tunnel devices with the rights of an account, where the server has others.

The server opens the file that makes devices, and a process attaches it to a device with the
account's rights: root may make one, and others may have those that root has made for them (``ip
tuntap add mode tun user NAME``). Both share the open file, so nothing is passed back but its name.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE

import nacre
from nacre.daemon.processes.launcher import take_rights
from nacre.tunnels.device import FILE, TunnelDevice, attach, open_file

VARIABLE = "NACRE_DEVICE"
"""The variable that holds what to do, as JSON."""

_PATIENCE = 30.0
"""Seconds that the process has."""


async def open_as(
    rights: tuple[int, int, tuple[int, ...]], mode: str, unit: int | None
) -> TunnelDevice:
    """Have a process attach a device; see :meth:`TunnelDevice.open` for the arguments.

    :param rights: the numbers of the user, the group, and all groups.
    :raises OSError: the account may not have the device, or the process could not be started.
    """
    descriptor = open_file()
    try:
        name = await _attach_as(descriptor, rights, mode, unit)
    except BaseException:
        os.close(descriptor)
        raise
    return TunnelDevice(descriptor, name, mode)


async def _attach_as(
    descriptor: int, rights: tuple[int, int, tuple[int, ...]], mode: str, unit: int | None
) -> str:
    given = {"descriptor": descriptor, "rights": rights, "mode": mode, "unit": unit}
    process = await asyncio.create_subprocess_exec(
        *_command_line(),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=DEVNULL,
        env={VARIABLE: json.dumps(given)},
        cwd="/",
        start_new_session=True,
        pass_fds=[descriptor],
    )
    try:
        async with asyncio.timeout(_PATIENCE):
            said, _ = await process.communicate()
    except BaseException:
        process.kill()
        raise
    number, _, name = said.decode(errors="replace").strip().partition(" ")
    if number != "0":
        failed = int(number) if number.isdigit() else 0
        raise OSError(failed, os.strerror(failed) if failed else "the process failed")
    return name


def _command_line() -> list[str]:
    """Return the command that runs :func:`main`, isolated from the user's files."""
    here = os.path.dirname(os.path.dirname(os.path.abspath(nacre.__file__)))
    code = f"import sys; sys.path.append({here!r}); from {__name__} import main; main()"
    return [sys.executable, "-I", "-S", "-c", code]


def main() -> None:
    """Attach the device that the environment names, and print 0 and its name, or an errno."""
    given = json.loads(os.environ.pop(VARIABLE))
    try:
        take_rights(*given["rights"])
        # The server could open the file; the account must have the right to.
        os.close(os.open(FILE, os.O_RDWR))
        print(0, attach(given["descriptor"], given["mode"], given["unit"]))
    except OSError as error:
        print(error.errno or 1)
