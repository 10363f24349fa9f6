"""What a connection did with files and forwards while one of its sessions was recorded."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from nacre.console.web.calls import APIRefused, path_of
from nacre.console.web.visit import BrowserVisit
from nacre.limits import MIB

MOST_NOTES = 500
"""Things done that are shown."""

_MOST_ASKED = 5
"""Calls that look for the recording of a connection: each looks at 2000 files."""

_LONGEST_LINE = 1 * MIB
_CONNECTION = "connection"
_NOTE = "n"
_DAY = 86400


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedNote:
    """Something that was done.

    :ivar at: seconds since the session's recording began; negative before.
    :ivar words: the fields, as the log has them.
    """

    at: float
    words: str


async def notes_beside(visit: BrowserVisit, day: str, file: str) -> list[RecordedNote]:
    """Return what the connection of a recording has done with files and forwards, while it lasted.

    It is an empty list where that is not recorded, or is sealed.

    :raises APIRefused: there is no such recording.
    """
    own = await _facts(visit, day, file)
    if not isinstance(own.get("started"), int | float) or _CONNECTION not in own:
        return []
    found: list[RecordedNote] = []
    for row in await _recordings(visit, own, f"{day}/{file}"):
        with suppress(APIRefused):
            found += await _notes(visit, row["path"], own["started"])
    return sorted(found, key=lambda one: one.at)[:MOST_NOTES]


async def _facts(visit: BrowserVisit, day: str, file: str) -> Mapping[str, Any]:
    """Return what the header of a recording says of it."""
    path = path_of("recordings", day, file)
    async with visit.console.api.content(visit.own.token, path) as pieces:
        async for line in _lines(pieces):
            with suppress(ValueError, AttributeError, RecursionError):
                own = json.loads(line).get("nacre")
                return own if isinstance(own, dict) else {}
            break
    return {}


async def _recordings(
    visit: BrowserVisit, own: Mapping[str, Any], path: str
) -> list[Mapping[str, Any]]:
    """Return the recordings of a connection that were written while a session of it went on.

    After a start of the server, another connection may have the same number.
    """
    try:
        since = datetime.fromtimestamp(own["started"] - _DAY, UTC)
    except (ValueError, OverflowError, OSError):
        return []
    named = ".".join(str(own[name]) for name in ("gate", _CONNECTION) if name in own)
    query: dict[str, Any] = {"user": own.get("user", ""), _CONNECTION: named}
    query["since"] = f"{since:%Y-%m-%dT%H:%M:%SZ}"
    rows: list[Mapping[str, Any]] = []
    for _ in range(_MOST_ASKED):
        answer = await visit.get("recordings", query=query)
        rows += answer["recordings"]
        if answer["next"] is None:
            break
        query["after"] = answer["next"]
    ends = next((_end_of(one) for one in rows if one["path"] == path), float("inf"))
    return [
        one
        for one in rows
        if (one["kind"], one["from"], one["sealed"]) == (_CONNECTION, own.get("from"), False)
        and one["began"] <= ends
        and _end_of(one) >= own["started"]
    ]


def _end_of(row: Mapping[str, Any]) -> float:
    """Return when a recording ended: its times are rounded."""
    return float(row["began"] + row["seconds"] + 1)


async def _notes(visit: BrowserVisit, path: str, started: float) -> list[RecordedNote]:
    """Return what a recording of a connection has, in the time of a session's recording."""
    found: list[RecordedNote] = []
    day, _, file = path.partition("/")
    began, at = 0.0, 0.0
    async with visit.console.api.content(
        visit.own.token, path_of("recordings", day, file)
    ) as parts:
        async for line in _lines(parts):
            with suppress(ValueError, TypeError, LookupError, AttributeError, RecursionError):
                value = json.loads(line)
                if isinstance(value, dict):
                    began = value["nacre"]["started"]
                    continue
                at += value[0]
                if value[1] == _NOTE:
                    moment = round(began + at - started, 3)
                    found.append(RecordedNote(at=moment, words=_words(value[2])))
            if len(found) >= MOST_NOTES:
                break
    return found


def _words(text: str) -> str:
    fields: Mapping[str, Any] = json.loads(text)
    return "  ".join(f"{name}={one}" for name, one in fields.items())


async def _lines(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield lines; one that is too long ends them."""
    begun = b""
    async for piece in pieces:
        *lines, begun = (begun + piece).split(b"\n")
        for line in lines:
            yield line
        if len(begun) > _LONGEST_LINE:
            return
    if begun:
        yield begun
