"""The audit: a search with filters, and what it finds as a file."""

from __future__ import annotations

import asyncio
import csv
import json
import re
from collections.abc import AsyncIterator, Callable, Mapping
from io import StringIO
from typing import Any
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from nacre.console.web.calls import APIRefused
from nacre.console.web.visit import SEES, BrowserVisit, ConsolePage

_FILTERS = ("user", "event", "outcome", "path", "peer", "since", "until")
_LISTED = 100
_AT_ONCE = 500
"""Events of a call of an export: the most that the API returns."""

MOST_EXPORTED = 200_000
"""Events of a file; the last line says it where there were more."""

_PAUSE = 1.0
"""Seconds to wait where the API has had too many calls."""

_MOST_PAUSES = 30

_COLUMNS = ("id", "time", "connection", "user", "peer", "event", "outcome", "fields")

_FORMULA = re.compile(r"(^|[;\t\r\n])(?=[=+\-@\t\r\n])")
"""Where a text begins that a spreadsheet would compute: also behind a semicolon or a tab, which in
some countries begins a cell."""


async def _search(visit: BrowserVisit) -> Response:
    chosen = _chosen(visit)
    choices = await _choices(visit)
    problem, events = "", []
    try:
        found = await visit.get("audit", query={**chosen, "limit": _LISTED})
        events = found["events"]
    except APIRefused as error:
        if error.status not in (409, 422):
            raise
        problem = error.detail
    return visit.show(
        "audit.html",
        chosen=chosen,
        choices=choices,
        problem=problem,
        events=[_row(one) for one in reversed(events)],
        full=len(events) == _LISTED,
        query=urlencode(chosen),
    )


def _chosen(visit: BrowserVisit) -> dict[str, str]:
    found = {name: visit.asked(name).strip() for name in _FILTERS}
    return {name: text for name, text in found.items() if text}


async def _choices(visit: BrowserVisit) -> dict[str, list[str]]:
    """Return the words that a parameter of the search may be."""
    document = await visit.console.api.document()
    parameters = document["paths"]["/v1/audit"]["get"]["parameters"]
    return {one["name"]: one["schema"]["enum"] for one in parameters if "enum" in one["schema"]}


def _row(event: Mapping[str, Any]) -> dict[str, Any]:
    shown = str(event["time"])[:19].replace("T", " ")
    return {**event, "shown": shown, "told": _told(event["fields"])}


def _told(fields: Mapping[str, Any]) -> str:
    return "  ".join(f"{name}={one}" for name, one in fields.items())


def _json_line(event: Mapping[str, Any]) -> str:
    return json.dumps(event) + "\n"


def _csv_line(event: Mapping[str, Any]) -> str:
    cells = [_told(event["fields"]) if name == "fields" else event[name] for name in _COLUMNS]
    return _written(cells)


def _written(cells: list[Any]) -> str:
    out = StringIO()
    # A quote in front makes a text of what a spreadsheet would take for a formula.
    csv.writer(out).writerow(_FORMULA.sub(r"\1'", str(one)) for one in cells)
    return out.getvalue()


_FORMS: Mapping[str, tuple[str, str, Callable[[Mapping[str, Any]], str]]] = {
    "csv": ("text/csv; charset=utf-8", _written(list(_COLUMNS)), _csv_line),
    "json": ("application/x-ndjson", "", _json_line),
}
"""The forms of a file: the media type, the first line, and what makes the line of an event."""


async def _export(visit: BrowserVisit) -> Response:
    kind = visit.part("form")
    if kind not in _FORMS:
        raise HTTPException(404)
    media, head, line = _FORMS[kind]
    chosen = _chosen(visit)
    first = await _page(visit, chosen, 0)  # what is wrong with the filters, is said on a page
    headers = {"Content-Disposition": f'attachment; filename="audit.{kind}"'}
    parts = _lines(visit, chosen, first, head, line)
    return StreamingResponse(parts, headers=headers, media_type=media)


async def _lines(
    visit: BrowserVisit,
    chosen: Mapping[str, str],
    page: Mapping[str, Any],
    head: str,
    line: Callable[[Mapping[str, Any]], str],
) -> AsyncIterator[str]:
    yield head
    left = MOST_EXPORTED
    while True:
        yield "".join(line(one) for one in page["events"])
        left -= len(page["events"])
        if len(page["events"]) < _AT_ONCE:
            break
        if left <= 0:
            told = {"left_out": "there are more: narrow the search"}
            yield _json_line(told) if not head else _written(list(told.values()))
            break
        page = await _page(visit, chosen, page["last"])


async def _page(visit: BrowserVisit, chosen: Mapping[str, str], after: int) -> Any:
    query = {**chosen, "limit": _AT_ONCE, "after": after}
    for _ in range(_MOST_PAUSES):
        try:
            return await visit.get("audit", query=query)
        except APIRefused as error:
            if error.status != 429:
                raise
            await asyncio.sleep(_PAUSE)
    raise APIRefused(429, "the API has had too many calls")


PAGES = (
    ConsolePage(method="GET", path="/audit", roles=SEES, answer=_search, title="Audit"),
    ConsolePage(method="GET", path="/audit/export.{form}", roles=SEES, answer=_export),
)
