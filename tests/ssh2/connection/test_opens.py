"""Which role may open which type of channel."""

from __future__ import annotations

import pytest

from nacre.protocol.phases import Role
from nacre.ssh2.connection.opens import may_open

CLIENT_S = ("session", "direct-tcpip", "direct-streamlocal@openssh.com")
SERVER_S = ("forwarded-tcpip", "forwarded-streamlocal@openssh.com", "x11", "auth-agent@openssh.com")


@pytest.mark.parametrize("channel_type", CLIENT_S)
def test_only_a_client_opens(channel_type: str) -> None:
    assert may_open(Role.CLIENT, channel_type)
    assert not may_open(Role.SERVER, channel_type)


@pytest.mark.parametrize("channel_type", SERVER_S)
def test_only_a_server_opens(channel_type: str) -> None:
    assert may_open(Role.SERVER, channel_type)
    assert not may_open(Role.CLIENT, channel_type)


@pytest.mark.parametrize("channel_type", ["tun@openssh.com", "private@example.org", "Session"])
@pytest.mark.parametrize("role", list(Role))
def test_either_side_may_open_other_types(role: Role, channel_type: str) -> None:
    assert may_open(role, channel_type)
