"""What a user's settings refuse."""

from __future__ import annotations

import pytest

from nacre.daemon.store.values import SETTINGS, USUAL, StoredKey, User, check_name
from nacre.errors import UserStoreError
from nacre.keys import generate


def test_a_user_has_what_is_usual_by_default() -> None:
    assert {name: getattr(User(name="alice"), name) for name in SETTINGS} == USUAL


@pytest.mark.parametrize(
    ("user", "reason"),
    [
        (User(name="alice"), None),
        (User(name="alice", disabled=True), "the user is disabled"),
        (User(name="alice", expires=1000), "the user has expired"),
        (User(name="alice", expires=1001), None),
        (User(name="alice", expires=0), None),
        (User(name="alice", sources="192.0.2.0/24"), None),
        (User(name="alice", sources="*.example.com"), None),
        (User(name="alice", sources="192.0.2.0/24,!192.0.2.7"), "not log in from this address"),
        (User(name="alice", sources="198.51.100.0/24"), "not log in from this address"),
        (User(name="alice", hours="Mon-Sun"), None),
        (User(name="alice", hours="Mon"), "not log in at this time"),
    ],
)
def test_refusal(user: User, reason: str | None) -> None:
    # 1000 seconds after the epoch it is a Thursday, or a Wednesday.
    found = user.refusal(address="192.0.2.7", host="a.example.com", now=1000)
    assert found is None if reason is None else (reason in (found or ""))


@pytest.mark.parametrize("name", [".", "..", "-x", "a/b", "", "x" * 65])
def test_names_that_can_not_be(name: str) -> None:
    with pytest.raises(UserStoreError, match="can't be a group's name"):
        check_name(name, "group")


@pytest.mark.parametrize(
    ("user", "expired"),
    [
        (User(name="alice", created=1), False),
        (User(name="alice", must_change=True), True),
        (User(name="alice", password_expires=0, password_changed=1), False),
        (User(name="alice", password_expires=100, password_changed=901), False),
        (User(name="alice", password_expires=100, password_changed=900), True),
        (User(name="alice", password_expires=100, created=900), True),
        (User(name="alice", password_expires=100, created=1, password_changed=950), False),
    ],
)
def test_passwords_expire(user: User, expired: bool) -> None:
    assert user.password_expired(1000) is expired


@pytest.mark.parametrize(("within", "may"), [(None, False), (0, False), (99, False), (101, True)])
def test_enrolment_ends(within: int | None, may: bool) -> None:
    assert User(name="alice", created=900, enrol_within=within).may_enrol(1000) is may


def test_keys_expire() -> None:
    key = generate("ssh-ed25519").public
    assert StoredKey(key, "").expires() is None
    assert StoredKey(key, "", options="restrict").expires() is None
    option = 'restrict,expiry-time="19700101001640Z"'
    assert StoredKey(key, "", options=option).expires() == 1000
