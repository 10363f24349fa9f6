"""Tunnel devices with the rights of an account, in networks of their own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from nacre.daemon.processes.device_process import open_as
from tunnels.devices import need_devices

NOBODY = (65534, 65534, (65534,))

WORK = """
import asyncio, subprocess
from nacre.daemon.processes.device_process import open_as

async def work():
    device = await open_as((0, 0, (0,)), "ethernet", 7)
    subprocess.run(["ip", "link", "show", "tap7"], check=True, stdout=subprocess.DEVNULL)
    print(device.name, device.mode)
    device.close()

asyncio.run(work())
"""


async def test_an_account_without_rights_gets_no_device() -> None:
    need_devices()
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(PermissionError):
        await open_as(NOBODY, "point-to-point", 25000)
    assert len(os.listdir("/proc/self/fd")) == before


def test_root_gets_the_device_that_the_process_has_attached() -> None:
    need_devices()
    command = ["unshare", "-n", sys.executable, "-c", WORK]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert done.stdout == b"tap7 ethernet\n", done.stderr
