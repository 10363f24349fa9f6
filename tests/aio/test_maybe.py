"""Results of methods that may be plain functions or coroutines."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Generator
from typing import cast

import pytest

from nacre.aio.maybe import Maybe, settled


class Box:
    """An awaitable that is neither a coroutine nor a future."""

    def __await__(self) -> Generator[None, None, str]:
        yield
        return "boxed"


async def test_plain_values_are_returned_and_awaitables_awaited() -> None:
    async def answer() -> int:
        await asyncio.sleep(0)
        return 5

    future = asyncio.get_running_loop().create_future()
    future.set_result(b"done")
    assert await settled(cast("int | None", None)) is None
    assert await settled("plain") == "plain"
    assert await settled(cast("Maybe[int]", answer())) == 5
    assert await settled(future) == b"done"
    assert await settled(cast("Maybe[str]", Box())) == "boxed"


def test_a_plain_value_needs_no_event_loop() -> None:
    with pytest.raises(StopIteration) as done:
        settled([1]).send(None)
    assert done.value.value == [1]


def test_what_file_processes_start_with_loads_no_asyncio() -> None:
    code = "import nacre.daemon.processes.kinds.file_process, sys; print('asyncio' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=30, check=True)
    assert done.stdout == b"False\n"
