"""Tells a hook by a command: the event is its standard input, and in its environment."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
from asyncio.subprocess import Process
from contextlib import suppress

from nacre.daemon.hooks.deliveries import DeliveryFailed, DeliveryRefused, ToldEvent
from nacre.daemon.hooks.values import HookPlan

REFUSED = os.EX_DATAERR
"""The exit status by which a command says that it will never take the event."""

MOST_OUTPUT = 4096
"""Bytes of a command's output that are looked at."""

_LAST_OUTPUT = 0.5
"""Seconds for the output of a command that has ended: what it has started may keep it open."""

_ENDING = 5.0
"""Seconds that the system has to end a process that was killed."""

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_VARIABLES = ("id", "number", "event", "time", "outcome", "user", "peer", "connection", "hook")
_OF_FIELDS = ("op", "path", "to", "command", "method", "reason", "read", "written", "status")


def variables(event: ToldEvent) -> dict[str, str]:
    """Return the environment of a command: names are fixed, values are text without NUL."""
    found = {"PATH": _PATH, "LANG": "C.UTF-8"}
    fields = event.told.get("fields")
    fields = fields if isinstance(fields, dict) else {}
    values = {name: event.told.get(name) for name in _VARIABLES}
    values |= {name: fields.get(name) for name in _OF_FIELDS}
    for name, one in values.items():
        if one is not None:
            found[f"NACRE_{name.upper()}"] = str(one).replace("\0", "")
    return found


class CommandDelivery:
    """Runs the command of a hook for each event, without a shell."""

    async def deliver(self, plan: HookPlan, event: ToldEvent) -> str:
        """Run the command; return what it has printed."""
        ours, theirs = os.pipe()
        body = os.memfd_create("event", os.MFD_CLOEXEC)
        try:
            os.write(body, event.body)
            os.lseek(body, 0, os.SEEK_SET)
            process = await _start(plan, event, body, theirs)
        except OSError as error:
            os.close(ours)
            raise DeliveryFailed(f"the command can't be run: {error.strerror}") from error
        finally:
            os.close(body)
            os.close(theirs)
        output = bytearray()
        reading = asyncio.create_task(_read(ours, output))
        try:
            status = await process.wait()
            await asyncio.wait({reading}, timeout=_LAST_OUTPUT)
        finally:
            await end(process)
            reading.cancel()
            await asyncio.wait({reading})
        said = output.decode("utf-8", "surrogateescape").strip()
        if status == REFUSED:
            raise DeliveryRefused(f"the command has refused it: {said}")
        if status:
            how = f"exit status {status}" if status > 0 else f"signal {-status}"
            raise DeliveryFailed(f"the command has ended with {how}: {said}")
        return said

    async def close(self) -> None:
        """End nothing: a command ends with its event."""


async def _start(plan: HookPlan, event: ToldEvent, body: int, output: int) -> Process:
    return await asyncio.create_subprocess_exec(
        *shlex.split(plan.target),
        stdin=body,
        stdout=output,
        stderr=output,
        cwd="/",
        env=variables(event),
        start_new_session=True,
    )


async def _read(descriptor: int, kept: bytearray) -> None:
    """Read to the end; keep the beginning. Closes the descriptor."""
    reader = asyncio.StreamReader(limit=MOST_OUTPUT)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", 0)
    )
    try:
        while data := await reader.read(MOST_OUTPUT):
            kept += data[: MOST_OUTPUT - len(kept)]
    finally:
        transport.close()


async def end(process: Process) -> None:
    """Kill what is left of a process and its group; return when it has ended."""
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        # It was not waited for, so no other process has its number.
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(TimeoutError):
        async with asyncio.timeout(_ENDING):
            await process.wait()
