"""What a server hands to its successor."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nacre.daemon.sockets import Passed
from nacre.errors import StateError
from nacre.limits import KIB

LONGEST = 64 * KIB
"""Bytes of the message."""

MOST = 250
"""Descriptors of the message: Linux passes 253 (unix(7))."""

NOTHING = Passed(b"[]", [])
"""No sockets."""

Limits = Mapping[str, tuple[int, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estate:
    """What a successor gets; its members are sent as one message with descriptors.

    :ivar sockets: the listening sockets, with their addresses.
    :ivar asking: a stream on which the predecessor answers what is asked of its connections.
    :ivar metrics: the listening sockets of ``--metrics``; ``api`` those of ``--api``.
    :ivar control: the listening control socket; None for a server without a state directory.
    :ivar counts: the memory that counts the connections of users; None without users of a store.
    :ivar parts: the parts of that memory that are in use: the first of each group, and how many.
    :ivar first: a number above those of all gates, workers and listeners of the predecessor.
    :ivar node: what all processes of the node have in common; empty without a shared store.
    :ivar limits: the limits that the predecessor was started with, by their names.
    """

    sockets: Passed
    asking: int
    metrics: Passed = NOTHING
    api: Passed = NOTHING
    control: int | None = None
    counts: int | None = None
    parts: Sequence[tuple[int, int]] = ()
    first: int = 0
    node: str = ""
    limits: Limits

    def send(self, sock: socket.socket) -> None:
        """Send it; the descriptors remain the caller's.

        :raises StateError: it is too large, or the other end is gone.
        """
        header = {
            "addresses": self.sockets.data.decode(),
            "sockets": len(self.sockets.descriptors),
            "metrics_addresses": self.metrics.data.decode(),
            "metrics": len(self.metrics.descriptors),
            "api_addresses": self.api.data.decode(),
            "api": len(self.api.descriptors),
            "control": self.control is not None,
            "counts": self.counts is not None,
            "parts": self.parts,
            "first": self.first,
            "node": self.node,
            "limits": self.limits,
        }
        more = [one for one in (self.control, self.counts) if one is not None]
        listening = (self.sockets, self.metrics, self.api)
        descriptors = [self.asking, *(one for some in listening for one in some.descriptors), *more]
        data = json.dumps(header).encode()
        if len(descriptors) > MOST or len(data) > LONGEST:
            raise StateError("the server listens on too many sockets to hand them over: restart it")
        try:
            socket.send_fds(sock, [data], descriptors)
        except OSError as error:
            raise StateError(f"the successor has ended at once: {error.strerror}") from error


def receive(sock: socket.socket) -> Estate:
    """Return what the predecessor sends.

    :raises StateError: that is no estate.
    """
    try:
        data, descriptors, _, _ = socket.recv_fds(sock, LONGEST, MOST)
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        return _decoded(json.loads(data), descriptors)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StateError(f"the server before has handed over what can't be read: {error}") from None


def _decoded(header: dict[str, Any], descriptors: list[int]) -> Estate:
    asking, *left = descriptors

    def take(count: int) -> list[int]:
        taken, left[:] = left[:count], left[count:]
        if len(taken) != count:
            raise ValueError("a descriptor is missing")
        return taken

    return Estate(
        sockets=Passed(header["addresses"].encode(), take(header["sockets"])),
        asking=asking,
        metrics=Passed(header["metrics_addresses"].encode(), take(header["metrics"])),
        api=Passed(header["api_addresses"].encode(), take(header["api"])),
        control=take(1)[0] if header["control"] else None,
        counts=take(1)[0] if header["counts"] else None,
        parts=[(int(start), int(count)) for start, count in header["parts"]],
        first=int(header["first"]),
        node=str(header.get("node", "")),  # an older server sends none
        limits={str(name): (int(a), int(b)) for name, (a, b) in header["limits"].items()},
    )
