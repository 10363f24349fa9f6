"""Who is connected, and what they do."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from starlette.responses import Response

from nacre.console.web.calls import APIRefused
from nacre.console.web.streams import event_stream
from nacre.console.web.visit import CHANGES, SEES, BrowserVisit, ConsolePage

_LIVE = "/v1/connections/live"

Traffic = tuple[int, int]
"""Bytes that were received from a client, and sent to it."""


class Sampled:
    """The rates of connections, from what two events of the API say."""

    def __init__(self) -> None:
        self._before: dict[str, Traffic] = {}
        self._at = 0.0

    def rows(self, found: Sequence[Mapping[str, Any]], at: float) -> list[dict[str, Any]]:
        """Return the connections, those with the most traffic first.

        :param at: seconds since the epoch.
        """
        seconds, before = at - self._at, self._before
        self._at, self._before = at, {}
        rows = []
        for one in found:
            traffic = _traffic(one)
            rate = None
            if traffic is not None:
                self._before[one["id"]] = traffic
                then = before.get(one["id"])
                if then is not None and seconds > 0:
                    rate = tuple(
                        max(0, now - old) / seconds for now, old in zip(traffic, then, strict=True)
                    )
            rows.append({**one, "traffic": traffic, "rate": rate})
        rows.sort(key=lambda row: (-sum(row["rate"] or (0.0,)), row["since"]))
        return rows


def _traffic(one: Mapping[str, Any]) -> Traffic | None:
    details = one["details"]
    if details is None or details["received"] is None or details["sent"] is None:
        return None
    return details["received"], details["sent"]


async def _now(visit: BrowserVisit) -> Response:
    found = await visit.get("connections")
    rows = Sampled().rows(found["connections"], 0.0)
    return visit.show("now.html", rows=rows, silent=found["silent"])


async def _events(visit: BrowserVisit) -> Response:
    """Answer with the rows of the table, every two seconds, as server-sent events."""
    return event_stream(visit, _tables(visit))


async def _tables(visit: BrowserVisit) -> AsyncGenerator[str, None]:
    session, sampled = visit.own, Sampled()
    with suppress(APIRefused):
        async with visit.console.api.stream(session.token, _LIVE) as events:
            async for _, found in events:
                if not visit.console.sessions.holds(session):
                    break
                yield _event(
                    "rows", _rendered(visit, sampled.rows(found["connections"], found["at"]))
                )
    yield _event("end", "")


def _rendered(visit: BrowserVisit, rows: Sequence[Mapping[str, Any]]) -> str:
    context = {"rows": rows, "changes": visit.changes, "csrf": visit.own.csrf}
    return visit.console.templates.render("now_rows.html", context)


def _event(name: str, text: str) -> str:
    return f"event: {name}\ndata: {json.dumps(text)}\n\n"


async def _end(visit: BrowserVisit) -> Response:
    number = visit.form.get("id", "")
    reason = visit.form.get("reason", "").strip()
    await visit.call("DELETE", "connections", number, query={"reason": reason} if reason else None)
    return visit.go("/now", f"The connection {number} is being ended.")


PAGES = (
    ConsolePage(method="GET", path="/now", roles=SEES, answer=_now, title="Now"),
    ConsolePage(method="GET", path="/now/events", roles=SEES, answer=_events),
    ConsolePage(method="POST", path="/now/end", roles=CHANGES, answer=_end),
)
