"""The security keys of users in the store."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest

from daemon.store.postgres.cluster import StorePlace
from nacre.daemon.store.second_factor.webauthn_keys import (
    LONGEST_CREDENTIAL,
    LONGEST_PUBLIC_KEY,
    MOST_KEYS,
    WebAuthnKey,
    WebAuthnKeys,
)
from nacre.daemon.store.store import UserStore
from nacre.daemon.store.values import StoredUser
from nacre.errors import UserStoreError


@pytest.fixture
def store(place: StorePlace) -> Iterator[UserStore]:
    with closing(place.open()) as store:
        store.add(StoredUser(name="alice"))
        store.add(StoredUser(name="bob"))
        yield store


@pytest.fixture
def keys(store: UserStore) -> WebAuthnKeys:
    return store.factors.security_keys


def key(**more: Any) -> WebAuthnKey:
    usual: dict[str, Any] = {"credential": b"c1", "user": "alice", "name": "blue"}
    return WebAuthnKey(**{**usual, "rp_id": "files", "public_key": b"p", **more})


def test_a_key_is_of_its_user_until_it_is_removed(keys: WebAuthnKeys) -> None:
    keys.add(key(name=" blue ", counter=7))
    keys.add(key(credential=b"c2", user="bob"))
    (found,) = keys.of("alice")
    assert (found.credential, found.name, found.rp_id) == (b"c1", "blue", "files")
    assert (found.public_key, found.counter, found.used) == (b"p", 7, 0)
    assert found.added > 0
    assert [one.user for one in keys.all()] == ["alice", "bob"]
    with pytest.raises(UserStoreError, match="bob has no security key"):
        keys.remove("bob", found.id)
    assert keys.remove("alice", found.id) == found
    assert keys.of("alice") == []
    with pytest.raises(UserStoreError, match="alice has no security key"):
        keys.remove("alice", found.id)
    assert keys.use(found, 8) == "the security key was removed"


def test_a_key_goes_with_its_user_and_stays_when_the_user_is_replaced(
    store: UserStore, keys: WebAuthnKeys
) -> None:
    keys.add(key())
    store.put([], [(StoredUser(name="alice", role="admin"), [])], update=True)
    assert len(keys.of("alice")) == 1, "as a second factor does, which no file of users has"
    store.remove("alice")
    assert keys.all() == []


def test_a_counter_only_goes_up(keys: WebAuthnKeys) -> None:
    keys.add(key(counter=5))
    (found,) = keys.of("alice")
    assert keys.use(found, 6, now=1000.5) is None
    assert (keys.of("alice")[0].counter, keys.of("alice")[0].used) == (6, 1000)
    for counter in (6, 5, 0):
        reason = keys.use(found, counter)
        assert reason is not None
        assert f"went from 6 to {counter}: the key may have been copied" in reason
    assert keys.of("alice")[0].counter == 6
    assert keys.use(found, 9) is None


def test_a_key_without_a_counter_always_says_0(keys: WebAuthnKeys) -> None:
    keys.add(key())
    (found,) = keys.of("alice")
    assert [keys.use(found, 0), keys.use(found, 0), keys.use(found, 1)] == [None] * 3
    assert keys.use(found, 0) is not None


def test_of_several_at_once_with_one_counter_one_counts(keys: WebAuthnKeys) -> None:
    keys.add(key())
    (found,) = keys.of("alice")
    with ThreadPoolExecutor(4) as pool:
        reasons = list(pool.map(lambda _: keys.use(found, 3), range(8)))
    assert reasons.count(None) == 1


def test_a_key_is_of_one_user_and_users_have_so_many(keys: WebAuthnKeys) -> None:
    keys.add(key())
    for user in ("alice", "bob"):
        with pytest.raises(UserStoreError, match="enrolled already"):
            keys.add(key(user=user))
    for n in range(MOST_KEYS - 1):
        keys.add(key(credential=b"more%d" % n))
    with pytest.raises(UserStoreError, match=f"alice has {MOST_KEYS} security keys"):
        keys.add(key(credential=b"last"))
    keys.add(key(credential=b"last", user="bob"))
    with pytest.raises(UserStoreError, match="there is no user 'ghost'"):
        keys.add(key(credential=b"x", user="ghost"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "  "},
        {"name": "x" * 65},
        {"name": "a\nb"},
        {"name": "\x1b[2J"},
        {"credential": bytes(LONGEST_CREDENTIAL + 1)},
        {"public_key": bytes(LONGEST_PUBLIC_KEY + 1)},
    ],
)
def test_what_does_not_fit_is_refused(keys: WebAuthnKeys, wrong: dict[str, Any]) -> None:
    with pytest.raises(UserStoreError, match="security key"):
        keys.add(key(**wrong))
    assert keys.all() == []


def test_the_handle_of_a_user_does_not_tell_the_name(keys: WebAuthnKeys) -> None:
    assert keys.handle("alice") == keys.handle("alice") != keys.handle("bob")
    assert len(keys.handle("alice")) == 32


def test_a_key_is_called_by_a_hash_of_its_credential() -> None:
    assert key().id != key(credential=b"c2").id
    assert (key().id, len(key().id)) == (key(user="bob").id, 16)
