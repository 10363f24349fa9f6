"""Logins with keys of ML-DSA-44 with Ed25519, which both sides have to name."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

import nacre
from nacre import Certificate, CertifiedKey, PrivateKey
from nacre.agent.client import Agent
from nacre.agent.memory import MemoryKeyring
from nacre.agent.server import serve_agent

TYPE = "ssh-mldsa44-ed25519@openssh.com"
CERTIFICATE = "ssh-mldsa44-ed25519-cert-v01@openssh.com"
USER, HOST, CA = (nacre.generate(TYPE, comment=name) for name in ("user", "host", "ca"))
ED25519 = nacre.generate("ssh-ed25519")
NAMED = nacre.algorithms(
    host_key=f"{CERTIFICATE},{TYPE}", signatures=f"{CERTIFICATE},{TYPE}", ca_signatures=TYPE
)
CERTIFIED = CertifiedKey(Certificate.issue(USER.public, CA, principals=["alice"]), USER)


async def _exit_7(session: nacre.Session) -> int:
    return 7


@contextlib.asynccontextmanager
async def login(secret: Any, host: PrivateKey = HOST, **more: Any) -> AsyncIterator[int | None]:
    users = nacre.Users({"alice": secret})
    terms: dict[str, Any] = {"algorithms": NAMED, "agent": False, **more}
    async with (
        nacre.listen(host_keys=[host], policy=users, handler=_exit_7, algorithms=NAMED) as server,
        nacre.connect(
            "127.0.0.1", server.port, user="alice", trust=nacre.AnyHostKey(), config=None, **terms
        ) as ssh,
    ):
        yield (await ssh.run("x", timeout=30)).exit_status


async def test_both_sides_have_such_a_key() -> None:
    async with login(USER.public, keys=[USER]) as status:
        assert status == 7


async def test_certificates_of_user_and_host_by_such_an_authority() -> None:
    host = CertifiedKey(Certificate.issue(HOST.public, CA, kind="host"), HOST)
    authority = nacre.CertificateAuthority(CA.public)
    async with login(authority, host, keys=[CERTIFIED]) as status:
        assert status == 7


@pytest.mark.parametrize("key", [USER, CERTIFIED], ids=["plain", "certified"])
async def test_an_agent_signs_with_it(key: PrivateKey, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serve_agent(None, MemoryKeyring()) as served:
        agent = Agent(served.path)
        await agent.add(key)
        assert [listed for listed, _ in await agent.keys()] == [key.public]
        monkeypatch.setenv("SSH_AUTH_SOCK", served.path)
        secret = USER.public if key is USER else nacre.CertificateAuthority(CA.public)
        async with login(secret, agent=True) as status:
            assert status == 7


async def test_what_permits_it_is_named() -> None:
    without = nacre.algorithms(host_key=TYPE)
    with pytest.raises(nacre.AuthenticationFailed) as caught:
        async with login(USER.public, keys=[USER], algorithms=without):
            pass
    assert f"not permitted here: PubkeyAcceptedAlgorithms=+{TYPE} permits it" in str(caught.value)


async def test_it_is_not_offered_unless_it_is_named() -> None:
    default = nacre.algorithms()
    assert not {TYPE, CERTIFICATE} & {*default.host_key, *default.signatures}
    assert TYPE not in default.ca_signatures
    with pytest.raises(nacre.NoCommonAlgorithm):
        async with login(USER.public, keys=[USER], algorithms=None):
            pass
