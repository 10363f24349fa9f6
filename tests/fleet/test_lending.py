"""The agent that a host gets to hand files on: one login, and nothing else."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from nacre.agent.keyring import AgentClient, Keyring
from nacre.client.connection import Connection
from nacre.client.userkeys import HeldKey
from nacre.errors import UnusableKey
from nacre.fleet.lending import LentKeyring, lendable
from nacre.keys import Certificate, CertifiedKey, PrivateKey, PublicKey, generate
from nacre.keys.agents.constraints import UNCONSTRAINED
from nacre.keys.agents.messages import SESSION_BIND
from nacre.wire.codec import boolean, string, text, u8

KEY, PARENT, NEXT, OTHER = (generate("ssh-ed25519") for _ in range(4))
HOSTBOUND = "publickey-hostbound-v00@openssh.com"


def connection(host: PublicKey | None, user: str = "alice", key: Any = None) -> Connection:
    """Return what is asked of a connection."""
    found = SimpleNamespace(host="h", user=user, server_host_key=host, login_key=key)
    return cast("Connection", found)


def lent(start: PublicKey = PARENT.public, user: str = "alice") -> Any:
    """Return the keyring as the host sees it: for a login to NEXT from the host of ``start``."""
    keyring: Keyring = LentKeyring(
        HeldKey(KEY), connection(start), connection(NEXT.public, user=user)
    )
    return keyring.for_client(AgentClient())


def bind(host: PrivateKey, session: bytes, *, forwarding: bool) -> bytes:
    signature = host.sign(session, host.public.signature_algorithms[0])
    return string(host.public.blob) + string(session) + string(signature) + boolean(forwarding)


def login(session: bytes, host: PrivateKey, user: str = "alice") -> bytes:
    return b"".join(
        (
            string(session),
            u8(50),
            text(user),
            text("ssh-connection"),
            text(HOSTBOUND),
            boolean(True),
            text("ssh-ed25519"),
            string(KEY.public.blob),
            string(host.public.blob),
        )
    )


async def test_it_signs_the_login_to_the_next_host() -> None:
    agent = lent()
    agent.extension(SESSION_BIND, bind(PARENT, b"first", forwarding=True))
    agent.extension(SESSION_BIND, bind(NEXT, b"second", forwarding=False))
    listed = agent.keys()
    assert [key for key, _ in listed] == [KEY.public]
    data = login(b"second", NEXT)
    assert KEY.public.verify(await agent.sign(KEY.public, data, "ssh-ed25519"), data, "ssh-ed25519")


@pytest.mark.parametrize(
    ("hop", "host", "user", "session"),
    [
        (PARENT, OTHER, "alice", b"second"),
        (OTHER, NEXT, "alice", b"second"),
        (PARENT, NEXT, "root", b"second"),
        (PARENT, NEXT, "alice", b"another"),
    ],
    ids=["another-host", "from-elsewhere", "another-user", "another-session"],
)
async def test_it_signs_no_other_login(
    hop: PrivateKey, host: PrivateKey, user: str, session: bytes
) -> None:
    agent = lent()
    agent.extension(SESSION_BIND, bind(hop, b"first", forwarding=True))
    agent.extension(SESSION_BIND, bind(host, b"second", forwarding=False))
    with pytest.raises(UnusableKey):
        await agent.sign(KEY.public, login(session, host, user), "ssh-ed25519")


async def test_it_signs_nothing_that_is_not_bound() -> None:
    with pytest.raises(UnusableKey, match="has not told"):
        await lent().sign(KEY.public, login(b"second", NEXT), "ssh-ed25519")


async def test_a_host_can_add_no_key_in_place_of_the_lent_one() -> None:
    agent = lent()
    for key in (KEY, OTHER):
        with pytest.raises(UnusableKey, match="adds no keys"):
            agent.add(key, UNCONSTRAINED)


async def test_a_host_with_a_certificate_hands_on() -> None:
    certificate = Certificate.issue(PARENT.public, OTHER, kind="host", principals=["h"])
    agent = lent(certificate)
    agent.extension(
        SESSION_BIND, bind(CertifiedKey(certificate, PARENT), b"first", forwarding=True)
    )
    agent.extension(SESSION_BIND, bind(NEXT, b"second", forwarding=False))
    data = login(b"second", NEXT)
    assert KEY.public.verify(await agent.sign(KEY.public, data, "ssh-ed25519"), data, "ssh-ed25519")


def test_a_user_whose_name_is_a_pattern_gets_no_agent() -> None:
    with pytest.raises(UnusableKey, match="no pattern"):
        lent(user="a*")


def test_what_another_login_can_be_made_with() -> None:
    key = HeldKey(KEY)
    assert lendable(connection(NEXT.public, key=key)) is key
    assert lendable(connection(NEXT.public)) is None
    assert lendable(connection(None, key=key)) is None
