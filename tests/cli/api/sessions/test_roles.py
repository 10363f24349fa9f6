"""What the roles of users are for."""

from __future__ import annotations

from itertools import pairwise

from nacre.cli.api.sessions.roles import OWN_SCOPES, SCOPES_OF
from nacre.daemon.store.api_keys import SCOPES
from nacre.daemon.store.values import ROLES


def test_each_role_has_what_the_one_before_has_and_more() -> None:
    assert tuple(SCOPES_OF) == ROLES
    found = list(SCOPES_OF.values())
    assert all(less < more for less, more in pairwise(found))


def test_an_auditor_changes_nothing_and_nobody_signs_others_in() -> None:
    assert not {one for one in SCOPES_OF["auditor"] - OWN_SCOPES if one.endswith(":write")}
    assert SCOPES_OF["admin"] == {*SCOPES, *OWN_SCOPES} - {"sessions:write"}
    assert not OWN_SCOPES & SCOPES.keys(), "a key of the API is no user"
