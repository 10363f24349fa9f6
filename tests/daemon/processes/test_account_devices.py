"""Tunnel devices with the rights of an account, in networks of their own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from nacre.daemon.processes.account_devices import open_as
from nacre.daemon.processes.template import TEMPLATE
from parties import open_files, until
from tunnels.devices import need_devices

NOBODY = (65534, 65534, (65534,))

WORK = """
import asyncio, subprocess
from nacre.daemon.processes.account_devices import open_as

async def work():
    device = await open_as((0, 0, (0,)), "ethernet", 7)
    subprocess.run(["ip", "link", "show", "tap7"], check=True, stdout=subprocess.DEVNULL)
    print(device.name, device.mode)
    device.close()

asyncio.run(work())
"""


async def test_an_account_without_rights_gets_no_device() -> None:
    need_devices()
    TEMPLATE.warm()
    before = open_files()
    with pytest.raises(PermissionError):
        await open_as(NOBODY, "point-to-point", 25000)
    await until(lambda: open_files() == before)


def test_root_gets_the_device_that_the_process_has_attached() -> None:
    need_devices()
    command = ["unshare", "-n", sys.executable, "-c", WORK]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert done.stdout == b"tap7 ethernet\n", done.stderr
