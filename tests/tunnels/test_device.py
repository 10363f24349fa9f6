"""Real tunnel devices, each in a network of its own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from nacre.tunnels.device import TunnelDevice, attach
from tunnels.devices import need_devices, stand_in

WORK = """
import os, subprocess
from nacre.tunnels.device import TunnelDevice
found = []
for mode, unit, name in (("point-to-point", 3, "tun3"), ("ethernet", 5, "tap5"),
                         ("point-to-point", None, "tun0")):
    device = TunnelDevice.open(mode, unit)
    assert (device.name, device.mode) == (name, mode)
    subprocess.run(["ip", "link", "show", name], check=True, stdout=subprocess.DEVNULL)
    try:
        os.read(device.fileno(), 10)
    except OSError as error:
        found.append(type(error).__name__)
    try:
        TunnelDevice.open(mode, int(name[3:]))
    except OSError as error:
        found.append(error.strerror)
    device.close()
    device.close()
    assert device.fileno() == -1
    assert subprocess.run(["ip", "link", "show", name], capture_output=True).returncode
print(sorted(set(found)))
"""


def test_devices_have_their_names_and_go_away_when_they_are_closed() -> None:
    need_devices()
    done = subprocess.run(
        ["unshare", "-n", sys.executable, "-c", WORK], capture_output=True, timeout=60, check=False
    )
    assert done.stdout.decode().strip() == "['BlockingIOError', 'Device or resource busy']", (
        done.stderr
    )


def test_what_is_no_such_file_can_not_be_attached(tmp_path: object) -> None:
    with open(os.devnull) as file, pytest.raises(OSError, match="Inappropriate ioctl"):
        attach(file.fileno(), "ethernet", None)


def test_a_device_closes_its_descriptor_once() -> None:
    device, network = stand_in()
    number = device.fileno()
    device.close()
    device.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)
    assert TunnelDevice(-1, "x", "ethernet").fileno() == -1
    network.close()
