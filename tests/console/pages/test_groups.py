"""Groups."""

from __future__ import annotations

from console.world import World


def test_a_group_is_added_changed_and_removed(world: World) -> None:
    browser = world.browser("ada")
    assert browser.told(browser.post("/groups", name="staff")) == "The group staff was added."
    fields = {"setting.service": "sftp", "setting.shared_quota_bytes": "4096"}
    fields |= {"setting.folders": "", "setting.root": "/srv/%u"}
    assert browser.told(browser.post("/groups/staff/settings", **fields)) == "Saved."
    staff = world.resources.store.groups.find("staff")
    assert (staff.service, staff.shared_quota_bytes, staff.root) == ("sftp", 4096, "/srv/%u")
    assert browser.told(browser.post("/groups/staff/settings", **fields)).startswith("Nothing")
    world.resources.store.change("uma", groups=["staff"])
    text = browser.get("/groups/staff").text
    assert 'href="/users/uma"' in text
    assert browser.post("/groups/staff/remove").status_code == 409
    world.resources.store.change("uma", groups=[])
    assert browser.told(browser.post("/groups/staff/remove")) == "The group staff was removed."
    assert browser.get("/groups/staff").status_code == 404


def test_an_auditor_sees_what_a_group_says_and_no_form(world: World) -> None:
    world.browser("ada").post("/groups", name="staff")
    world.resources.store.groups.change("staff", hours="Mon-Fri 08:00-18:00")
    browser = world.browser("otto")
    text = browser.get("/groups/staff").text
    assert "Mon-Fri 08:00-18:00" in text
    assert "/groups/staff/settings" not in text
    assert 'href="/groups/staff"' in browser.get("/groups").text
