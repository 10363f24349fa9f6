"""A recording in a file, as often as it is read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nacre.cli.replay.keyfiles import load_key
from nacre.crypto.sealing import SealKey
from nacre.daemon.recording.cast import OWN, CastEvent, read_events, read_header
from nacre.daemon.recording.container import read_facts, read_lines
from nacre.errors import StateError
from nacre.wire.text import safe


class OpenedRecording:
    """A recording, whose header can be read.

    :param key: the file of the private key of a sealed one.
    :ivar header: its header.
    :ivar own: what nacre has written there.
    :raises StateError: it can't be read at all.
    """

    def __init__(self, path: Path, key: Path | None) -> None:
        self._path = path
        self._key: SealKey | None = None if key is None else load_key(key)
        self.header: dict[str, Any] = read_header(next(self.lines(), b""))
        own = self.header.get(OWN)
        self.own: dict[str, Any] = own if isinstance(own, dict) else {}

    @property
    def is_of_connection(self) -> bool:
        """Whether it has what a connection did with files and forwards, and no output."""
        return self.own.get("kind") == "connection"

    def lines(self) -> Iterator[bytes]:
        """Return all lines; raises StateError at the first damage."""
        try:
            with self._path.open("rb") as file:
                yield from read_lines(file, self._key)
        except OSError as error:
            raise StateError(f"{safe(str(self._path))}: {error.strerror}") from error

    def events(self) -> Iterator[CastEvent]:
        """Return the events; raises StateError at the first damage."""
        lines = self.lines()
        next(lines)
        return read_events(lines, ends=bool(self.own))


def facts_of(path: Path) -> dict[str, Any]:
    """Return what can be read of a recording without a key: whose it is, and when it began.

    :raises StateError: it is none, or damaged at its beginning.
    """
    try:
        with path.open("rb") as file:
            return read_facts(file)
    except OSError as error:
        raise StateError(f"{error.strerror}") from error
