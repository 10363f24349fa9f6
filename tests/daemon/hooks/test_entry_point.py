"""Hooks that are functions of Python."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from daemon.hooks.made import plan, told
from nacre.daemon.hooks.deliveries import DeliveryFailed
from nacre.daemon.hooks.entry_point import PythonDelivery, check_target
from nacre.errors import ConfigurationError


async def test_one_process_calls_it_for_each_event(tmp_path: Path) -> None:
    path = tmp_path / "noted"
    delivery = PythonDelivery()
    async with asyncio.timeout(50):
        for number, function in enumerate(("note", "note", "note_later"), 1):
            made = plan(kind="python", target=f"daemon.hooks.calls:{function}")
            await delivery.deliver(made, told(number, fields={"path": str(path)}))
            if function != "note":
                break
        await delivery.close()
    lines = [line.split() for line in path.read_text().splitlines()]
    assert [name for name, _ in lines] == ["1.abc", "2.abc", "3.abc"]
    assert len({pid for _, pid in lines}) == 1


async def test_coroutines_are_awaited(tmp_path: Path) -> None:
    path = tmp_path / "noted"
    delivery = PythonDelivery()
    made = plan(kind="python", target="daemon.hooks.calls:note_later")
    async with asyncio.timeout(50):
        for number in (1, 2):
            await delivery.deliver(made, told(number, fields={"path": str(path)}))
        await delivery.close()
    assert len(path.read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("daemon.hooks.calls:fail", "ValueError: it is ill"),
        ("daemon.hooks.calls:leave", "has ended"),
        ("daemon.hooks.calls:nothing", "AttributeError"),
        ("nowhere.at.all:f", "ModuleNotFoundError"),
        ("nacre-has-no-such", "no package that is installed has an entry point"),
    ],
)
async def test_what_it_raises_is_a_failure(target: str, why: str) -> None:
    delivery = PythonDelivery()
    async with asyncio.timeout(50):
        for _ in range(2):
            with pytest.raises(DeliveryFailed, match=why):
                await delivery.deliver(plan(kind="python", target=target), told())
        await delivery.close()


async def test_one_that_hangs_is_ended_and_another_one_begins(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    delivery = PythonDelivery()
    made = plan(kind="python", target="daemon.hooks.calls:hang")
    pids = []
    for number in (1, 2):
        event = told(number, fields={"path": str(pipe)})
        task = asyncio.create_task(delivery.deliver(made, event))
        async with asyncio.timeout(50):
            pids.append((await asyncio.to_thread(pipe.read_text)).split()[1])
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert not Path(f"/proc/{pids[-1]}").exists()
    assert len(set(pids)) == 2


def test_what_may_be_called() -> None:
    for good in ("mine", "my-hook.v2", "a.b:c", "a:b.c"):
        check_target(good)
    for wrong in ("", "a b", "a:", ":a", "a;b", "-m", "a.b:c()", "x" * 200):
        with pytest.raises(ConfigurationError, match="neither"):
            check_target(wrong)
