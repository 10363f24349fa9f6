"""Replies: how a task goes on with them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar

import pytest

from nacre.aio.waiting import Reply

said: ContextVar[str] = ContextVar("said", default="nothing")


async def outside_of_tasks(work: Callable[[], None]) -> None:
    """Let the loop itself call ``work``."""
    asyncio.get_running_loop().call_soon(work)
    await asyncio.sleep(0)


@pytest.fixture
async def reply() -> Reply[int]:
    return Reply(asyncio.get_running_loop())


async def test_a_task_goes_on_within_wake(reply: Reply[int]) -> None:
    got: list[tuple[int, str]] = []

    async def wait() -> None:
        said.set("something")
        got.append((await reply, said.get()))

    def answer() -> None:
        reply.set_result(7)
        assert not got
        reply.wake()
        assert got == [(7, "something")]

    task = asyncio.ensure_future(wait())
    await asyncio.sleep(0)
    await outside_of_tasks(answer)
    assert said.get() == "nothing"
    await task


async def test_a_task_can_wake_another_one_soon(reply: Reply[int]) -> None:
    async def wait() -> int:
        return await reply

    task = asyncio.ensure_future(wait())
    await asyncio.sleep(0)
    reply.set_result(7)
    reply.wake_soon()
    assert not task.done()
    assert await task == 7


async def test_what_is_there_is_not_waited_for(reply: Reply[int]) -> None:
    reply.set_result(7)
    reply.wake()
    assert await reply == 7


async def test_cancelling_ends_the_wait(reply: Reply[int]) -> None:
    async def wait() -> int:
        return await reply

    task = asyncio.ensure_future(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert reply.done()
    assert reply.cancelled()


async def test_a_task_cancelled_behind_its_answer_leaves_the_answer(reply: Reply[int]) -> None:
    async def wait() -> int:
        return await reply

    task = asyncio.ensure_future(wait())
    await asyncio.sleep(0)
    reply.set_result(7)
    task.cancel()
    reply.wake_soon()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not reply.cancelled()
    assert reply.result() == 7


async def test_an_error_of_the_task_stays_in_it(reply: Reply[int]) -> None:
    async def wait() -> None:
        await reply
        raise ValueError("of its own")

    def answer() -> None:
        reply.set_result(7)
        reply.wake()

    task = asyncio.ensure_future(wait())
    await asyncio.sleep(0)
    await outside_of_tasks(answer)
    with pytest.raises(ValueError, match="of its own"):
        await task
