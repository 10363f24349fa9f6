"""A request as pages see it."""

from __future__ import annotations

import pytest

from console.world import World
from nacre.console.app import PAGES
from nacre.console.web.visit import ALL, CHANGES, SEES

OWN = ("/files/", "/you/")


def test_roles_grow() -> None:
    assert set(CHANGES) < set(SEES) < set(ALL)


def test_what_a_form_does_that_others_see_is_for_admins() -> None:
    own = {"/sign-in", "/sign-in/factor", "/sign-out"}
    for page in PAGES:
        # What a user does with its own files, the SSH server permits.
        if page.method == "POST" and not (page.path in own or page.path.startswith(OWN)):
            assert page.roles == CHANGES, page.path
    assert len({(page.method, page.path) for page in PAGES}) == len(PAGES)


@pytest.mark.parametrize(("name", "titles"), [("uma", 3), ("otto", 9), ("ada", 9)])
def test_the_navigation_has_what_the_role_may_see(world: World, name: str, titles: int) -> None:
    text = world.browser(name).get("/you").text
    assert text.count("<li><a href=") == titles
    assert text.count('aria-current="page"') == 1
