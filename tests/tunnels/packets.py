"""The first packet of a program's connection to a display."""

from __future__ import annotations

from typing import Literal

from nacre.tunnels.x11 import Authorization


def setup_packet(
    authorization: Authorization, order: str = "l", *, sizes: tuple[int, int] | None = None
) -> bytes:
    """Return the packet (X Window System Protocol, section 8); ``sizes`` are those it claims."""
    byte_order: Literal["little", "big"] = "little" if order == "l" else "big"
    name, data = authorization.protocol, authorization.data
    head = order.encode() + b"\0"
    for number in (11, 0, *(sizes or (len(name), len(data))), 0):
        head += number.to_bytes(2, byte_order)
    return head + name + bytes(-len(name) % 4) + data + bytes(-len(data) % 4)
