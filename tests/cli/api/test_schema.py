"""Values are checked against schemas as JSON Schema says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from nacre.cli.api.schema import Mismatch, check
from nacre.cli.api.shapes import SCHEMAS

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 1 << 60) | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "groups", "settings", "keys", "auth", "x"]), inner
        )
    ),
)
BODIES = ("NewUser", "UserChange", "NewPassword", "NewKey", "NewGroup", "NewBan", "EndConnections")


def fits(value: Any, name: str) -> bool:
    try:
        check(value, SCHEMAS[name], SCHEMAS)
    except Mismatch:
        return False
    return True


@given(value=VALUES, name=st.sampled_from(BODIES))
def test_it_agrees_with_a_validator(value: Any, name: str) -> None:
    schema = {**SCHEMAS[name], "components": {"schemas": SCHEMAS}}
    # Python has 1.0 for an integer of JSON Schema; bodies here have none.
    if fits(value, name):
        assert Draft202012Validator(schema).is_valid(value)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([], "body is to be object"),
        ({}, "body lacks name"),
        ({"name": 3}, "body.name is to be string"),
        ({"name": ""}, "body.name has or is less than 1 characters"),
        ({"name": "x" * 65}, "body.name has or is more than 64 characters"),
        ({"name": "x", "more\x1b": 1}, r"body has no 'more\\\\x1b': it has name"),
        ({"name": "x", "disabled": 1}, "body.disabled is to be boolean"),
        ({"name": "x", "groups": [1]}, r"body.groups\[0\] is to be string"),
        ({"name": "x", "keys": ["k"] * 101}, "body.keys has or is more than 100 items"),
        ({"name": "x", "settings": {"auth": "x"}}, "body.settings.auth is none of any, password"),
        ({"name": "x", "settings": {"max_sessions": -1}}, "max_sessions has or is less than 0"),
        ({"name": "x", "settings": {"max_sessions": True}}, "is to be integer or null"),
        ({"name": "x", "settings": {"expires": 1 << 53}}, "expires has or is more than"),
    ],
)
def test_what_is_wrong_is_named(value: Any, said: str) -> None:
    with pytest.raises(Mismatch, match=said):
        check(value, SCHEMAS["NewUser"], SCHEMAS)


def test_what_is_right_passes() -> None:
    settings = {"auth": None, "service": "sftp", "max_sessions": 0, "expires": (1 << 53) - 1}
    assert fits({"name": "x", "groups": ["a"], "settings": settings}, "NewUser")
