"""The document of OpenAPI 3.1, made of the table of actions."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

from nacre import __version__
from nacre.cli.api.actions import ACTIONS, Action
from nacre.cli.api.schema import Schema, ref
from nacre.cli.api.shapes import SCHEMAS
from nacre.daemon.store.api_keys import SCOPES

PROBLEM = "application/problem+json"
JSON = "application/json"

_PARAMETER = re.compile(r"\{(\w+)\}")

_FAILURES = (400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 500, 503, 504)


def document() -> dict[str, Any]:
    """Return the document, as values of JSON."""
    paths: dict[str, dict[str, Any]] = {}
    for action in ACTIONS:
        paths.setdefault(action.path, {})[action.method.lower()] = _operation(action)
    scopes = "; ".join(f"`{name}`: {text}" for name, text in SCOPES.items())
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "nacre",
            "version": __version__,
            "description": "The API of nacre serve.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": f"A key of `nacre api key create`, with scopes. {scopes}.",
                }
            },
        },
    }


def _operation(action: Action) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": action.name,
        "summary": action.summary,
        "tags": [action.name.partition(".")[0]],
        "parameters": [
            *(_in_path(name) for name in _PARAMETER.findall(action.path)),
            *(_in_query(name, schema) for name, schema in action.query.items()),
        ],
        "responses": _responses(action),
        "security": [] if action.scope is None else [{"key": [action.scope]}],
    }
    if action.body is not None:
        content = {JSON: {"schema": ref(action.body)}}
        found["requestBody"] = {"required": True, "content": content}
    return found


def _in_path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _in_query(name: str, schema: Schema) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema}


def _responses(action: Action) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": action.summary}
    if action.work == "follow":
        answer["content"] = {action.media: {"schema": {"type": "string"}}}
    elif action.work == "socket":
        answer["description"] = "The WebSocket (RFC 6455), whose messages are objects of JSON"
    elif action.work == "document":
        answer["content"] = {JSON: {"schema": {"type": "object"}}}
    elif action.answer is not None:
        answer["content"] = {JSON: {"schema": ref(action.answer)}}
    problems = {
        str(status): {
            "description": HTTPStatus(status).phrase,
            "content": {PROBLEM: {"schema": ref("Problem")}},
        }
        for status in (*_FAILURES, *((426,) if action.work == "socket" else ()))
    }
    return {str(action.status): answer, **problems}
