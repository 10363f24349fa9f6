"""Logins to the SSH server in the names of users."""

from __future__ import annotations

from typing import Any

import pytest

from console.file_server import FileServer
from console.world import PASSWORD, World
from nacre.console.web.browsers import BrowserSession
from nacre.console.web.calls import APIRefused
from nacre.console.web.logins import PinnedHostKeys, SSHLogins
from nacre.daemon.api.plan import ServedSSH
from nacre.errors import HostKeyError, NacreError
from nacre.keys import generate


async def test_the_keys_that_the_api_names_are_trusted_and_no_others() -> None:
    key, other = generate("ssh-ed25519").public, generate("ssh-ed25519").public
    trust = PinnedHostKeys([str(key)])
    await trust.check("x", 22, "", key)
    with pytest.raises(HostKeyError):
        await trust.check("x", 22, "", other)
    offered = ("ecdsa-sha2-nistp256", "rsa-sha2-512", "ssh-ed25519")
    assert trust.algorithms("x", 22, offered)[0] == "ssh-ed25519"
    rsa = PinnedHostKeys(["ssh-rsa AAAA"])
    assert rsa.algorithms("x", 22, offered)[0] == "rsa-sha2-512"


async def session_of(world: World, name: str) -> BrowserSession:
    """Return a session of a user, with one at the API."""
    body = {"name": name, "password": PASSWORD, "address": "192.0.2.7"}
    done: Any = await world.api.call(world.api.key, "POST", "/v1/sessions", body=body)
    return BrowserSession(token=done["token"], name=name, role=done["role"], used=0.0)


async def test_each_login_is_one_of_its_user_with_a_password_of_its_own(
    world: World, server: FileServer
) -> None:
    session = await session_of(world, "uma")
    logins = SSHLogins(world.api)
    for _ in range(2):
        async with await logins.log_in(session) as connection:
            assert not connection.closed
    made = [one for one in server.records if one["event"] == "authenticated"]
    assert [one["user"] for one in made] == ["uma", "uma"]
    vouched = [one["address"] for one in server.records if one["event"] == "vouched"]
    assert vouched == ["192.0.2.7", "192.0.2.7"]


async def test_a_server_with_another_host_key_gets_no_password(
    world: World, server: FileServer
) -> None:
    other = str(generate("ssh-ed25519").public)
    world.resources.ssh = ServedSSH(server.ssh.addresses, (other,))
    with pytest.raises(NacreError):
        await SSHLogins(world.api).log_in(await session_of(world, "uma"))
    assert "vouched" not in {one["event"] for one in server.records}


async def test_the_address_of_the_console_goes_before_that_of_the_api(
    world: World, server: FileServer
) -> None:
    host, _, port = server.ssh.addresses[0].rpartition(":")
    world.resources.ssh = ServedSSH(("127.0.0.1:1",), server.ssh.host_keys)
    logins = SSHLogins(world.api, (host, int(port)))
    async with await logins.log_in(await session_of(world, "uma")) as connection:
        assert not connection.closed


async def test_without_an_address_there_is_no_login(world: World) -> None:
    with pytest.raises(APIRefused, match="give the console --ssh"):
        await SSHLogins(world.api).log_in(await session_of(world, "uma"))


async def test_a_session_that_has_ended_logs_nobody_in(world: World, server: FileServer) -> None:
    session = await session_of(world, "uma")
    await world.api.call(session.token, "DELETE", "/v1/own/session")
    with pytest.raises(APIRefused) as raised:
        await SSHLogins(world.api).log_in(session)
    assert raised.value.status == 401
    assert "vouched" not in {one["event"] for one in server.records}
