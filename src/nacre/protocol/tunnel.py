"""Names and data of tunnel devices (OpenSSH's PROTOCOL, section 2.3).

Each message of channel data is one packet. In point-to-point mode it is a packet of IP behind its
address family, in ethernet mode a frame.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

from nacre.wire.codec import Buffer
from nacre.wire.message import U32, Record, record

TUNNEL = "tun@openssh.com"
"""The type of a channel that joins a device of the client to one of the server."""

ANY_UNIT = 0x7FFFFFFF
"""Stands for a device that the server chooses."""

TunnelMode: TypeAlias = Literal["point-to-point", "ethernet"]
"""What a device carries: packets of IP (a tun device), or frames (a tap device)."""

MODES: tuple[TunnelMode, ...] = get_args(TunnelMode)

_NUMBERS: dict[TunnelMode, int] = {"point-to-point": 1, "ethernet": 2}
_FAMILY = 4
_INET, _INET6 = b"\0\0\0\2", b"\0\0\0\x18"
_IPV6 = 6


@record
class TunnelChannel(Record):
    """The type-specific data of ``tun@openssh.com``."""

    number: U32
    unit: U32

    @classmethod
    def of(cls, mode: TunnelMode, unit: int | None) -> TunnelChannel:
        """Return that for a mode, and a device of the server or None for any."""
        return cls(_NUMBERS[mode], ANY_UNIT if unit is None else unit)

    @property
    def mode(self) -> TunnelMode | None:
        """The mode; None if there is no such mode."""
        return next((mode for mode, number in _NUMBERS.items() if number == self.number), None)

    @property
    def device(self) -> int | None:
        """The number of the server's device; None for any."""
        return None if self.unit == ANY_UNIT else self.unit


def to_wire(mode: TunnelMode, packet: bytes) -> bytes:
    """Return the channel data for a packet or frame that a device has sent."""
    if mode == "ethernet":
        return packet
    return (_INET6 if packet and packet[0] >> 4 == _IPV6 else _INET) + packet


def from_wire(mode: TunnelMode, data: Buffer) -> Buffer:
    """Return the packet or frame in channel data.

    The packet's own version tells its family: some servers name IPv4 for all.
    """
    return data if mode == "ethernet" else data[_FAMILY:]
