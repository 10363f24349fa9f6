"""The server's side of the recorder: starts it, again if it has ended, and gives it sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping

from nacre.daemon.processes.template import TEMPLATE
from nacre.daemon.recorder import recorder_process
from nacre.daemon.recorder.recorder_process import RecordedBy, RecorderSettings
from nacre.daemon.separate.messages import FROM_RECORDERS, BeginRecording, packed
from nacre.daemon.separate.monitor import Report, Separated
from nacre.errors import StateError
from nacre.server.peer import Client
from nacre.wire.message import Message
from nacre.wire.text import safe

PATIENCE = 10.0
"""Seconds that the recorder has to write what sessions have sent at the end of the server."""


class RecorderProcess(Separated):
    """The process."""

    KIND = "recorder"
    MESSAGES = FROM_RECORDERS

    def take(self, message: Message) -> None:
        """Nothing else comes."""

    def lost(self) -> None:
        """Its sessions notice it themselves."""
        self.retired = True


class SessionRecorder:
    """The recorder of a server, which is started before the server listens.

    :param directory: a descriptor of the directory of recordings.
    :param settings: what the process is started with.
    """

    def __init__(self, directory: int, settings: RecorderSettings) -> None:
        self._directory = directory
        self._settings = settings
        self._report: Report = _ignore
        self._starting: asyncio.Task[RecorderProcess] | None = None
        self._ended = False
        TEMPLATE.add({"recorder": recorder_process.__name__})

    async def start(self, report: Report) -> None:
        """Start the process.

        :param report: takes its records for the log.
        :raises StateError: it can't be started.
        """
        self._report = report
        await self._process()

    async def open(self, client: Client, gate: int | None = None) -> socket.socket:
        """Return a socket on which a session of a client is recorded.

        :param gate: the number of the gate where the client has logged in, if there are gates.
        :raises StateError: the recorder is gone, and can't be started.
        """
        process = await self._process()
        by = RecordedBy(
            user=client.user,
            address=str(client.peer[0]),
            host=client.host,
            connection=client.id,
            gate=gate,
        )
        ours, theirs = socket.socketpair()
        with theirs:
            process.send(BeginRecording(packed(by)), [theirs.fileno()])
        ours.setblocking(False)
        return ours

    async def close(self) -> None:
        """Let the process end when it has written all; at the latest after some seconds."""
        self._ended = True
        if self._starting is None or not self._starting.done() or _is_over(self._starting):
            return
        process = self._starting.result()
        process.retire(0)
        try:
            async with asyncio.timeout(PATIENCE):
                await process.gone.wait()
        except TimeoutError:
            process.kill()

    async def _process(self) -> RecorderProcess:
        starting = self._starting
        if starting is not None and starting.done() and _is_over(starting):
            starting = None
        if starting is None:
            if self._ended:
                raise StateError("the server ends")
            starting = self._starting = asyncio.get_running_loop().create_task(self._start())
        try:
            return await asyncio.shield(starting)
        except OSError as error:
            raise StateError(f"the recorder can't be started: {safe(str(error))}") from error

    async def _start(self) -> RecorderProcess:
        process = RecorderProcess(self._report)
        await process.start(self._settings, [self._directory])
        return process


def _is_over(starting: asyncio.Task[RecorderProcess]) -> bool:
    failed = starting.cancelled() or starting.exception() is not None
    return failed or starting.result().retired


def _ignore(record: Mapping[str, object]) -> None:
    """Log nothing: nothing was started yet."""
