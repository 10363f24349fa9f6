"""Tunnel devices by the library's client and server, with sockets of packets in their place."""

from __future__ import annotations

import asyncio
import hashlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

import nacre
from nacre.protocol.tunnel import TunnelMode
from nacre.tunnels.device import TunnelDevice, attach
from parties import PASSWORD, client_for, until
from tunnels.devices import stand_in


class Tunnelling(nacre.Users):
    """Gives each tunnel a device, and keeps the network behind it."""

    def __init__(self) -> None:
        super().__init__({"alice": PASSWORD})
        self.asked: list[tuple[str, int | None]] = []
        self.networks: list[socket.socket] = []

    async def tunnel_device(
        self, mode: TunnelMode, unit: int | None, connection: nacre.ServerConnection
    ) -> TunnelDevice | None:
        self.asked.append((mode, unit))
        if unit == 99:
            return None
        device, network = stand_in(mode)
        self.networks.append(network)
        return device


@pytest.fixture
def policy() -> Tunnelling:
    return Tunnelling()


@pytest.fixture
async def ssh(make_server: Any, policy: Tunnelling) -> AsyncIterator[nacre.Connection]:
    async with client_for(await make_server(policy=policy)) as connection:
        yield connection
    for network in policy.networks:
        network.close()


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> list[socket.socket]:
    """The networks behind this side's devices."""
    networks: list[socket.socket] = []

    def opened(mode: str, unit: int | None = None) -> TunnelDevice:
        device, network = stand_in(mode)
        networks.append(network)
        return device

    monkeypatch.setattr(TunnelDevice, "open", opened)
    return networks


async def receive(network: socket.socket) -> bytes:
    async with asyncio.timeout(30):
        return await asyncio.get_running_loop().sock_recv(network, 65536)


async def send(network: socket.socket, packet: bytes) -> None:
    async with asyncio.timeout(30):
        await asyncio.get_running_loop().sock_sendall(network, packet)


@pytest.mark.parametrize("mode", ["point-to-point", "ethernet"])
async def test_packets_go_both_ways_one_by_one(
    ssh: nacre.Connection, policy: Tunnelling, here: list[socket.socket], mode: TunnelMode
) -> None:
    async with ssh.forward_tunnel(mode, remote_unit=4) as tunnel:
        assert tunnel.name == "tun-stand-in"
        (near,), (far,) = here, policy.networks
        for packet in (b"\x45a", b"\x60bc", b"\x45" + bytes(1499)):
            await send(near, packet)
            await send(far, packet[::-1])
            assert await receive(far) == packet
            assert await receive(near) == packet[::-1]
        assert not tunnel.closed
    assert tunnel.closed
    assert await receive(far) == b""
    assert await receive(near) == b""
    assert policy.asked == [(mode, 4)]
    near.close()


async def test_more_than_a_window_arrives_in_order_through_key_exchanges(
    ssh: nacre.Connection, policy: Tunnelling, here: list[socket.socket]
) -> None:
    count, sums = 4000, [hashlib.sha256(), hashlib.sha256()]

    async def flood() -> None:
        for number in range(count):
            packet = b"\x45" + number.to_bytes(4) + bytes(1 + number * 7 % 1400)
            sums[0].update(packet)
            await send(near, packet)
            if number in (1000, 2000):
                await ssh.rekey()

    async with ssh.forward_tunnel():
        (near,), (far,) = here, policy.networks
        flooding = asyncio.create_task(flood())
        for number in range(count):
            packet = await receive(far)
            assert int.from_bytes(packet[1:5]) == number
            sums[1].update(packet)
        await flooding
    assert sums[0].digest() == sums[1].digest()
    near.close()


async def test_a_packet_that_the_peer_never_takes_is_dropped(
    ssh: nacre.Connection, policy: Tunnelling, here: list[socket.socket]
) -> None:
    async with ssh.forward_tunnel("ethernet"):
        (near,), (far,) = here, policy.networks
        channel = next(iter(ssh.channels))
        most = ssh.engine.connection.channels[channel.number].send.packet  # type: ignore[attr-defined]
        if most < 65536:
            await send(near, bytes(most + 1))
        await send(near, b"small")
        assert await receive(far) == b"small"
    near.close()


async def test_a_refusal_closes_the_device(
    ssh: nacre.Connection, here: list[socket.socket]
) -> None:
    with pytest.raises(nacre.ChannelOpenFailed, match="not allowed"):
        await ssh.forward_tunnel(remote_unit=99)
    assert await receive(here[0]) == b""
    here[0].close()


async def test_numbers_that_no_device_has_are_refused_here(ssh: nacre.Connection) -> None:
    with pytest.raises(nacre.ConfigurationError, match="remote_unit=32768"):
        await ssh.forward_tunnel(remote_unit=32768)
    with pytest.raises(OSError, match="there is no device 32768"):
        attach(-1, "ethernet", 32768)


async def test_a_host_without_such_a_device_asks_no_server(
    ssh: nacre.Connection, policy: Tunnelling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nacre.tunnels.device.FILE", "/no/such/file")
    with pytest.raises(FileNotFoundError):
        await ssh.forward_tunnel()
    assert policy.asked == []


async def test_the_end_of_the_connection_closes_both_devices(
    ssh: nacre.Connection, policy: Tunnelling, here: list[socket.socket]
) -> None:
    tunnel = await ssh.forward_tunnel()
    ssh.abort()
    assert await receive(here[0]) == b""
    assert await receive(policy.networks[0]) == b""
    await until(lambda: tunnel.closed)
    here[0].close()
