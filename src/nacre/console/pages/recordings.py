"""Recordings: a list, and each in asciinema's player."""

from __future__ import annotations

from starlette.responses import Response

from nacre.console.pages.beside import MOST_NOTES, RecordedNote, notes_beside
from nacre.console.web.calls import APIRefused, path_of, quoted
from nacre.console.web.guard import PLAYER_POLICY
from nacre.console.web.streams import copied
from nacre.console.web.visit import SEES, BrowserVisit, ConsolePage

_FILTERS = ("user", "since")

_LONGEST_TEXT = 256
_TOLD = (404, 409, 422, 429, 503)
"""The statuses of the API whose reason the page of a recording tells."""

_SPEEDS = ("0.5", "1", "2", "4", "8")


async def _list(visit: BrowserVisit) -> Response:
    chosen = {name: text for name in _FILTERS if (text := visit.asked(name).strip())}
    problem, rows, after = "", [], None
    try:
        found = await visit.get("recordings", query={**chosen, "after": visit.asked("after")})
        rows, after = found["recordings"], found["next"]
    except APIRefused as error:
        if error.status not in (409, 422):
            raise
        problem = error.detail
    return visit.show("recordings.html", chosen=chosen, rows=rows, next=after, problem=problem)


async def _show(visit: BrowserVisit) -> Response:
    day, file = visit.part("day"), visit.part("file")
    path = f"/recordings/{quoted(day)}/{quoted(file)}"
    speed = visit.asked("speed")
    speed = speed if speed in _SPEEDS else "1"
    text, found, problem = visit.asked("text")[:_LONGEST_TEXT], None, ""
    notes: list[RecordedNote] = []
    try:
        notes = await notes_beside(visit, day, file)
        if text:
            query = {"text": text}
            found = await visit.get("recordings", day, file, "search", query=query)
    except APIRefused as error:
        if error.status not in _TOLD:
            raise
        problem = error.detail
    answer = visit.show(
        "recording.html",
        name=f"{day}/{file}",
        path=path,
        speed=speed,
        speeds=_SPEEDS,
        text=text,
        found=found,
        notes=notes,
        most=MOST_NOTES,
        problem=problem,
    )
    answer.headers["Content-Security-Policy"] = PLAYER_POLICY
    return answer


async def _cast(visit: BrowserVisit) -> Response:
    path = path_of("recordings", visit.part("day"), visit.part("file"))
    return await copied(visit, path, "application/x-asciicast")


PAGES = (
    ConsolePage(method="GET", path="/recordings", roles=SEES, answer=_list, title="Recordings"),
    ConsolePage(method="GET", path="/recordings/{day}/{file}", roles=SEES, answer=_show),
    ConsolePage(method="GET", path="/recordings/{day}/{file}/cast", roles=SEES, answer=_cast),
)
