"""The connections of the server as server-sent events: all of them, every two seconds."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nacre.cli.api.call import CheckedCall, Problem
from nacre.daemon.control.caller import ControlCaller
from nacre.daemon.control.requests import Who
from nacre.daemon.control.values import ControlError

EVERY = 2.0
"""Seconds from one event to the next."""


class ConnectionFeed:
    """Asks the server for its connections, once for all who follow them. It belongs to a loop.

    :param state: the state directory of the server.
    """

    def __init__(self, state: Path) -> None:
        self._state = state
        self._asking = asyncio.Lock()
        self._text, self._at = "", 0.0

    async def follow(self, _call: CheckedCall) -> AsyncGenerator[str, None]:
        """Yield events, each with all connections.

        :raises Problem: the server does not answer.
        """
        while True:
            yield await self._latest()
            await asyncio.sleep(EVERY)

    async def _latest(self) -> str:
        loop = asyncio.get_running_loop()
        async with self._asking:
            # Each waits for as long, so what is half as old was asked for by another one.
            if not self._text or loop.time() - self._at >= EVERY / 2:
                self._text = await loop.run_in_executor(None, self._ask)
                self._at = loop.time()
            return self._text

    def _ask(self) -> str:
        try:
            with ControlCaller(self._state) as caller:
                found: list[Any] = [asdict(one) for one in caller.ask("who", Who())]
                shown = {"connections": found, "silent": caller.silent, "at": time.time()}
        except ControlError as error:
            raise Problem(503, str(error)) from None
        return f"event: connections\ndata: {json.dumps(shown)}\n\n"
