"""``nacre replay list``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from nacre.cli.replay.opened import facts_of
from nacre.cli.user.listing import show, shown_time
from nacre.daemon.recording.directory import SEALED, find_recordings
from nacre.errors import StateError
from nacre.wire.text import safe

_COLUMNS = ("user", "from", "kind", "began", "seconds", "bytes", "sealed", "file")


def list_recordings(directory: Path, user: str | None, since: int | None, *, as_json: bool) -> int:
    """Print a table; returns the exit status, 1 if a file can't be read.

    The duration is up to the last write.

    :param since: microseconds since the epoch; what began before is left out.
    :raises StateError: the directory can't be read.
    """
    damaged: list[str] = []
    rows = _rows(directory, user, since or 0, damaged)
    show(_COLUMNS, rows, as_json, began=shown_time)
    for line in damaged:
        click.echo(line, err=True)
    return int(bool(damaged))


def _rows(
    directory: Path, user: str | None, since: int, damaged: list[str]
) -> Iterator[tuple[Any, ...]]:
    for path in find_recordings(directory):
        try:
            facts, status = facts_of(path), path.stat()
        except (StateError, OSError) as error:
            damaged.append(f"{safe(str(path))}: {error}")
            continue
        began = facts["started"]
        if began * 1_000_000 < since or user not in (None, facts.get("user")):
            continue
        yield (
            str(facts.get("user", "")),
            str(facts.get("from", "")),
            str(facts.get("kind", "")),
            int(began),
            max(0, round(status.st_mtime - began)),
            status.st_size,
            path.suffix == SEALED,
            str(path),
        )
