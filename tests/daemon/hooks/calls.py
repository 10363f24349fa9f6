"""Functions that hooks of the tests call."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from threading import Event
from typing import Any


def note(event: dict[str, Any]) -> None:
    print("printed, which is no answer")
    with Path(event["fields"]["path"]).open("a") as file:
        file.write(f"{event['id']} {os.getpid()}\n")


async def note_later(event: dict[str, Any]) -> None:
    await asyncio.sleep(0)
    note(event)


def fail(event: dict[str, Any]) -> None:
    raise ValueError("it is ill\n")


def hang(event: dict[str, Any]) -> None:
    note(event)
    Event().wait()


def leave(event: dict[str, Any]) -> None:
    os._exit(3)
