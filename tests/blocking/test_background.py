"""The functions that make methods without await."""

from __future__ import annotations

import asyncio
import inspect
import os
import subprocess
import sys
import threading

import pytest

from nacre.blocking.background import (
    Attribute,
    Callback,
    Closing,
    Facade,
    plain,
    waiting,
    wrapping,
)

LOOP = "nacre.blocking"


class Lamp:
    """Lives in the loop."""

    def __init__(self) -> None:
        self.lit = False
        self.on_change: object = None
        self.threads: list[str] = []

    async def switch(self, lit: bool, *, times: int = 1) -> int:
        """Switch it on or off."""
        await asyncio.sleep(0)
        self.threads.append(threading.current_thread().name)
        self.lit = lit
        return times

    def toggle(self) -> bool:
        """Switch it over."""
        self.threads.append(threading.current_thread().name)
        self.lit = not self.lit
        return self.lit

    async def fail(self) -> None:
        raise FileNotFoundError("as asked")


class BlockingLamp(Closing[Lamp]):
    lit = Attribute[bool]()
    on_change = Callback[object]()

    switch = waiting(Lamp.switch)
    counted = wrapping(Lamp.switch, str)
    toggle = plain(Lamp.toggle)
    fail = waiting(Lamp.fail)
    left = 0

    def close(self) -> None:
        self.left += 1


def test_methods_run_in_the_loops_thread_and_return_its_results() -> None:
    inner = Lamp()
    lamp = BlockingLamp(inner)
    assert lamp.switch(True, times=3) == 3
    assert lamp.lit is True
    assert lamp.counted(False) == "1"
    assert lamp.toggle() is True
    assert inner.threads == [LOOP] * 3
    with pytest.raises(FileNotFoundError, match="as asked"):
        lamp.fail()


def test_methods_keep_name_signature_and_docstring() -> None:
    assert BlockingLamp.switch.__name__ == "switch"
    assert inspect.signature(BlockingLamp.switch) == inspect.signature(Lamp.switch)
    assert BlockingLamp.toggle.__doc__ == Lamp.toggle.__doc__


def test_only_a_callback_can_be_set() -> None:
    inner = Lamp()
    lamp = BlockingLamp(inner)
    lamp.on_change = print
    lamp.toggle()  # The loop has set it before.
    assert inner.on_change is lamp.on_change is print


def test_with_closes_at_its_end_also_after_an_error() -> None:
    lamp = BlockingLamp(Lamp())
    with lamp as entered:
        assert entered is lamp
        assert lamp.left == 0
    assert lamp.left == 1
    with pytest.raises(ValueError, match="as asked"), lamp:
        raise ValueError("as asked")
    assert lamp.left == 2


def test_a_facade_that_can_not_close_says_so() -> None:
    with pytest.raises(NotImplementedError):
        Closing(Lamp()).close()
    assert not hasattr(Facade(Lamp()), "close")


def test_a_forked_child_has_a_loop_of_its_own() -> None:
    program = """
import os, threading
from nacre.blocking.background import background

async def name():
    return threading.current_thread().name, os.getpid()

first = background.call(name)
child = os.fork()
if not child:
    name, number = background.call(name)
    os._exit(0 if (name, number) == (first[0], os.getpid()) and number != first[1] else 1)
print(os.waitpid(child, 0)[1])
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        capture_output=True,
        text=True,
        timeout=30,
        env=environment,
    )
    assert (done.stdout, done.stderr) == ("0\n", "")
