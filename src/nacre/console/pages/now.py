"""Who is connected, and what they do."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, TypeAlias, cast

from starlette.responses import Response

from nacre.console.web.calls import APIRefused, ConsoleAPI
from nacre.console.web.charts import COUNTED, COUNTS, HEIGHT, NO_AUDIT, WIDTH, login_charts
from nacre.console.web.feeds import Feed
from nacre.console.web.streams import event_stream
from nacre.console.web.visit import CHANGES, SEES, BrowserVisit, ConsolePage

_LIVE = "/v1/connections/live"

_COUNT_EVERY = 10.0
"""Seconds from one count of logins to the next."""

Counts: TypeAlias = Sequence[Mapping[str, Any]] | None

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


class NowFeed(Feed):
    """The connections, as pages show them: one table for all pages of a user.

    :ivar counts: what was counted last; ``missing`` why that is nothing, and ``counted`` whether
        the API has answered yet.
    :ivar rows: the connections of the last event, which was sent at ``at``.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.counts: Counts = None
        self.missing = NO_AUDIT
        self.counted = False
        self.rows: list[dict[str, Any]] = []
        self.at = 0.0
        self._sampled = Sampled()
        self._asked = -_COUNT_EVERY
        self._counting: asyncio.Task[None] | None = None
        self._rendered: dict[object, str] = {}
        # What stands for the key of a session, which each page has another of.
        self._key = os.urandom(16).hex()

    async def take(self, name: str, data: Any, token: str) -> bool:
        """Take the connections, and count the logins now and then."""
        now = asyncio.get_running_loop().time()
        if now - self._asked >= _COUNT_EVERY and (self._counting is None or self._counting.done()):
            self._asked = now
            self._counting = asyncio.create_task(self._count(token))
        self.at = data["at"]
        self.rows = self._sampled.rows(data["connections"], self.at)
        self._rendered.clear()
        return True

    async def _count(self, token: str) -> None:
        """Count the logins, however long that takes; what was counted before stands meanwhile."""
        try:
            self.counts = await _counts(self.api, token)
            self.missing = NO_AUDIT
        except APIRefused as error:
            self.missing = error.detail
        self.counted = True
        self._rendered.pop("charts", None)

    def close(self) -> None:
        """Close the stream, and count no more."""
        super().close()
        if self._counting is not None:
            self._counting.cancel()

    def table(self, visit: BrowserVisit) -> str:
        """Return the rows for a page. They are rendered once for all pages with the same rights."""
        text = self._rendered.get(visit.changes)
        if text is None:
            context = {"rows": self.rows, "changes": visit.changes, "csrf": self._key}
            text = visit.console.templates.render("now_rows.html", context)
            self._rendered[visit.changes] = text
        return text.replace(self._key, visit.own.csrf)

    def charts(self, visit: BrowserVisit) -> str:
        """Return the charts for any page."""
        text = self._rendered.get("charts")
        if text is None:
            text = visit.console.templates.render(
                "charts.html", _charted(visit, self.counts, self.missing)
            )
            self._rendered["charts"] = text
        return text


async def _counts(api: ConsoleAPI, token: str) -> Counts:
    """Return the logins of the last hour; None where the server keeps no audit.

    :raises APIRefused: they can't be counted now.
    """
    try:
        found = await api.call(token, "GET", COUNTS, query=COUNTED)
    except APIRefused as error:
        if error.status != 409:
            raise
        return None
    return cast(Counts, found["counts"])


def _charted(visit: BrowserVisit, counts: Counts, missing: str) -> dict[str, Any]:
    charts = [*login_charts(counts, missing), visit.console.throughput.chart()]
    return {"charts": charts, "width": WIDTH, "height": HEIGHT}


async def _now(visit: BrowserVisit) -> Response:
    found = await visit.get("connections")
    rows = Sampled().rows(found["connections"], 0.0)
    counts, missing = None, NO_AUDIT
    try:
        counts = await _counts(visit.console.api, visit.own.token)
    except APIRefused as error:
        if error.status == 401:
            raise
        missing = error.detail
    charted = _charted(visit, counts, missing)
    return visit.show("now.html", rows=rows, silent=found["silent"], **charted)


async def _events(visit: BrowserVisit) -> Response:
    """Answer with the rows of the table, every two seconds, as server-sent events."""
    return await event_stream(visit, _tables(visit))


async def _tables(visit: BrowserVisit) -> AsyncGenerator[str, None]:
    with visit.console.feeds.joined(visit.own, _LIVE, NowFeed) as feed:
        shown = 0.0
        while True:
            changed = feed.changed
            if not feed.holds(visit.own):
                break
            if feed.at != shown:  # the clock of the server may be set back
                shown = feed.at
                visit.console.throughput.add(feed.at, feed.rows)
                yield _event("rows", feed.table(visit))
                if feed.counted:  # the page has charts of its own until then
                    yield _event("charts", feed.charts(visit))
            if feed.over:
                break
            await changed.wait()
    yield _event("end", "")


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
