"""Replies, and how tasks resume with them; what ``async with`` closes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar

import pytest

from nacre.aio.waiting import Closes, ClosesAtOnce, Later, Opening, Reply

said: ContextVar[str] = ContextVar("said", default="nothing")


async def outside_of_tasks(work: Callable[[], None]) -> None:
    """Let the loop itself call ``work``."""
    asyncio.get_running_loop().call_soon(work)
    await asyncio.sleep(0)


@pytest.fixture(params=[asyncio.Task, asyncio.tasks._PyTask], ids=["C", "Python"])  # type: ignore[attr-defined]
async def reply(request: pytest.FixtureRequest) -> Reply[int]:
    """A reply, awaited by the tasks of either implementation."""
    loop, make = asyncio.get_running_loop(), request.param
    loop.set_task_factory(lambda loop, work, **options: make(work, loop=loop, **options))
    return Reply(loop)


async def test_a_task_resumes_within_wake(reply: Reply[int]) -> None:
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


class Thing(Closes):
    """Its end is reached some turns after ``close``."""

    __slots__ = ("log",)

    def __init__(self) -> None:
        self.log: list[str] = []

    def close(self) -> Later[None]:
        self.log.append("close")
        return Later(self.wait_closed)

    async def wait_closed(self) -> None:
        await asyncio.sleep(0)
        self.log.append("closed")


class Hasty(ClosesAtOnce):
    """What ``close`` returns must not be waited for."""

    __slots__ = ("closed",)

    def close(self) -> Later[None]:
        self.closed = True
        return Later(self.wait_closed)

    async def wait_closed(self) -> None:
        raise AssertionError("waited for")


async def test_leaving_the_block_closes_and_waits() -> None:
    async with Thing() as thing:
        assert thing.log == []
    assert thing.log == ["close", "closed"]


async def test_a_block_that_fails_closes_and_the_error_passes() -> None:
    thing = Thing()
    with pytest.raises(LookupError):
        async with thing:
            raise LookupError
    assert thing.log == ["close", "closed"]


async def test_leaving_the_block_closes_without_waiting() -> None:
    async with Hasty() as hasty:
        assert not hasattr(hasty, "closed")
    assert hasty.closed


def test_slotted_classes_can_take_both() -> None:
    assert not hasattr(Thing(), "__dict__")
    assert not hasattr(Hasty(), "__dict__")


async def test_an_opening_closes_what_it_opened() -> None:
    thing = Thing()

    async def start() -> Thing:
        return thing

    async with Opening(start) as opened:
        assert opened is thing
    assert thing.log == ["close", "closed"]
