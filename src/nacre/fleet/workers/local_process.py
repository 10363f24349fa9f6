"""The program of a worker, which :class:`~nacre.fleet.workers.local.LocalWorker` starts.

It reads lines of JSON from a socket: first what to do, then messages. It ends when the socket does.
"""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import suppress
from typing import Any

from nacre.fleet.workers.attempting import AttemptingWorker
from nacre.fleet.workers.local import LARGEST


async def serve(sock: socket.socket) -> None:
    """Work until the run ends the socket."""
    reader, writer = await asyncio.open_connection(sock=sock, limit=LARGEST)

    def send(message: dict[str, Any]) -> None:
        writer.write(json.dumps(message).encode() + b"\n")

    worker: AttemptingWorker | None = None
    try:
        while line := await reader.readline():
            message = json.loads(line)
            if worker is None:
                worker = AttemptingWorker(message, send)
            else:
                worker.take(message)
    except ConnectionError:
        pass
    finally:
        if worker is not None:
            await worker.end()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


def main(descriptor: int) -> None:
    """Run as a worker.

    :param descriptor: of the socket.
    """
    asyncio.run(serve(socket.socket(fileno=descriptor)))
