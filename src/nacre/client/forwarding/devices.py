"""Tunnel devices at the client: one of this host, joined to one of the server."""

from __future__ import annotations

from nacre.aio.channel import Channel, HasChannel
from nacre.aio.connection import BaseConnection
from nacre.protocol.tunnel import TUNNEL, TunnelChannel, TunnelMode
from nacre.tunnels.device import TunnelDevice
from nacre.tunnels.packet_relay import PacketRelay


class DeviceTunnel(HasChannel):
    """Two tunnel devices that a channel joins. ``async with`` closes it at the end.

    :ivar name: the name of this host's device, such as ``tun0``.
    """

    def __init__(self, name: str, channel: Channel) -> None:
        self.name = name
        self._channel = channel

    @property
    def closed(self) -> bool:
        """Whether the devices are no longer joined."""
        return self._channel.closing or self._channel.closed


async def join_devices(
    connection: BaseConnection, mode: TunnelMode, unit: int | None, remote_unit: int | None
) -> DeviceTunnel:
    """Open a device and join it; see :meth:`Connection.forward_tunnel`."""
    connection.check()
    device = TunnelDevice.open(mode, unit)
    try:
        channel = connection.open_channel(TUNNEL, TunnelChannel.of(mode, remote_unit).encode())
        relay = PacketRelay(connection, channel, device, mode)
        try:
            await channel.wait_opened()
        except BaseException:
            channel.close()
            raise
    except BaseException:
        device.close()
        raise
    relay.start()
    return DeviceTunnel(device.name, channel)
