"""The keys of the REST API in the store."""

from __future__ import annotations

import time

import pytest
from sqlalchemy import select

from nacre.daemon.store.store import UserStore
from nacre.daemon.store.tables import API_KEYS
from nacre.errors import UserStoreError


def test_a_key_is_found_by_what_was_shown_once(store: UserStore) -> None:
    token = store.api_keys.create("ci", ["users:read", "log:read", "users:read"], 7)
    found = store.api_keys.find(token)
    assert found is not None
    assert (found.name, found.scopes, found.expires) == ("ci", ("users:read", "log:read"), 7)
    assert store.api_keys.all() == [found]
    assert abs(found.created - time.time()) < 3600


def test_no_part_of_the_secret_is_in_the_store(store: UserStore) -> None:
    token = store.api_keys.create("ci", ["users:read"])
    secret = token.rpartition("_")[2]
    with store._database.reading() as connection:
        (row,) = connection.execute(select(API_KEYS)).all()
    assert all(secret not in str(one) and bytes.fromhex(secret) != one for one in row)


@pytest.mark.parametrize("change", ["secret", "number", "more", "short", "empty", "other"])
def test_another_key_is_none(store: UserStore, change: str) -> None:
    token = store.api_keys.create("ci", ["users:read"])
    start, number, secret = token.split("_")
    last = "0" if secret[-1] != "0" else "1"
    changed = {
        "secret": f"{start}_{number}_{secret[:-1]}{last}",
        "number": f"{start}_{'0' * 12}_{secret}",
        "more": f"{token}0",
        "short": token[:-1],
        "empty": "",
        "other": token.upper(),
    }
    assert store.api_keys.find(changed[change]) is None


def test_keys_expire_and_are_revoked(store: UserStore) -> None:
    token = store.api_keys.create("ci", ["users:read"], 1000)
    found = store.api_keys.find(token)
    assert found is not None
    assert [found.expired(now) for now in (999, 1000)] == [False, True]
    store.api_keys.revoke("ci")
    assert store.api_keys.find(token) is None
    with pytest.raises(UserStoreError, match="there is no key 'ci'"):
        store.api_keys.revoke("ci")
    never = store.api_keys.find(store.api_keys.create("ci", ["users:read"]))
    assert never is not None
    assert not never.expired(1e18)


@pytest.mark.parametrize(
    ("name", "scopes", "error"),
    [
        ("-x", ["users:read"], "can't be a key's name"),
        ("x", ["root"], "'root' is none of users:read"),
        ("x", [], "a key needs a scope"),
        ("taken", ["users:read"], "there is a key taken already"),
    ],
)
def test_what_is_no_key_is_not_made(
    store: UserStore, name: str, scopes: list[str], error: str
) -> None:
    store.api_keys.create("taken", ["log:read"])
    with pytest.raises(UserStoreError, match=error):
        store.api_keys.create(name, scopes)
    assert len(store.api_keys.all()) == 1
