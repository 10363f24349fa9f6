"""Tells a hook by a call of Python, in a process that stays between two events."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process

from nacre.daemon.hooks.command import end
from nacre.daemon.hooks.deliveries import DeliveryFailed, ToldEvent
from nacre.daemon.hooks.values import HookPlan
from nacre.errors import ConfigurationError
from nacre.limits import KIB

LONGEST_ANSWER = 8 * KIB
"""Bytes of what a call has led to."""

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_OBJECT = re.compile(rf"{_NAME}(\.{_NAME})*:{_NAME}(\.{_NAME})*")
_ENTRY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


def check_target(text: str) -> None:
    """Check the name of an entry point, or ``module:function``.

    :raises ConfigurationError: it is neither.
    """
    if not _OBJECT.fullmatch(text) and not _ENTRY.fullmatch(text):
        raise ConfigurationError(
            f"{text!r} is neither the name of an entry point of the group nacre.hooks nor "
            "module:function"
        )


class PythonDelivery:
    """Has a function called for each event, in a process of its own that is ended if it hangs."""

    def __init__(self) -> None:
        self._process: Process | None = None

    async def deliver(self, plan: HookPlan, event: ToldEvent) -> str:
        """Have the function called."""
        try:
            process = await self._running(plan)
            answer = await _ask(process, event.body)
        except BaseException as error:
            # Nobody knows what it does now.
            await self.close()
            if isinstance(error, OSError):
                raise DeliveryFailed(f"Python can't be run: {error.strerror}") from error
            raise
        if answer:
            raise DeliveryFailed(answer)
        return ""

    async def _running(self, plan: HookPlan) -> Process:
        if self._process is not None and self._process.returncode is None:
            return self._process
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "nacre.daemon.hooks.caller", plan.target),
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            cwd="/",
            # What this process has found, the other one finds: it has no variables otherwise.
            env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "LANG": "C.UTF-8"},
            limit=LONGEST_ANSWER,
            start_new_session=True,
        )
        return self._process

    async def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            await end(process)


async def _ask(process: Process, body: bytes) -> str:
    """Have an event handled; return why it was not, or empty."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(body + b"\n")
        await process.stdin.drain()
        line = await process.stdout.readline()
    except (ConnectionError, ValueError):
        line = b""
    if not line:
        raise DeliveryFailed("the process of the function has ended")
    try:
        return str(json.loads(line))
    except ValueError:
        raise DeliveryFailed("the process of the function does not answer as it should") from None
