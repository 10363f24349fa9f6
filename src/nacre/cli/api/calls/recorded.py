"""Calls about recordings."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import IO

from nacre.cli.api.call import CheckedCall, Problem, Resources
from nacre.cli.api.recordings.asking import RecordingsLink
from nacre.cli.api.recordings.values import WantedRecordings
from nacre.cli.manage.times import moment
from nacre.cli.replay.lines import lines_of
from nacre.daemon.recording.cast import OUTPUT, read_events
from nacre.daemon.recording.container import read_lines
from nacre.daemon.recording.directory import SEALED
from nacre.errors import StateError
from nacre.limits import MIB
from nacre.wire.text import safe

LONGEST = 32 * MIB
"""Bytes of a recording: as much may wait for a client that is slow."""

MOST_MOMENTS = 200
"""Moments that a search returns."""

_PATIENCE = 20.0
"""Seconds of a search: a call has 30."""

_MOST_SHOWN = 200
"""Characters of a line that is found."""


def list_recordings(resources: Resources, call: CheckedCall) -> object:
    """Return a page of the recordings, the newest first."""
    query = call.query
    try:
        since = moment(query["since"], end=False) if "since" in query else 0
    except ValueError as error:
        raise Problem(422, str(error)) from None
    wanted = WantedRecordings(
        user=query.get("user", ""),
        connection=query.get("connection", ""),
        since=since,
        after=query["after"],
        limit=query["limit"],
    )
    return link_of(resources).find(wanted)


def opened(resources: Resources, call: CheckedCall) -> IO[bytes]:
    """Return the file of a recording.

    :raises Problem: there is none, it is sealed, or too long.
    """
    path = f"{call.path['day']}/{call.path['file']}"
    if path.endswith(SEALED):
        raise Problem(409, "it is sealed: play it with `nacre replay --key` where the key is")
    try:
        file = os.fdopen(link_of(resources).open(path), "rb")
    except StateError as error:
        raise Problem(404, str(error)) from None
    if os.fstat(file.fileno()).st_size > LONGEST:
        file.close()
        raise Problem(422, f"it has more than {LONGEST // MIB} MiB: play it with `nacre replay`")
    return file


def search_recording(resources: Resources, call: CheckedCall) -> object:
    """Return the moments at which a text was printed, the first ones; damage ends the search.

    So does time: there may be more then.
    """
    if "text" not in call.query:
        raise Problem(422, "give a text")
    wanted, more = call.query["text"], False
    until = time.monotonic() + _PATIENCE
    found: list[dict[str, object]] = []
    with opened(resources, call) as file, suppress(StateError):
        lines = read_lines(file, None)
        next(lines, b"")
        for at, line in lines_of(_printed(lines, until)):
            if wanted not in line:
                continue
            if len(found) == MOST_MOMENTS:
                more = True
                break
            found.append({"at": round(at, 3), "text": safe(line, _MOST_SHOWN)})
    return {"moments": found, "more": more or time.monotonic() >= until}


def _printed(lines: Iterator[bytes], until: float) -> Iterator[tuple[float, bytes]]:
    """Yield the output of a recording, with its times, up to a time on the monotonic clock."""
    for one in read_events(lines, ends=False):
        if time.monotonic() >= until:
            return
        if one.code == OUTPUT:
            yield one.at, one.data


def link_of(resources: Resources) -> RecordingsLink:
    """Return the link to the process with the recordings.

    :raises Problem: the server records nothing.
    """
    if resources.recordings is None:
        raise Problem(409, "the server records nothing: start it with --record")
    return resources.recordings
