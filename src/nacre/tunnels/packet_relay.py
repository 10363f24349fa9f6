"""A relay of packets between a tunnel device and a channel, one message for each packet."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from nacre.aio.channel import Channel
from nacre.aio.home import detach, own
from nacre.errors import NacreError, NotUsableHere
from nacre.protocol.tunnel import TunnelMode, from_wire, to_wire
from nacre.tunnels.device import TunnelDevice
from nacre.wire.codec import Buffer
from nacre.wire.numbers import MAIN

if TYPE_CHECKING:
    from nacre.aio.connection import BaseConnection

_LARGEST = 65536
"""Bytes of a packet or frame, at most."""

_AT_ONCE = 32
"""Packets that are read before other tasks run."""


class PacketRelay:
    """Carries packets in both directions until the channel or the device is gone.

    There is no queue: while the connection takes no packet, one is held and the device is not read,
    so that the kernel's own queue fills, and drops. A packet from the peer that the device does not
    take at once is dropped, as a link would.

    :param device: belongs to the relay, which closes it.
    """

    def __init__(
        self, connection: BaseConnection, channel: Channel, device: TunnelDevice, mode: TunnelMode
    ) -> None:
        self._connection = connection
        self._channel = channel
        self._device = device
        self._mode = mode
        channel.sinks = {MAIN: self}
        own(self)

    def start(self) -> None:
        """Begin to read the device; the channel is open."""
        if self._device.fileno() >= 0:
            self._connection.loop.add_reader(self._device.fileno(), self._read)

    def _read(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                packet = os.read(self._device.fileno(), _LARGEST)
            except BlockingIOError:
                return
            except OSError:  # the device was removed
                self._channel.close()
                return
            if not packet or self._channel.takes_no_data:
                return
            data = to_wire(self._mode, packet)
            if not self._channel.send(data, MAIN):
                self._connection.loop.remove_reader(self._device.fileno())
                self._connection.spawn(self._send_later(data))
                return

    async def _send_later(self, data: bytes) -> None:
        """Send a packet once the connection takes it, and read the device again."""
        channel = self._channel
        with suppress(NacreError):
            while not channel.takes_no_data and not channel.send(data, MAIN):
                if channel.congested:
                    await channel.wait_uncongested()
                else:
                    await channel.wait_writable()
            self.start()

    # --- called by the channel ---

    def feed(self, data: Buffer) -> None:
        """Give the device a packet."""
        if self._device.fileno() >= 0:
            with suppress(OSError):  # it is down, full, or does not like the packet
                os.write(self._device.fileno(), from_wire(self._mode, data))
        self._channel.adjust_window(len(data))

    def end(self, error: NacreError | None = None) -> None:
        """Close the device and the channel."""
        descriptor = self._device.fileno()
        if descriptor >= 0:
            self._connection.loop.remove_reader(descriptor)
            self._device.close()
        self._channel.close()

    def disown(self, error: NotUsableHere) -> None:
        """Let go of the device in a forked child; see :mod:`nacre.aio.home`."""
        detach([self._device.fileno()])
