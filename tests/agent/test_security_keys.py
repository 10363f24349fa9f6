from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from keys.soft_key import TYPES, SoftKey
from nacre.agent import middleware, tokens
from nacre.agent.providers import INTERNAL
from nacre.agent.security_keys import SecurityKeys
from nacre.errors import UnusableKey
from nacre.keys import Certificate, CertifiedKey, generate
from nacre.keys.families.security_key import PinRequired, SecurityFlags, SecurityPrivateKey
from nacre.wire.codec import string, text, u8

PLAIN = generate("ssh-ed25519")
LIBRARY = "/usr/lib/sk.so"


@pytest.mark.parametrize(
    ("named", "found"),
    [("", INTERNAL), ("internal", INTERNAL), ("Internal", INTERNAL), (LIBRARY, LIBRARY)],
)
def test_providers(named: str, found: str) -> None:
    keys = SecurityKeys(libraries=["/usr/lib*/*"])
    assert keys.provider(SoftKey().public, named) == found


@pytest.mark.parametrize(
    "named", ["/tmp/sk.so", "/usr/lib/../../tmp/sk.so", "sk.so", "/usr/lib/denied.so"]
)
def test_libraries_that_are_not_allowed(named: str) -> None:
    keys = SecurityKeys(libraries=["/usr/lib*/*", "!/usr/lib/denied*"])
    with pytest.raises(UnusableKey, match="not among those"):
        keys.provider(SoftKey().public, named)
    with pytest.raises(UnusableKey, match="not among those"):
        SecurityKeys().provider(SoftKey().public, LIBRARY)


def test_only_security_keys_have_providers() -> None:
    assert SecurityKeys().provider(PLAIN.public, "") == INTERNAL
    with pytest.raises(UnusableKey, match="not a security key"):
        SecurityKeys().provider(PLAIN.public, INTERNAL)


class Library:
    """Stands for the process of a library, whose security key has the PIN 1234."""

    def __init__(self, soft: SoftKey, monkeypatch: pytest.MonkeyPatch, pin: str = "") -> None:
        self.soft = soft
        self.pin = pin
        self.tried: list[str | None] = []
        monkeypatch.setattr(middleware, "sign", self.sign)

    async def sign(
        self, library: str, key: SecurityPrivateKey, data: bytes, pin: str | None
    ) -> bytes:
        assert library == LIBRARY
        assert key.handle == self.soft.private.handle
        self.tried.append(pin)
        if self.pin and pin != self.pin:
            raise PinRequired("the PIN is missing or wrong")
        return self.soft.sign(data)


@pytest.mark.parametrize("type", TYPES)
async def test_a_signature_and_what_the_user_is_told(
    type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []

    @asynccontextmanager
    async def touch(notice: str) -> AsyncIterator[None]:
        shown.append(notice)
        yield
        shown.append("touched")

    soft = SoftKey(type)
    Library(soft, monkeypatch)
    keys = SecurityKeys(touch=touch)
    certified = CertifiedKey(Certificate.issue(soft.public, PLAIN), soft.private)
    for key in (soft.private, certified):
        signature = await keys.sign(key, LIBRARY, b"data")
        assert soft.public.verify(signature, b"data", type)
    told = f"Confirm user presence for key soft {soft.public.fingerprint()}"
    assert shown == [told, "touched"] * 2


@pytest.mark.parametrize(
    ("flags", "answers", "tried"),
    [
        (1, ["1234"], [None, "1234"]),
        (5, ["1234"], ["1234"]),
        (5, ["1", "1234"], ["1", "1234"]),
    ],
)
async def test_the_pin(
    flags: int, answers: list[str], tried: list[str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    soft = SoftKey()
    soft.private.flags = SecurityFlags(flags)
    library = Library(soft, monkeypatch, pin="1234")

    async def pin(question: str) -> str:
        assert question.startswith("Enter PIN for key soft SHA256:")
        return answers.pop(0)

    await SecurityKeys(pin=pin).sign(soft.private, LIBRARY, b"data")
    assert library.tried == tried


async def test_no_pin(monkeypatch: pytest.MonkeyPatch) -> None:
    async def wrong(question: str) -> str:
        return "0000"

    soft = SoftKey()
    library = Library(soft, monkeypatch, pin="1234")
    with pytest.raises(UnusableKey, match="was not given"):
        await SecurityKeys().sign(soft.private, LIBRARY, b"data")
    with pytest.raises(UnusableKey, match="none of the PINs"):
        await SecurityKeys(pin=wrong).sign(soft.private, LIBRARY, b"data")
    assert library.tried == [None, None, "0000", "0000"]


async def test_keys_of_web_sites_sign_what_is_ssh_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    soft = SoftKey(application=b"https://example.com")
    Library(soft, monkeypatch)
    login = string(b"session") + u8(50) + text("bob") + text("ssh-connection") + text("publickey")
    login += u8(1) + text(soft.public.type) + string(soft.public.blob)
    sshsig = b"SSHSIG" + text("git") + string(b"") + text("sha512") + string(bytes(64))
    for data in (login, sshsig):
        await SecurityKeys().sign(soft.private, LIBRARY, data)
    with pytest.raises(UnusableKey, match="may be a login to a web site"):
        await SecurityKeys().sign(soft.private, LIBRARY, b"data")
    await SecurityKeys(websafe_only=False).sign(soft.private, LIBRARY, b"data")


async def test_without_a_library_the_agent_signs_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    soft = SoftKey()

    def sign(key: SecurityPrivateKey, data: bytes, *, pin: str | None, **_: object) -> bytes:
        assert key is soft.private
        if pin != "1234":
            raise PinRequired("the PIN is missing")
        return soft.sign(data)

    async def pin(question: str) -> str:
        return "1234"

    monkeypatch.setattr(tokens, "sign", sign)
    signature = await SecurityKeys(pin=pin).sign(soft.private, INTERNAL, b"data")
    assert soft.public.verify(signature, b"data", soft.public.type)
