"""Security keys and codes as second factors of the API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from console.authenticator import SoftKey
from nacre.cli.api.call import Problem, Resources
from nacre.cli.api.calls.second_step import (
    ask_key,
    checked_rp_id,
    has_second_factor,
    keys_at,
    refusal_of_key,
)
from nacre.cli.api.sessions.ceremonies import enrolled_key, enrolment_options
from nacre.daemon.store.values import StoredUser, User

ORIGIN = "https://files.example.org"
PLACE: dict[str, Any] = {"address": "192.0.2.7", "origin": ORIGIN}


@pytest.fixture
def resources(tmp_path: Path) -> Iterator[Resources]:
    found = Resources(tmp_path)
    found.store.add(StoredUser(name="alice", password="hash"))
    found.store.add(StoredUser(name="bob"))
    yield found
    found.store.close()


@pytest.fixture
def alice(resources: Resources) -> User:
    return resources.store.user("alice")


def enrol(resources: Resources, user: User, origin: str = ORIGIN) -> SoftKey:
    """Give a user a security key."""
    key, keys = SoftKey(), resources.store.factors.security_keys
    rp_id = checked_rp_id(origin)
    place: Any = {"address": "192.0.2.7", "origin": origin, "rp_id": rp_id}
    _, challenge = resources.challenges.begin("enrolment", user, **place)
    options = enrolment_options(challenge, keys.handle(user.name), [])
    keys.add(enrolled_key(challenge, "blue", key.create(options, origin)))
    return key


def refusal(resources: Resources, user: User, key: SoftKey, **changes: Any) -> str | None:
    """Return why a signature of a key is refused, or None."""
    asked = ask_key(resources, "sign-in", user, **PLACE)
    assert asked is not None
    challenge = resources.challenges.take(asked["ticket"], "sign-in")
    assert challenge is not None
    answer = key.get(asked["options"], ORIGIN, **changes)
    return refusal_of_key(resources, user, challenge, answer)


def test_a_security_key_or_codes_are_a_second_factor(resources: Resources, alice: User) -> None:
    bob = resources.store.user("bob")
    assert not has_second_factor(alice, resources)
    enrol(resources, alice)
    resources.store.factors.enrol("bob", bytes(20))
    assert has_second_factor(alice, resources)
    assert has_second_factor(bob, resources)


def test_keys_are_asked_for_where_they_are_for(resources: Resources, alice: User) -> None:
    assert ask_key(resources, "sign-in", alice, **PLACE) is None
    enrol(resources, alice, "https://other.example.org")
    assert ask_key(resources, "sign-in", alice, **PLACE) is None
    enrol(resources, alice)
    assert ask_key(resources, "sign-in", alice, **PLACE) is not None
    assert len(keys_at(resources, alice, "files.example.org")) == 1
    assert keys_at(resources, resources.store.user("bob"), "files.example.org") == []
    with pytest.raises(Problem, match="HTTPS") as raised:
        checked_rp_id("http://files.example.org")
    assert raised.value.status == 422


def test_a_signature_counts_and_a_copy_of_the_key_is_noticed(
    resources: Resources, alice: User
) -> None:
    key = enrol(resources, alice)
    assert refusal(resources, alice, key) is None
    assert refusal(resources, alice, key) is None
    key.counter = 0
    reason = refusal(resources, alice, key)
    assert reason is not None
    assert "went from 2 to 1: the key may have been copied" in reason


def test_a_key_of_another_user_and_one_that_was_removed_count_for_nothing(
    resources: Resources, alice: User
) -> None:
    key = enrol(resources, alice)
    bobs = enrol(resources, resources.store.user("bob"))
    assert "no such security key" in str(refusal(resources, alice, bobs))
    (stored,) = resources.store.factors.security_keys.of("alice")
    enrol(resources, alice)
    resources.store.factors.security_keys.remove("alice", stored.id)
    assert "no such security key" in str(refusal(resources, alice, key))
