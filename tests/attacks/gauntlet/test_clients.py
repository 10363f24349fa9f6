"""Public vulnerabilities, tried on nacre: clients whose server, or whoever names it, attacks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nacre
from attacks.links import of
from nacre.client.trust import sshfp
from nacre.client.trust.files import KnownHostsFile
from nacre.client.trust.sshfp import InDNS
from nacre.config.destination import parse
from nacre.errors import ConfigurationError, HostKeyUnknown
from nacre.keys import Certificate, PublicKey, generate
from nacre.protocol.events import MessageSeen
from nacre.protocol.options import ClientOptions
from nacre.testing import Pair
from nacre.wire.codec import u32
from parties import PASSWORD, client_for

Make = Callable[..., Any]


async def test_a_server_that_resumes_connections(make_server: Make) -> None:
    """CVE-2016-0777: OpenSSH's client sent its memory to a server that had it resume."""
    pair = Pair(client=ClientOptions(user="alice", trace=True))
    pair.run()
    said = [seen.payload for seen in of(pair.client_events, MessageSeen) if seen.direction == "out"]
    assert said
    assert not any(b"resume@" in payload or b"roaming" in payload for payload in said)
    server = await make_server()
    async with client_for(server) as ssh:
        (connection,) = server.connections
        for name in ("roaming@appgate.com", "resume@appgate.com", "roaming-resume@appgate.com"):
            assert await connection.request(name, u32(1) + bytes(16)) is None
        assert (await ssh.run("exit 3")).exit_status == 3


class _Passwords(nacre.Users):
    """Notes the passwords that it is shown."""

    def __init__(self) -> None:
        super().__init__({"alice": PASSWORD})
        self.shown: list[str] = []

    def password(self, user: str, password: str, connection: nacre.ServerConnection) -> bool:
        self.shown.append(password)
        return super().password(user, password, connection)


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("as asked"), OSError(28, "full")])
async def test_a_check_of_the_host_key_that_fails(
    error: Exception, make_server: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CVE-2025-26465: out of memory while it checked the key, OpenSSH's client believed in it."""

    def look_up(host: str, key: PublicKey) -> InDNS:
        raise error

    monkeypatch.setattr(sshfp, "look_up", look_up)
    policy = _Passwords()
    server = await make_server(policy=policy)
    trust = KnownHostsFile([tmp_path / "known_hosts"], global_paths=(), strict="no", dns="yes")
    with pytest.raises((type(error), nacre.NacreError)):
        await client_for(server, trust=trust)
    assert policy.shown == []


async def test_a_certificate_that_is_not_acceptable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CVE-2014-2653: OpenSSH's client left out the DNS where a server showed such a certificate."""
    key, stranger = generate("ssh-ed25519"), generate("ssh-ed25519")
    asked: list[PublicKey] = []
    said: list[str] = []

    def look_up(host: str, key: PublicKey) -> InDNS:
        asked.append(key)
        return InDNS(found=True, matches=False, secure=True)

    monkeypatch.setattr(sshfp, "look_up", look_up)
    file = tmp_path / "known_hosts"
    trust = KnownHostsFile([file], global_paths=(), dns="yes", notice=said.append)
    with pytest.raises(HostKeyUnknown):
        await trust.check("h", 22, "", Certificate.issue(key.public, stranger, kind="host"))
    assert asked == [key.public]
    assert "does not match the fingerprints of h in the DNS" in said[0]


@pytest.mark.parametrize("place", ["u%00;x@h", "u%00@h", "u@h\0x", "u%0Atouch%20x@h"])
def test_characters_that_a_uri_hides(place: str) -> None:
    """CVE-2025-61985: a NUL in a URI reached the command line of OpenSSH's ProxyCommand."""
    for text in (f"ssh://{place}", f"ssh://{place}:22", f"ssh://{place}/"):
        with pytest.raises(ConfigurationError):
            parse("-J", text)
