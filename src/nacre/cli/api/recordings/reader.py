"""The process with the recordings: it has the account of the recorder, and opens nothing else.

It lists recordings, and hands over descriptors of their files, which can be read alone.
"""

from __future__ import annotations

import json
import os
import select
import socket
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from nacre.cli.api.recordings.values import (
    LONGEST_ANSWERED,
    LONGEST_ASKED,
    MOST_ROWS,
    NAME,
    WantedRecordings,
)
from nacre.daemon.control.values import ControlError, made, object_of
from nacre.daemon.recorder.recorder_process import confine
from nacre.daemon.recording.container import read_facts
from nacre.daemon.recording.directory import SEALED, newest
from nacre.daemon.sandbox import landlock
from nacre.errors import StateError
from nacre.wire.text import safe

_MOST_LOOKED_AT = 2000
"""Files that are read for one answer: the next one goes on behind them."""

_MOST_SHOWN = 128
"""Characters of what a file says."""

_MOST_NUMBER = 32
"""Characters of the number of a connection."""

_TEXTS = ("user", "kind")

_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class RecordingReader:
    """Answers requests.

    :param directory: a descriptor of the directory of recordings.
    """

    def __init__(self, directory: int) -> None:
        self._directory = directory

    def answer(self, data: bytes) -> tuple[bytes, int | None]:
        """Return the answer to a message, and the descriptor of a file that goes with it.

        :raises ControlError: the message is none.
        """
        asked = object_of(data)
        if len(asked) != 1:
            raise ControlError("this is no request")
        ((name, members),) = asked.items()
        try:
            if name == "open":
                return b"{}", self._open(str(members))
            if name == "list":
                found = self._list(made(WantedRecordings, members))
                return json.dumps(found).encode(), None
        except (OSError, StateError) as error:
            told = (error.strerror if isinstance(error, OSError) else None) or str(error)
            return json.dumps({"failed": safe(told, _MOST_SHOWN)}).encode(), None
        raise ControlError("this is no request")

    def _open(self, path: str) -> int:
        if NAME.fullmatch(path) is None:
            raise StateError("there is no such recording")
        try:
            number = os.open(path, _OPEN, dir_fd=self._directory)
        except FileNotFoundError:
            raise StateError("there is no such recording") from None
        if not stat.S_ISREG(os.fstat(number).st_mode):
            os.close(number)
            raise StateError("there is no such recording")
        return number

    def _list(self, wanted: WantedRecordings) -> dict[str, Any]:
        rows: list[dict[str, Any]] = []
        for count, path in enumerate(newest(self._directory, wanted.after)):
            with suppress(OSError, StateError):  # damaged, or removed meanwhile
                row = self._row(path)
                if _is_wanted(row, wanted):
                    rows.append(row)
            if len(rows) >= min(wanted.limit, MOST_ROWS) or count + 1 >= _MOST_LOOKED_AT:
                return {"recordings": rows, "next": path}
        return {"recordings": rows, "next": None}

    def _row(self, path: str) -> dict[str, Any]:
        with open(self._open(path), "rb") as file:
            status = os.fstat(file.fileno())
            facts = read_facts(file)
        texts = {name: safe(str(facts.get(name, "")), _MOST_SHOWN) for name in _TEXTS}
        return {
            **texts,
            "connection": safe(_connection(facts), _MOST_NUMBER),
            "from": safe(str(facts.get("from", "")), _MOST_SHOWN),
            "began": int(facts["started"]),
            "seconds": max(0, round(status.st_mtime - facts["started"])),
            "bytes": status.st_size,
            "sealed": path.endswith(SEALED),
            "path": path,
        }


def _connection(facts: Mapping[str, Any]) -> str:
    """Return the connection as the list of connections names it: with the gate, if there is one."""
    return ".".join(str(facts[name]) for name in ("gate", "connection") if name in facts)


def _is_wanted(row: Mapping[str, Any], wanted: WantedRecordings) -> bool:
    named = all(getattr(wanted, name) in ("", row[name]) for name in ("user", "connection"))
    return named and row["began"] * 1_000_000 >= wanted.since


def main(
    directory: int, rights: tuple[int, int] | None, links: list[socket.socket], alive: int
) -> None:
    """Answer requests until the other processes are gone.

    :param rights: the account of the recorder; None to keep that of the server.
    """
    reader = RecordingReader(directory)
    confine(rights, directory, landlock.READ)
    for sock, data in _messages(links, alive):
        answer, number = reader.answer(data)
        assert len(answer) <= LONGEST_ANSWERED
        try:
            socket.send_fds(sock, [answer], [] if number is None else [number])
        finally:
            if number is not None:
                os.close(number)


def _messages(links: list[socket.socket], alive: int) -> Iterator[tuple[socket.socket, bytes]]:
    poll = select.poll()
    known = {sock.fileno(): sock for sock in links}
    for number in (alive, *known):
        poll.register(number, select.POLLIN)
    while True:
        for number, _ in poll.poll():
            if number == alive:
                return
            data = known[number].recv(LONGEST_ASKED)
            if not data:
                return
            yield known[number], data
