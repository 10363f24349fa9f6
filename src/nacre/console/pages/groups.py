"""Groups: what their users inherit and share."""

from __future__ import annotations

from starlette.responses import Response

from nacre.console.pages.settings_form import changed, fields
from nacre.console.pages.users import LISTED
from nacre.console.web.calls import quoted
from nacre.console.web.visit import CHANGES, SEES, Page, Visit


async def _list(visit: Visit) -> Response:
    query = {"limit": LISTED, "after": visit.asked("after")}
    found = await visit.get("groups", query=query)
    return visit.show("groups.html", groups=found["groups"], next=found["next"])


def _path(name: str) -> str:
    return f"/groups/{quoted(name)}"


async def _add(visit: Visit) -> Response:
    name = visit.form.get("name", "").strip()
    await visit.call("POST", "groups", body={"name": name})
    return visit.go(_path(name), f"The group {name} was added.")


async def _show(visit: Visit) -> Response:
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


async def _change(visit: Visit) -> Response:
    name = visit.part("name")
    group = await visit.get("groups", name)
    document = await visit.console.api.document()
    settings = changed(visit.form, document, "GroupSettings", group["settings"])
    if settings:
        await visit.call("PATCH", "groups", name, body={"settings": settings})
    return visit.go(_path(name), "Saved." if settings else "Nothing was to be changed.")


async def _remove(visit: Visit) -> Response:
    name = visit.part("name")
    await visit.call("DELETE", "groups", name)
    return visit.go("/groups", f"The group {name} was removed.")


PAGES = (
    Page(method="GET", path="/groups", roles=SEES, answer=_list, title="Groups"),
    Page(method="POST", path="/groups", roles=CHANGES, answer=_add),
    Page(method="GET", path="/groups/{name}", roles=SEES, answer=_show),
    Page(method="POST", path="/groups/{name}/settings", roles=CHANGES, answer=_change),
    Page(method="POST", path="/groups/{name}/remove", roles=CHANGES, answer=_remove),
)
