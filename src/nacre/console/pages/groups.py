"""Groups: what their users inherit and share."""

from __future__ import annotations

from starlette.responses import Response

from nacre.console.pages.settings_form import changed, fields
from nacre.console.pages.users import LISTED
from nacre.console.web.calls import quoted
from nacre.console.web.visit import CHANGES, SEES, BrowserVisit, ConsolePage


async def _list(visit: BrowserVisit) -> Response:
    query = {"limit": LISTED, "after": visit.asked("after")}
    found = await visit.get("groups", query=query)
    return visit.show("groups.html", groups=found["groups"], next=found["next"])


def _path(name: str) -> str:
    return f"/groups/{quoted(name)}"


async def _add(visit: BrowserVisit) -> Response:
    name = visit.form.get("name", "").strip()
    await visit.call("POST", "groups", body={"name": name})
    return visit.go(_path(name), f"The group {name} was added.")


async def _show(visit: BrowserVisit) -> Response:
    name = visit.part("name")
    group = await visit.get("groups", name)
    query = {"limit": LISTED, "after": visit.asked("after")}
    members = await visit.get("groups", name, "users", query=query)
    document = await visit.console.api.document()
    said = {setting: one for setting, one in group["settings"].items() if one is not None}
    return visit.show(
        "group.html",
        group=group,
        said=said,
        members=members["users"],
        next=members["next"],
        path=_path(name),
        fields=fields(document, "GroupSettings", group["settings"]) if visit.changes else [],
    )


async def _change(visit: BrowserVisit) -> Response:
    name = visit.part("name")
    group = await visit.get("groups", name)
    document = await visit.console.api.document()
    settings = changed(visit.form, document, "GroupSettings", group["settings"])
    if settings:
        await visit.call("PATCH", "groups", name, body={"settings": settings})
    return visit.go(_path(name), "Saved." if settings else "Nothing was to be changed.")


async def _remove(visit: BrowserVisit) -> Response:
    name = visit.part("name")
    await visit.call("DELETE", "groups", name)
    return visit.go("/groups", f"The group {name} was removed.")


PAGES = (
    ConsolePage(method="GET", path="/groups", roles=SEES, answer=_list, title="Groups"),
    ConsolePage(method="POST", path="/groups", roles=CHANGES, answer=_add),
    ConsolePage(method="GET", path="/groups/{name}", roles=SEES, answer=_show),
    ConsolePage(method="POST", path="/groups/{name}/settings", roles=CHANGES, answer=_change),
    ConsolePage(method="POST", path="/groups/{name}/remove", roles=CHANGES, answer=_remove),
)
