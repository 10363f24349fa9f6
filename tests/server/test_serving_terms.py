"""What sshd_config says about a connection: line, name, type of service, refusal."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import nacre
from nacre.protocol.options import SOFTWARE
from nacre.server.peer import ConnectionTerms
from parties import PASSWORD, client_for

Make = Callable[..., Any]


async def server_with(make_server: Make, options: Any = None, **terms: Any) -> nacre.Server:
    server: nacre.Server = await make_server(**(options or {}))
    server.apply(replace(server._settings, terms=ConnectionTerms(**terms)))
    return server


async def test_the_version_addendum_is_in_the_identification_line(make_server: Make) -> None:
    server = await server_with(make_server, version_addendum="of the lab")
    async with client_for(server) as ssh:
        assert ssh.peer_version == f"SSH-2.0-{SOFTWARE} of the lab"


async def test_a_refused_connection_ends_at_the_first_attempt(
    make_server: Make, records: list[dict[str, object]]
) -> None:
    server = await server_with(make_server, refuse=True)
    with pytest.raises(nacre.Disconnected, match="does not take your connection"):
        await client_for(server)
    assert [r["reason"] for r in records if r["event"] == "refused"] == ["RefuseConnection is set"]


@pytest.mark.parametrize(("terminal", "code"), [(True, 0x48), (False, 0x20)])
async def test_the_type_of_service_depends_on_the_terminal(
    make_server: Make, terminal: bool, code: int
) -> None:
    found: list[int] = []

    async def look(session: nacre.Session) -> None:
        transport = session.connection.driver.transport
        assert transport is not None
        sock = transport.get_extra_info("socket")
        found.append(sock.getsockopt(socket.IPPROTO_IP, socket.IP_TOS))

    server = await server_with(make_server, {"handler": look}, ip_qos=(0x48, 0x20))
    async with client_for(server) as ssh:
        await ssh.run("x", term="xterm" if terminal else None)
    assert found == [code]


async def test_no_type_of_service_leaves_it_to_the_system(make_server: Make) -> None:
    server = await server_with(make_server)
    async with client_for(server) as ssh, ssh.process("cat"):
        (connection,) = server.connections
        assert connection.driver.transport is not None
        sock = connection.driver.transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) == 0


async def test_the_name_of_the_client_is_looked_up_before_the_policy_is_asked(
    make_server: Make,
) -> None:
    hosts: list[str] = []

    class Noting(nacre.Users):
        def requirement(self, user: str, connection: nacre.ServerConnection) -> Any:
            hosts.append(connection.host)
            return super().requirement(user, connection)

    async def resolve(address: str) -> str:
        return f"name-of-{address}"

    policy = {"policy": Noting({"alice": PASSWORD})}
    for resolver, host in ((resolve, "name-of-127.0.0.1"), (None, "127.0.0.1")):
        server = await server_with(make_server, policy, resolve=resolver)
        hosts.clear()
        async with client_for(server):
            assert hosts == [host]
