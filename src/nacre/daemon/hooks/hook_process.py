"""The process of hooks: it is sent events, tells each hook of them, and says what became of that.

It has no files of the server and no rights of root: it runs what operators have named, and reads
what others answer. A hook is told of one event after the other, by a task of its own: one that is
slow or dead holds up no other one.
"""

from __future__ import annotations

import asyncio
import encodings.idna  # noqa: F401  # nothing can be imported later that the account can't read
import json
import os
import random
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from nacre.config.values import LogLevel
from nacre.daemon.hooks.command import CommandDelivery
from nacre.daemon.hooks.deliveries import Delivery, DeliveryFailed, DeliveryRefused, ToldEvent
from nacre.daemon.hooks.entry_point import PythonDelivery
from nacre.daemon.hooks.request import HTTPDelivery
from nacre.daemon.hooks.values import MOST_HOOKS, HookPlan, Kind
from nacre.daemon.separate.link import Link
from nacre.daemon.separate.messages import (
    TO_HOOKS,
    HooksAre,
    HookTold,
    Reads,
    Ready,
    Retire,
    StartWith,
    TellHook,
    unpacked,
)
from nacre.daemon.separate.records import LinkLog
from nacre.value import value
from nacre.wire.text import safe

FIRST_PAUSE = 1.0
"""Seconds after the first attempt that has failed; the pause doubles each time."""

LONGEST_PAUSE = 300.0
"""Seconds between two attempts, at most; also where a hook asks for more."""

MOST_SAID = 1024
"""Characters of what a hook has said, for the log."""

DELIVERIES: Mapping[Kind, Callable[[], Delivery]] = {
    "command": CommandDelivery,
    "url": HTTPDelivery,
    "python": PythonDelivery,
}
"""The ways to tell a hook."""


@value(kw_only=True)
class HookSettings:
    """What the process is started with.

    :ivar rights: the numbers of its account and group; None to keep those of the server.
    :ivar log_level: the level of the log.
    """

    rights: tuple[int, int] | None
    log_level: LogLevel


def pause(attempts: int, asked: float = 0.0) -> float:
    """Return the seconds until the next attempt, somewhat by chance.

    :param attempts: how many have failed.
    :param asked: the seconds that the hook has asked for.
    """
    usual = min(LONGEST_PAUSE, FIRST_PAUSE * (1 << min(attempts - 1, 16)))
    return max(usual * random.uniform(0.5, 1.0), min(asked, LONGEST_PAUSE))


class HookRunner:
    """Tells one hook of its events, in their order.

    :param tell: called with what became of each attempt.
    :ivar plan: what the hook is; a change counts from the next attempt on.
    """

    def __init__(
        self, plan: HookPlan, tell: Callable[[HookTold], object], log: Callable[..., object]
    ) -> None:
        self.plan = plan
        self._tell = tell
        self._log = log
        self._events: deque[ToldEvent] = deque()
        self._more = asyncio.Event()
        self._delivery = DELIVERIES[plan.kind]()
        self.task = asyncio.get_running_loop().create_task(self._run())

    def add(self, message: TellHook) -> None:
        """Take the next event."""
        self._events.append(ToldEvent(message.number, message.body, json.loads(message.body)))
        self._more.set()

    async def _run(self) -> None:
        try:
            while True:
                await self._more.wait()
                while self._events:
                    await self._deliver(self._events[0])
                    self._events.popleft()
                self._more.clear()
        finally:
            await self._delivery.close()

    async def _deliver(self, event: ToldEvent) -> None:
        """Tell the hook of an event; return when that is done, or given up."""
        attempts, outcome = 0, "failing"
        while outcome == "failing":
            attempts += 1
            outcome, reason, asked = await self._attempt(event)
            if outcome == "failing" and 0 < self.plan.give_up < _age(event):
                outcome, reason = "dead", f"{reason}; it was given up"
            reason = safe(reason, MOST_SAID)
            self._tell(HookTold(self.plan.number, event.number, outcome, attempts, reason))
            if outcome == "failing":
                await asyncio.sleep(pause(attempts, asked))

    async def _attempt(self, event: ToldEvent) -> tuple[str, str, float]:
        """Return the outcome of an attempt, the reason, and the seconds the hook has asked for."""
        timeout = self.plan.timeout
        try:
            async with asyncio.timeout(timeout):
                said = await self._delivery.deliver(self.plan, event)
        except DeliveryRefused as error:
            return "dead", str(error), 0.0
        except DeliveryFailed as error:
            return "failing", str(error), error.after
        except TimeoutError:
            return "failing", f"it was not done within {timeout} seconds", 0.0
        except Exception as error:  # no fault of one hook may end the others
            return "failing", repr(error), 0.0
        if said:
            record = {"event": "hook", "hook": self.plan.name, "id": event.told["id"]}
            self._log({**record, "output": safe(said, MOST_SAID)})
        return "done", "", 0.0


