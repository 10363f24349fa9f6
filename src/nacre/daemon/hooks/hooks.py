"""The server's side of hooks: it keeps their process running, and feeds it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from nacre.config.values import LogLevel
from nacre.daemon.audit.table import FILE
from nacre.daemon.hooks import hook_process
from nacre.daemon.hooks.feed import HookFeed
from nacre.daemon.hooks.hook_process import HookSettings
from nacre.daemon.processes.template import TEMPLATE
from nacre.daemon.separate.link import LinkError
from nacre.daemon.separate.messages import FROM_HOOKS, HookTold
from nacre.daemon.separate.monitor import Report, Separated
from nacre.daemon.workers import PAUSE
from nacre.wire.message import Message
from nacre.wire.text import safe

PATIENCE = 3.0
"""Seconds that the process has to end the commands that run when the server stops."""


class HookProcess(Separated):
    """The process.

    :ivar number: that of this process among those that there were.
    """

    KIND = "hooks"
    MESSAGES = FROM_HOOKS

    def __init__(self, number: int, feed: HookFeed, report: Report) -> None:
        super().__init__(report)
        self.number = number
        self._feed = feed

    def take(self, message: Message) -> None:
        if not isinstance(message, HookTold):
            raise LinkError("a process of hooks has nothing else to say")
        if not self._feed.told(self.number, message):
            raise LinkError("a process of hooks says too much")

    def lost(self) -> None:
        """Tell it nothing more."""
        self.retired = True


class ServerHooks:
    """Tells the hooks of a server.

    :param state: the state directory, whose audit has the hooks.
    :param rights: the account and group of the process; None to keep the server's.
    """

    def __init__(self, state: Path, rights: tuple[int, int] | None, log_level: LogLevel) -> None:
        """Prepare. Call it before the template starts, which is to know this kind of process."""
        TEMPLATE.add({"hooks": hook_process.__name__})
        self._path = state / FILE
        self._settings = HookSettings(rights=rights, log_level=log_level)
        self._feed: HookFeed | None = None
        self._process: HookProcess | None = None
        self._last = 0
        self._task: asyncio.Task[None] | None = None

    def begin(self, report: Report) -> None:
        """Start the process; call this when the audit is open.

        :raises StateError: the file of the audit can't be used.
        """
        feed = self._feed = HookFeed(self._path, partial(self._pass_on, report))
        self._task = asyncio.get_running_loop().create_task(self._run(feed, report))

    async def _run(self, feed: HookFeed, report: Report) -> None:
        while True:
            began = time.monotonic()
            self._last += 1
            process = self._process = HookProcess(self._last, feed, report)
            try:
                await process.start(self._settings)
                feed.begin(process.number)
                await process.gone.wait()
                what = "the process of hooks died"
                report({"event": "error", "what": what, "pid": process.pid})
            except OSError as error:
                what = "no process of hooks can be started"
                report({"event": "error", "what": what, "error": safe(str(error))})
            feed.begin(0)
            await asyncio.sleep(max(0.0, began + PAUSE - time.monotonic()))

    def _pass_on(
        self,
        report: Report,
        number: int,
        messages: Sequence[Message],
        records: Sequence[Mapping[str, object]],
    ) -> None:
        for record in records:
            report(record)
        process = self._process
        if process is not None and process.number == number:
            for message in messages:
                process.send(message)

    async def close(self) -> None:
        """End the process, and note how far the hooks are. The rest they are told later."""
        if self._task is not None:
            self._task.cancel()
        process = self._process
        if process is not None and process.pid and not process.gone.is_set():
            process.retire(0)
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    await process.gone.wait()
            process.kill()
        if self._feed is not None:
            await asyncio.to_thread(self._feed.close)
