"""Tunnel devices at the client: one of this host, joined to one of the server."""

from __future__ import annotations

from nacre.aio.channel import Channel
from nacre.aio.connection import BaseConnection
from nacre.aio.waiting import ClosesAtOnce, Later
from nacre.protocol.tunnel import TUNNEL, TunnelChannel, TunnelMode
from nacre.tunnels.device import TunnelDevice
from nacre.tunnels.packet_relay import PacketRelay


class DeviceTunnel(ClosesAtOnce):
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

    def close(self) -> Later[None]:
        """Part the devices. It acts at once; await the result to wait for the server."""
        self._channel.close()
        return Later(self.wait_closed)

    async def wait_closed(self) -> None:
        """Return when both sides have closed the channel."""
        while not self._channel.closed:
            await self._channel.changed.wait()


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
