"""Sockets that a manager of services has opened for this program (sd_listen_fds(3))."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import astuple

from nacre.daemon.sockets import Address, Passed
from nacre.errors import StateError
from nacre.wire.text import safe

FIRST = 3
"""The number of the first descriptor."""

MOST = 64
"""Sockets that are taken."""

ACTIVATED = "socket activation"
"""What tells of the addresses of these sockets; see :attr:`Address.told_by`."""

_VARIABLES = ("LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES")

_REMEDY = "see the .socket unit of this service"


def is_activated() -> bool:
    """Tell whether sockets were passed to this process."""
    count = os.environ.get("LISTEN_FDS", "")
    return os.environ.get("LISTEN_PID") == str(os.getpid()) and count not in ("", "0")


def take_activated() -> Passed | None:
    """Return the sockets that were passed to this process; None if there are none.

    The variables are removed: what this process starts has other descriptors.

    :raises StateError: a descriptor is no listening socket of TCP, or the variables are wrong.
    """
    passed = is_activated()
    count, names = os.environ.get("LISTEN_FDS", ""), os.environ.get("LISTEN_FDNAMES")
    for variable in _VARIABLES:
        os.environ.pop(variable, None)
    if not passed:
        return None
    if not count.isdecimal() or int(count) > MOST:
        raise StateError(f"LISTEN_FDS={safe(count)}: a number up to {MOST} is expected")
    descriptors = [*range(FIRST, FIRST + int(count))]
    told = [] if names is None else names.split(":")
    # A number that does not fit the others is that of names which mean something else.
    labels = told if len(told) == len(descriptors) else ["unknown"] * len(descriptors)
    found: dict[Address, list[int]] = {}
    for descriptor, label in zip(descriptors, labels, strict=True):
        found.setdefault(_address(descriptor, label), []).append(descriptor)
    rows = [(*astuple(address), len(group)) for address, group in found.items()]
    return Passed(json.dumps(rows).encode(), [one for group in found.values() for one in group])


def _address(descriptor: int, label: str) -> Address:
    """Return the address of a listening socket, which is passed on to no program."""
    what = f"socket activation passes descriptor {descriptor} ({safe(label)})"
    try:
        os.set_inheritable(descriptor, False)
        sock = socket.socket(fileno=descriptor)
    except OSError as error:
        raise StateError(f"{what}, which is no socket: {error.strerror}; {_REMEDY}") from error
    try:
        if sock.family not in (socket.AF_INET, socket.AF_INET6) or sock.type != socket.SOCK_STREAM:
            raise StateError(f"{what}, which is no socket of TCP: {_REMEDY}, ListenStream=")
        if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise StateError(
                f"{what}, which is a connection: set Accept=no in the .socket unit, or start "
                "nacre-sshd -i for each connection"
            )
        host, port = sock.getsockname()[:2]
    finally:
        sock.detach()
    return Address(host, port, told_by=ACTIVATED)
