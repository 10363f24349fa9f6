"""A directory with recordings, and the process that reads them as a thread."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nacre.cli.api.recordings.asking import RecordingsLink
from nacre.cli.api.recordings.reader import RecordingReader
from nacre.cli.api.recordings.values import LONGEST_ASKED


def write(directory: Path, path: str, user: str, started: float, *lines: object) -> Path:
    """Write a recording that is no real one."""
    file = directory / path
    file.parent.mkdir(mode=0o700, exist_ok=True)
    own = {"user": user, "from": "192.0.2.9", "kind": "shell", "started": started}
    head = {"version": 3, "term": {"cols": 80, "rows": 24}, "nacre": own}
    file.write_text("".join(json.dumps(one) + "\n" for one in (head, *lines)))
    return file


@contextmanager
def link_to(path: Path) -> Iterator[RecordingsLink]:
    """Have a reader of a directory answer, up to the end of the context."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    reader = RecordingReader(directory)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def answer() -> None:
        with suppress(OSError):
            while data := theirs.recv(LONGEST_ASKED):
                text, number = reader.answer(data)
                socket.send_fds(theirs, [text], [] if number is None else [number])
                if number is not None:
                    os.close(number)

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield RecordingsLink(ours)
    finally:
        ours.close()
        thread.join(30)
        theirs.close()
        os.close(directory)
