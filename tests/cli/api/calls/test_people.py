"""Calls about users and groups, on a store without a server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nacre.cli.api.call import CheckedCall, Problem, Resources
from nacre.cli.api.calls import people
from nacre.crypto.password import verify_password
from nacre.errors import NacreError
from nacre.keys import generate

KEY = str(generate("ssh-ed25519").public)


@pytest.fixture
def resources(tmp_path: Path) -> Iterator[Resources]:
    found = Resources(tmp_path)
    yield found
    found.store.close()


def call(who: str = "", /, query: dict[str, Any] | None = None, **body: Any) -> CheckedCall:
    return CheckedCall(path={"name": who}, query=query or {}, body=body)


def test_a_user_is_added_as_the_program_does(resources: Resources, tmp_path: Path) -> None:
    people.add_group(resources, call(name="staff"))
    settings = {"home": f"{tmp_path}/%u", "expires": 7}
    given: dict[str, Any] = {"groups": ["staff"], "password": "some words", "must_change": True}
    shown: Any = people.add_user(
        resources, call(name="bob", settings=settings, keys=[f"{KEY} laptop"], **given)
    )
    assert shown["settings"]["home"] == f"{tmp_path}/bob"
    assert (shown["settings"]["expires"], shown["must_change"]) == (7, True)
    user = resources.store.own("bob")
    assert user.password is not None
    assert verify_password(user.password, b"some words")
    (key,) = resources.store.keys("bob")
    assert (key.comment, str(key.key)) == ("laptop", KEY)


@pytest.mark.parametrize(
    "settings",
    [
        {"root": "/", "service": "sftp"},
        {"hours": "always"},
        {"sources": "192.0.2.0/99"},
        {"folders": "nonsense"},
        {"rights": "/:nonsense"},
        {"certificate_valid": 3},
        {"certificate_options": "nonsense"},
        {"file_key": "/dev/null"},
        {"run_as": "no-such-account"},
        {"home": "%x"},
        {"root": "no-such-storage://x"},
    ],
)
def test_settings_are_checked_as_the_program_does(
    resources: Resources, settings: dict[str, Any]
) -> None:
    with pytest.raises(NacreError):
        people.add_user(resources, call(name="bob", settings=settings))
    people.add_user(resources, call(name="bob"))
    with pytest.raises(NacreError):
        people.change_user(resources, call("bob", settings=settings))
    assert resources.store.own("bob").root is None


def test_a_change_leaves_the_rest_as_it_is(resources: Resources) -> None:
    people.add_user(resources, call(name="bob", settings={"max_sessions": 3, "auth": "publickey"}))
    shown: Any = people.change_user(resources, call("bob", settings={"max_sessions": None}))
    assert (shown["settings"]["max_sessions"], shown["settings"]["auth"]) == (None, "publickey")
    people.change_user(resources, call("bob", disabled=True))
    assert resources.store.own("bob").disabled
    with pytest.raises(NacreError, match="there is no group 'none'"):
        people.change_user(resources, call("bob", groups=["none"]))


def test_a_password_is_what_the_settings_permit(resources: Resources) -> None:
    people.add_user(resources, call(name="bob", settings={"password_length": 12}))
    with pytest.raises(NacreError, match="characters: take one with 12"):
        people.set_password(resources, call("bob", password="short"))
    people.set_password(resources, call("bob", password="long enough words"))
    assert resources.store.own("bob").password is not None
    people.remove_password(resources, call("bob"))
    assert resources.store.own("bob").password is None


@pytest.mark.parametrize(
    "action",
    [
        *(people.show_user, people.change_user, people.remove_user, people.set_password),
        *(people.remove_password, people.list_keys, people.add_key),
        *(people.show_group, people.change_group, people.remove_group, people.list_members),
    ],
)
def test_who_is_not_there_is_not_found(resources: Resources, action: Any) -> None:
    with pytest.raises(Problem) as raised:
        action(resources, call("nobody", query={"limit": 1, "after": ""}))
    assert raised.value.status == 404


def test_pages_end_with_null(resources: Resources) -> None:
    for name in ("a", "b", "c"):
        people.add_user(resources, call(name=name))
        people.add_group(resources, call(name=f"g{name}"))
    names, after = [], ""
    while True:
        page: Any = people.list_users(resources, call(query={"limit": 2, "after": after}))
        names += [one["name"] for one in page["users"]]
        if page["next"] is None:
            break
        after = page["next"]
    assert names == ["a", "b", "c"]
    page = people.list_groups(resources, call(query={"limit": 2, "after": "ga"}))
    assert ([one["name"] for one in page["groups"]], page["next"]) == (["gb", "gc"], "gc")