def _age(event: ToldEvent) -> float:
    """Return how many seconds ago an event was."""
    return time.time() - datetime.fromisoformat(str(event.told["time"])).timestamp()


class HookServer:
    """All hooks of the process.

    :param sock: the socket of the link to the server.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._link = Link(sock, self._on_message, lambda reason: self._end())
        self._loop = asyncio.get_running_loop()
        self._begun: asyncio.Future[StartWith] = self._loop.create_future()
        self._over = asyncio.Event()
        self._runners: dict[int, HookRunner] = {}
        self._log = LinkLog(self._link, LogLevel.INFO)

    async def run(self) -> None:
        """Tell hooks until the server's process ends this one, or is gone."""
        self._link.send(Reads().encode())
        try:
            begin = await self._begun
        except asyncio.CancelledError:
            return
        given: HookSettings = unpacked(begin.settings)
        take_rights(given.rights)
        # A look-up of a name that hangs has a thread, and leaves others to the other hooks.
        self._loop.set_default_executor(ThreadPoolExecutor(2 * MOST_HOOKS, "names"))
        self._log = LinkLog(self._link, given.log_level)
        self._log.attend(self._loop)
        self._link.send(Ready().encode())
        await self._over.wait()
        tasks = [one.task for one in self._runners.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _on_message(self, data: bytes) -> None:
        message = TO_HOOKS[data[0]].decode(data)
        if isinstance(message, StartWith):
            self._begun.set_result(message)
        elif isinstance(message, HooksAre):
            self._change(unpacked(message.hooks))
        elif isinstance(message, TellHook):
            if (runner := self._runners.get(message.hook)) is not None:
                runner.add(message)
        elif isinstance(message, Retire):
            self._end()

    def _change(self, plans: list[HookPlan]) -> None:
        wanted = {one.number: one for one in plans}
        for number in self._runners.keys() - wanted.keys():
            self._runners.pop(number).task.cancel()
        for number, plan in wanted.items():
            if number in self._runners:
                self._runners[number].plan = plan
            else:
                self._runners[number] = HookRunner(plan, self._tell, self._log)

    def _tell(self, message: HookTold) -> None:
        self._link.send(message.encode())

    def _end(self) -> None:
        if not self._begun.done():
            self._begun.cancel()
        self._over.set()


def take_rights(rights: tuple[int, int] | None) -> None:
    """Give up all rights but those of an account.

    :param rights: the numbers of the account and of its group; None to keep the server's.
    :raises OSError: the kernel refuses it.
    """
    os.umask(0o077)
    if rights is not None:
        uid, gid = rights
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)


def load() -> None:
    """Load all that is needed, before the process is forked: its account may not read it."""


def main(given: dict[str, Any], sock: socket.socket) -> None:
    """Be the process of hooks: what to do comes over the link."""
    asyncio.run(_run(sock))


async def _run(sock: socket.socket) -> None:
    await HookServer(sock).run()
    # A look-up that hangs would be waited for otherwise.
    os._exit(0)
