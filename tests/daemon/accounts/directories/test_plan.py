"""What --users says, and which options go with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nacre.daemon.accounts.directories.found import FoundUsers
from nacre.daemon.accounts.directories.plan import UsersPlan
from nacre.daemon.store.store import FILE, UserStore
from nacre.errors import NacreError


def test_a_function(tmp_path: Path) -> None:
    make = UsersPlan(where="python:json:dumps").open(None)
    store = UserStore(tmp_path / FILE)
    users = make(store)
    assert isinstance(users, FoundUsers)
    users.close()
    store.close()


@pytest.mark.parametrize(
    ("where", "more", "reason"),
    [
        ("ftp://127.0.0.1", {}, "give store, system"),
        ("command:", {}, "give store, system"),
        ("https://example.com/", {}, "needs --users-secret"),
        ("python:json:dumps", {"secret": "/a"}, "takes no --users-secret"),
        ("python:json:dumps", {"program_account": "nobody"}, "runs no program"),
        ("python:json:dumps", {"accounts": ("nobody-at-all",)}, "no account"),
        ("ldap:/there/is/none", {}, "can't read|needs the extra"),
        ("oidc:/there/is/none", {}, "can't read|needs the extra"),
        ("oidc:/there/is/none", {"accounts": ("root",)}, "names no accounts"),
    ],
)
def test_what_does_not_go_together(where: str, more: dict[str, Any], reason: str) -> None:
    with pytest.raises(NacreError, match=reason):
        UsersPlan(where=where, **more).open(None)
