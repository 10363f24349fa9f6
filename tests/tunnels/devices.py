"""Stand-ins for tunnel devices, and what a test that has real ones needs."""

from __future__ import annotations

import functools
import os
import shutil
import socket
import subprocess

import pytest

from nacre.tunnels.device import FILE, TunnelDevice


def stand_in(mode: str = "point-to-point") -> tuple[TunnelDevice, socket.socket]:
    """Return a device, and a socket by which the test is the network behind it."""
    network, device = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    network.setblocking(False)
    device.setblocking(False)
    return TunnelDevice(device.detach(), "tun-stand-in", mode), network


@functools.cache
def _lacks() -> str:
    if os.geteuid() != 0:
        return "only root makes tunnel devices"
    if not os.path.exists(FILE) or shutil.which("unshare") is None:
        return f"there is no {FILE}, or no unshare"
    made = subprocess.run(
        ["unshare", "-n", "ip", "tuntap", "add", "dev", "tun0", "mode", "tun"],
        capture_output=True,
        timeout=30,
        check=False,
    )
    return "" if made.returncode == 0 else f"the kernel makes no tunnel device: {made.stderr!r}"


def need_devices() -> None:
    """Skip the test where no device can be made in a network of its own."""
    if reason := _lacks():
        pytest.skip(reason)
