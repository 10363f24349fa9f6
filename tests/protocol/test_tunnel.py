"""Packets of tunnel devices as channel data."""

from __future__ import annotations

import pytest

from nacre.protocol.tunnel import ANY_UNIT, MODES, TunnelChannel, TunnelMode, from_wire, to_wire

V4, V6 = b"\x45rest", b"\x60rest"


@pytest.mark.parametrize(
    ("mode", "packet", "data"),
    [
        ("point-to-point", V4, b"\0\0\0\x02" + V4),
        ("point-to-point", V6, b"\0\0\0\x18" + V6),
        ("point-to-point", b"\0nothing", b"\0\0\0\x02\0nothing"),
        ("ethernet", b"frame", b"frame"),
    ],
)
def test_a_packet_has_its_family_and_a_frame_nothing(
    mode: TunnelMode, packet: bytes, data: bytes
) -> None:
    assert to_wire(mode, packet) == data
    assert from_wire(mode, data) == packet


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\0\0\x02"])
def test_what_is_too_short_has_no_packet(data: bytes) -> None:
    assert from_wire("point-to-point", data) == b""


def test_a_channel_names_its_mode_and_device() -> None:
    assert TunnelChannel.of("point-to-point", 3).encode() == b"\0\0\0\x01\0\0\0\x03"
    assert TunnelChannel.of("ethernet", None) == TunnelChannel(2, ANY_UNIT)
    for number, mode in enumerate(MODES, 1):
        asked = TunnelChannel.decode(TunnelChannel.of(mode, 7).encode())
        assert (asked.number, asked.mode, asked.device) == (number, mode, 7)
    assert TunnelChannel(2, ANY_UNIT).device is None
    assert TunnelChannel(3, 0).mode is None
