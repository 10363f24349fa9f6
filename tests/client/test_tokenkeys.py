"""Logins with keys on a security key, which is there in software."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import nacre
from agent.virtual_token import VirtualToken
from nacre.agent import tokens
from nacre.client.identities import Identities
from nacre.client.tokenkeys import sign
from nacre.errors import UnusableKey
from nacre.keys.base import RemoteKey
from nacre.keys.families.security_key import SecurityFlags, SecurityPrivateKey
from parties import client_for, handle

PIN = "1234"
TYPE = "sk-ssh-ed25519@openssh.com"
TOUCH = SecurityFlags.TOUCH


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> VirtualToken:
    made = VirtualToken(PIN)
    monkeypatch.setattr(tokens, "connected", lambda: [made])
    defaults: dict[str, Any] = tokens.sign.__kwdefaults__ or {}
    monkeypatch.setitem(defaults, "devices", lambda: [made])
    return made


def make(token: VirtualToken, flags: SecurityFlags = TOUCH) -> SecurityPrivateKey:
    return tokens.enroll(TYPE, flags=flags, challenge=b"c", pin=PIN, devices=lambda: [token]).key


class Human:
    """Answers questions for a PIN."""

    def __init__(self, *answers: str | None) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []
        self.told: list[str] = []

    async def pin(self, question: str, wrong: int) -> str | None:
        assert wrong == len(self.asked)
        self.asked.append(question)
        return self.answers.pop(0)


async def test_the_human_is_told_to_touch_and_asked_for_the_pin(token: VirtualToken) -> None:
    key = make(token, TOUCH | SecurityFlags.VERIFY)
    human = Human("4321", PIN)
    made = await sign(key, b"x", "/key", pin=human.pin, notice=human.told.append)
    assert key.public.verify(made, b"x", TYPE)
    assert human.told == [f"Confirm user presence for ED25519-SK key {key.public.fingerprint()}"]
    assert human.asked == ["Enter PIN for ED25519-SK key /key: "] * 2


async def test_no_pin_is_given(token: VirtualToken) -> None:
    key = make(token, SecurityFlags.VERIFY)
    human = Human(None)
    with pytest.raises(UnusableKey, match="no PIN was given"):
        await sign(key, b"x", "/key", pin=human.pin, notice=human.told.append)
    assert human.told == []


async def test_a_key_of_another_program(token: VirtualToken) -> None:
    key = RemoteKey(make(token).public)
    human = Human()
    with pytest.raises(UnusableKey, match="another program"):
        await sign(key, b"x", "/key", pin=human.pin, notice=human.told.append)


@pytest.mark.parametrize("passphrase", [None, "secret"])
async def test_a_login_with_a_file_and_with_a_key_in_hand(
    token: VirtualToken, tmp_path: Path, passphrase: str | None
) -> None:
    key = make(token)
    file = tmp_path / "key"
    file.write_bytes(nacre.dump_private(key, passphrase))
    file.chmod(0o600)
    touches = token.touches
    async with nacre.listen(
        host_keys=[nacre.generate("ssh-ed25519")],
        policy=nacre.Users({"alice": key.public}),
        handler=handle,
    ) as server:
        for named in (file, key):
            async with client_for(
                server, keys=[named], password=None, passphrase=passphrase
            ) as ssh:
                assert (await ssh.run("exit 3")).exit_status == 3
    assert token.touches == touches + 2


async def test_a_server_wants_the_touch(token: VirtualToken) -> None:
    """A key that may sign without a touch is refused, unless the server's answer permits it."""
    key = make(token, SecurityFlags(0))
    async with nacre.listen(
        host_keys=[nacre.generate("ssh-ed25519")],
        policy=nacre.Users({"alice": key.public}),
        handler=handle,
    ) as server:
        with pytest.raises(nacre.AuthenticationFailed):
            await client_for(server, keys=[key], password=None)


def test_identities_offer_keys_of_security_keys_before_they_sign() -> None:
    assert Identities("alice", "host")._sources.tokens is not None
