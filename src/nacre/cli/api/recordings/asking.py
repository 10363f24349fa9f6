"""Asks the process with the recordings."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import asdict
from threading import Lock
from typing import Any

from nacre.cli.api.recordings.values import LONGEST_ANSWERED, NAME, WantedRecordings
from nacre.errors import StateError

_PATIENCE = 25.0
"""Seconds for an answer: fewer than a call has."""


class RecordingsLink:
    """The link to the process. Several threads may use it.

    :param sock: the link, which keeps the bounds of messages.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._sock.settimeout(_PATIENCE)
        self._lock = Lock()
        self._owed = 0

    def find(self, wanted: WantedRecordings) -> dict[str, Any]:
        """Return recordings, and the path behind which more may be.

        :raises StateError: they can't be listed.
        """
        found, _ = self._ask({"list": asdict(wanted)})
        return found

    def open(self, path: str) -> int:
        """Return a descriptor of a recording's file, to be read.

        :raises StateError: there is none, or it can't be opened.
        """
        if NAME.fullmatch(path) is None:  # whatever a client has sent: also what fits no message
            raise StateError("there is no such recording")
        _, numbers = self._ask({"open": path})
        if len(numbers) != 1:
            for number in numbers:
                os.close(number)
            raise StateError("there is no such recording")
        return numbers[0]

    def _ask(self, asked: object) -> tuple[dict[str, Any], list[int]]:
        try:
            with self._lock:
                self._sock.sendall(json.dumps(asked).encode())
                self._owed += 1
                data, numbers = self._answered()
                while self._owed:
                    # This was for a request that nobody waits for any more.
                    for number in numbers:
                        os.close(number)
                    data, numbers = self._answered()
        except OSError as error:
            raise StateError(f"the recordings can't be asked for: {error}") from error
        found = json.loads(data) if data else {"failed": "the process of recordings has ended"}
        if "failed" in found:
            raise StateError(found["failed"])
        return found, numbers

    def _answered(self) -> tuple[bytes, list[int]]:
        """Return the next answer, and the descriptors with it. Answers come in order."""
        data, numbers, _, _ = socket.recv_fds(self._sock, LONGEST_ANSWERED, 1)
        # With no data the process is gone, and owes nothing.
        self._owed = self._owed - 1 if data else 0
        return data, list(numbers)
