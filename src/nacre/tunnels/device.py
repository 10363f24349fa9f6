"""Tunnel devices of Linux: network interfaces whose packets a program reads and writes.

See tun(4) of the kernel's documentation (networking/tuntap). Nothing here needs an event loop: a
process that only attaches a device starts with this module.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from struct import pack

FILE = "/dev/net/tun"
"""The file that makes devices."""

UNITS = range(32768)
"""The numbers of devices."""

_TUNSETIFF = 0x400454CA
_NO_INFORMATION = 0x1000
_KINDS = {"point-to-point": ("tun", 1), "ethernet": ("tap", 2)}
_NAME, _REQUEST = 16, 40


def attach(descriptor: int, mode: str, unit: int | None) -> str:
    """Make the device of a descriptor of :data:`FILE`, or attach to one; return its name.

    A device that exists may be attached to by its owner; a new one needs CAP_NET_ADMIN.

    :param mode: ``point-to-point`` or ``ethernet``.
    :param unit: the number in its name, such as 3 for ``tun3``; None lets the system choose.
    :raises OSError: the device is in use, or the process has no right to it.
    """
    if unit is not None and unit not in UNITS:
        raise OSError(errno.ENODEV, f"there is no device {unit}")
    import fcntl  # not on every system, and nothing else here needs it

    kind, flag = _KINDS[mode]
    name = f"{kind}%d" if unit is None else f"{kind}{unit}"
    request = pack(f"{_NAME}sH", name.encode(), flag | _NO_INFORMATION).ljust(_REQUEST, b"\0")
    answer = fcntl.ioctl(descriptor, _TUNSETIFF, request)
    return answer[:_NAME].partition(b"\0")[0].decode()


class TunnelDevice:
    """An open device. It goes away when it is closed, unless it existed before.

    :ivar name: its name, such as ``tun0``.
    :ivar mode: what it carries: ``point-to-point`` packets of IP, or ``ethernet`` frames.
    """

    def __init__(self, descriptor: int, name: str, mode: str) -> None:
        self.name = name
        self.mode = mode
        self._descriptor = descriptor

    @classmethod
    def open(cls, mode: str, unit: int | None = None) -> TunnelDevice:
        """Open a device with the rights of this process; see :func:`attach` for the arguments.

        :raises OSError: the system has no such devices, or :func:`attach` can't have it.
        """
        descriptor = open_file()
        try:
            return cls(descriptor, attach(descriptor, mode, unit), mode)
        except BaseException:
            os.close(descriptor)
            raise

    def fileno(self) -> int:
        """Return its descriptor, which does not block; -1 once it is closed."""
        return self._descriptor

    def close(self) -> None:
        """Close it; a second call does nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with suppress(OSError):
                os.close(descriptor)


def open_file() -> int:
    """Return a descriptor of :data:`FILE` that does not block.

    :raises OSError: the system has no tunnel devices, or this process has no right to them.
    """
    return os.open(FILE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
