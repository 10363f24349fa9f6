"""The document of OpenAPI says what the table of actions says, and is one."""

from __future__ import annotations

import re

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from nacre.cli.api.actions import ACTIONS, BY_NAME, Action
from nacre.cli.api.openapi import document
from nacre.cli.api.sessions.roles import OWN_SCOPES
from nacre.cli.api.shapes import SCHEMAS
from nacre.daemon.store.api_keys import SCOPES
from nacre.daemon.store.values import GROUP_SETTINGS, SETTINGS


def test_it_is_a_document_of_openapi() -> None:
    validate(document())


@pytest.mark.parametrize("action", ACTIONS, ids=list(BY_NAME))
def test_each_action_is_in_it(action: Action) -> None:
    operation = document()["paths"][action.path][action.method.lower()]
    assert operation["operationId"] == action.name
    assert operation["security"] == ([{"key": [action.scope]}] if action.scope else [])
    assert action.scope is None or action.scope in {*SCOPES, *OWN_SCOPES}
    parameters = {(one["in"], one["name"]) for one in operation["parameters"]}
    in_path = {("path", name) for name in re.findall(r"\{(\w+)\}", action.path)}
    assert parameters == in_path | {("query", name) for name in action.query}
    assert ("requestBody" in operation) == (action.body is not None)
    assert str(action.status) in operation["responses"]
    for name in filter(None, (action.body, action.answer)):
        assert name in SCHEMAS


def test_actions_and_their_paths_are_different() -> None:
    assert len(BY_NAME) == len(ACTIONS)
    assert len({(one.method, one.path) for one in ACTIONS}) == len(ACTIONS)
    assert {one.scope for one in ACTIONS} == {*SCOPES, *OWN_SCOPES, None}


def test_its_schemas_are_schemas() -> None:
    for schema in SCHEMAS.values():
        Draft202012Validator.check_schema(schema)
    assert tuple(SCHEMAS["Settings"]["properties"]) == SETTINGS
    assert tuple(SCHEMAS["GroupSettings"]["properties"]) == GROUP_SETTINGS
