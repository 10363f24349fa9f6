from __future__ import annotations

import asyncio

import pytest

from nacre.agent.keyring import Keyring
from nacre.agent.service import answer
from nacre.errors import UnusableKey
from nacre.keys import PublicKey, generate
from nacre.keys.agents import changes as agent_changes
from nacre.keys.agents import messages as agent
from nacre.keys.agents.constraints import UNCONSTRAINED
from nacre.keys.agents.messages import Frames

KEY = generate("ssh-ed25519", comment="a key")
FAILURE, EXTENSION_FAILURE = b"\x05", b"\x1c"


class Vault(Keyring):
    """A keyring of the least kind, with plain functions."""

    extensions = ("works@example.com", "fails@example.com")

    def keys(self) -> list[tuple[PublicKey, str]]:
        return [(KEY.public, KEY.comment)]

    def sign(self, key: PublicKey, data: bytes, algorithm: str) -> bytes:
        if key != KEY.public:
            raise UnusableKey("no such key")
        if data == b"down":
            raise OSError("the vault can't be reached")
        return KEY.sign(data, algorithm)

    def extension(self, name: str, data: bytes) -> bytes:
        if name == "fails@example.com":
            raise UnusableKey("as asked")
        return data


class SlowVault(Vault):
    """The same with coroutines."""

    async def keys(self) -> list[tuple[PublicKey, str]]:  # type: ignore[override]
        await asyncio.sleep(0)
        return super().keys()

    async def sign(self, key: PublicKey, data: bytes, algorithm: str) -> bytes:  # type: ignore[override]
        await asyncio.sleep(0)
        return super().sign(key, data, algorithm)


class Asked:
    """Requests to a keyring, and what was logged."""

    def __init__(self, keyring: Keyring) -> None:
        self.keyring = keyring
        self.log: list[str] = []

    async def __call__(self, request: bytes) -> bytes:
        (message,) = Frames().receive(request)
        (answered,) = Frames().receive(await answer(self.keyring, message, self.log.append))
        return answered


@pytest.mark.parametrize("keyring", [Vault(), SlowVault()], ids=["plain", "coroutines"])
async def test_a_keyring_lists_and_signs(keyring: Keyring) -> None:
    ask = Asked(keyring)
    (identity,) = agent.decode_identities(await ask(agent.request_identities()))
    assert (identity.blob, identity.comment) == (KEY.public.blob, "a key")
    request = agent.request_signature(KEY.public.blob, b"data", "ssh-ed25519")
    signature = agent.decode_signature(await ask(request))
    assert KEY.public.verify(signature, b"data", "ssh-ed25519")
    assert ask.log == []


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (agent_changes.request_add(KEY, UNCONSTRAINED), "takes no keys"),
        (agent_changes.request_remove(KEY.public.blob), "forgets no keys"),
        (agent_changes.request_remove_all(), "forgets no keys"),
        (agent_changes.request_lock(b"x"), "can't be locked"),
        (agent_changes.request_unlock(b"x"), "not locked"),
        (agent_changes.request_add_token("lib", b"", UNCONSTRAINED), "PKCS#11"),
        (agent_changes.request_remove_token("lib", b""), "PKCS#11"),
        (agent.request_extension("new@example.com"), "not supported"),
        (agent.request_signature(b"nonsense", b"data", "ssh-ed25519"), "damaged"),
        (agent.request_signature(KEY.public.blob, b"down", "ssh-ed25519"), "OSError: the vault"),
        (agent.request_rsa_identities(), "number 1 "),
    ],
    ids=range(11),
)
async def test_what_is_refused_is_logged(request_: bytes, says: str) -> None:
    ask = Asked(Vault())
    assert await ask(request_) == FAILURE
    assert len(ask.log) == 1
    assert says in ask.log[0]


async def test_extensions() -> None:
    ask = Asked(Vault())
    content = agent.decode_extension(await ask(agent.request_extension("query")), "query")
    assert agent.decode_query(content) == Vault.extensions
    answered = await ask(agent.request_extension("works@example.com", b"fields"))
    assert agent.decode_extension(answered, "works@example.com") == b"fields"
    assert await ask(agent.request_extension("fails@example.com")) == EXTENSION_FAILURE
    assert ask.log == ["refused: fails@example.com: as asked"]


async def test_more_keys_than_a_client_takes() -> None:
    class Many(Vault):
        def keys(self) -> list[tuple[PublicKey, str]]:
            return [(KEY.public, "x" * 1000)] * 300

    ask = Asked(Many())
    assert await ask(agent.request_identities()) == FAILURE
    assert "too many" in ask.log[0]
