from __future__ import annotations

import asyncio
import threading
import time

import pytest

from agent.virtual_token import VirtualToken
from nacre.agent import middleware, providers, tokens
from nacre.keys.families.security_key import ED25519, SecurityFlags


@pytest.mark.parametrize(
    ("named", "found"),
    [
        (None, "/lib/env.so"),
        ("", "/lib/env.so"),
        ("Internal", "internal"),
        ("/lib/x.so", "/lib/x.so"),
        ("$OTHER", "/lib/other.so"),
        ("${OTHER}", "/lib/other.so"),
        ("$MISSING", "/lib/env.so"),
    ],
)
def test_the_provider(monkeypatch: pytest.MonkeyPatch, named: str | None, found: str) -> None:
    monkeypatch.setenv("SSH_SK_PROVIDER", "/lib/env.so")
    monkeypatch.setenv("OTHER", "/lib/other.so")
    assert providers.provider_of(named) == found
    monkeypatch.delenv("SSH_SK_PROVIDER")
    assert providers.provider_of(None) == "internal"


async def make(provider: str, device: str | None = None) -> object:
    return await providers.enroll(
        provider,
        ED25519,
        device,
        application="ssh:",
        user="",
        flags=SecurityFlags.TOUCH,
        challenge=b"c",
        pin=None,
    )


async def test_nacre_itself_or_a_library(monkeypatch: pytest.MonkeyPatch) -> None:
    token = VirtualToken()
    monkeypatch.setattr(tokens, "connected", lambda: [token])
    monkeypatch.setattr(tokens, "at", lambda path: [token] if path == "/d" else [])

    async def called(library: str, *arguments: object, **others: object) -> object:
        return library

    for name in ("sign", "enroll", "resident"):
        monkeypatch.setattr(middleware, name, called)
    made = await providers.enroll(
        "internal",
        ED25519,
        "/d",
        application="ssh:",
        user="",
        flags=SecurityFlags.TOUCH,
        challenge=b"c",
        pin=None,
    )
    signature = await providers.sign("internal", made.key, b"data", None)
    assert made.key.public.verify(signature, b"data", ED25519)
    assert await make("/lib/x.so") == "/lib/x.so"
    assert await providers.sign("/lib/x.so", made.key, b"data", None) == "/lib/x.so"
    assert await providers.resident("/lib/x.so", pin=None, device=None) == "/lib/x.so"


async def test_a_cancelled_wait_for_a_touch_leaves_no_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits = threading.Event()

    class Untouched(VirtualToken):
        def _touch(self, event: threading.Event | None) -> None:
            waits.set()
            super()._touch(event)

    token = Untouched()
    token.untouched = True
    monkeypatch.setattr(tokens, "connected", lambda: [token])
    task = asyncio.create_task(make("internal"))
    await asyncio.to_thread(waits.wait, 20)
    begun = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.get_running_loop().shutdown_default_executor()  # as asyncio.run does
    assert time.monotonic() - begun < 10
    assert token.closed
