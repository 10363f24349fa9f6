"""Networks that are banned, and those that never are."""

from __future__ import annotations

from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import Response

from nacre.console.web.visit import CHANGES, SEES, BrowserVisit, ConsolePage

_LISTED = 200
_UNITS = {"minutes": 60, "hours": 3600, "days": 86400}


async def _list(visit: BrowserVisit) -> Response:
    found = await visit.get("bans", query={"limit": _LISTED, "after": visit.asked("after")})
    return visit.show("bans.html", bans=found["bans"], next=found["next"], units=list(_UNITS))


async def _add(visit: BrowserVisit) -> Response:
    form = visit.form
    body: dict[str, Any] = {
        "network": form.get("network", "").strip(),
        "reason": form.get("reason", "").strip(),
        "allowed": form.get("what") == "allow",
    }
    if count := form.get("count", "").strip():
        if not (count.isascii() and count.isdecimal() and len(count) < 8):
            raise HTTPException(422, "the time is to be a number")
        body["seconds"] = int(count) * _UNITS.get(form.get("unit", ""), 60)
    done = await visit.call("POST", "bans", body=body)
    return visit.go("/bans", f"{done['network']} is in the list.")


async def _remove(visit: BrowserVisit) -> Response:
    network = visit.form.get("network", "")
    await visit.call("DELETE", "bans", network)
    return visit.go("/bans", f"{network} is no more in the list.")


PAGES = (
    ConsolePage(method="GET", path="/bans", roles=SEES, answer=_list, title="Bans"),
    ConsolePage(method="POST", path="/bans", roles=CHANGES, answer=_add),
    ConsolePage(method="POST", path="/bans/remove", roles=CHANGES, answer=_remove),
)
