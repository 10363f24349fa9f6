"""Recordings in files, for the tests of ``nacre replay``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from nacre.daemon.recording.cast import OUTPUT, CastHeader, CastWriter
from nacre.daemon.recording.container import RecordingFile

STARTED = 1_700_000_000.0

ABOUT = {"user": "alice", "from": "192.0.2.1", "started": STARTED, "kind": "command"}


def write_recording(
    path: Path,
    pieces: Sequence[tuple[float, bytes]],
    *,
    recipient: bytes | None = None,
    ends: bool = True,
    **about: object,
) -> Path:
    """Write output at its times, a size after each, and an end."""
    told = {**ABOUT, **about}
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o600)
    file = RecordingFile(descriptor, told, recipient)
    file.add(CastHeader(started=STARTED, columns=90, rows=20, about=told).line())
    cast = CastWriter(0.0)
    for at, data in pieces:
        file.add(cast.data(at, OUTPUT, data))
        file.add(cast.note(at, {"event": "file", "path": data.decode(errors="replace")}))
        file.add(cast.resize(at, 80, 24))
    if ends:
        file.add(cast.end(pieces[-1][0] if pieces else 0.0, "0"))
    file.finish()
    file.close()
    return path
