"""The messages of a call, one at a time."""

from __future__ import annotations

import asyncio

from nacre.cli.api.pipe import LONGEST_MESSAGE
from nacre.cli.api.streams.messages import CallMessages


async def test_a_message_may_come_when_the_one_before_was_taken() -> None:
    taken = asyncio.Event()

    async def take() -> None:
        taken.set()

    messages = CallMessages(take)
    assert not messages.take_used()
    assert messages.put("a")
    assert not messages.put("b"), "the first one was not taken"
    async with asyncio.timeout(30):
        stream = aiter(messages)
        assert await anext(stream) == "a"
        assert not messages.put("b"), "the first one is worked at"
        following = asyncio.ensure_future(anext(stream))
        await taken.wait()
        assert messages.put("b")
        assert await following == "b"
    assert messages.take_used()
    assert not messages.take_used()


async def test_a_message_has_a_longest() -> None:
    async def take() -> None: ...

    messages = CallMessages(take)
    assert not messages.put("ä" * (LONGEST_MESSAGE // 2 + 1))
    assert messages.put("ä" * (LONGEST_MESSAGE // 2))
