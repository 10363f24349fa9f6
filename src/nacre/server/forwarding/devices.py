"""Tunnel devices at the server: one that the policy has opened, joined to one of the client."""

from __future__ import annotations

from nacre.errors import MalformedMessage, NacreError
from nacre.protocol.asks import AskOpen, Granted, OpenRefused
from nacre.protocol.tunnel import TunnelChannel
from nacre.server.peer import ServerConnection
from nacre.server.questions import Questions
from nacre.tunnels.device import TunnelDevice
from nacre.tunnels.packet_relay import PacketRelay
from nacre.tunnels.relay import granting


async def open_tunnel(connection: ServerConnection, questions: Questions, ask: AskOpen) -> None:
    """Answer a channel of the type ``tun@openssh.com``, and relay its packets."""
    try:
        asked = TunnelChannel.decode(ask.data)
    except MalformedMessage:
        connection.answer(ask.ask_id, OpenRefused(description="malformed"))
        return
    mode, unit = asked.mode, asked.device
    if mode is None:
        connection.answer(ask.ask_id, OpenRefused(description="no such mode"))
        return
    await questions.wait_welcomed()
    device = await questions.ask(lambda policy: policy.tunnel_device(mode, unit, connection))
    if not isinstance(device, TunnelDevice):
        connection.record("forward", tunnel=mode, unit=unit, granted=False)
        connection.answer(ask.ask_id, OpenRefused(description="not allowed"))
        return
    connection.record("forward", tunnel=mode, device=device.name, granted=True)
    channel = granting(connection, ask)
    relay = PacketRelay(connection, channel, device, mode)
    try:
        connection.answer(ask.ask_id, Granted())
        await channel.wait_opened()
    except NacreError:
        device.close()
    else:
        relay.start()
