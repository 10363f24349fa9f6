"""What users see of themselves."""

from __future__ import annotations

from starlette.responses import Response

from nacre.console.web.visit import ALL, BrowserVisit, ConsolePage


async def _show(visit: BrowserVisit) -> Response:
    found = await visit.get("own")
    return visit.show("own.html", own=found, usage=found["usage"], keys=found["keys"])


PAGES = (ConsolePage(method="GET", path="/you", roles=ALL, answer=_show, title="You"),)
