"""A receipt tells once whether something is kept."""

from __future__ import annotations

import asyncio

import pytest

from nacre.sftp.server.receipts import Receipt


@pytest.mark.parametrize("problem", ["", "disk full"])
async def test_who_waits_and_who_comes_later_learn_the_same(problem: str) -> None:
    receipt, told = Receipt(), list[str]()
    receipt.then(told.append)
    waiting = asyncio.ensure_future(receipt.settled())
    await asyncio.sleep(0)
    assert (told, waiting.done()) == ([], False)
    receipt.settle(problem)
    receipt.settle("too late")
    receipt.then(told.append)
    assert told == [problem, problem]
    assert await waiting == await receipt.settled() == problem
