"""The part of JSON Schema that the API uses, and the check of a value against it.

A schema is written once: it is checked here, and shown in the document of OpenAPI.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from nacre.wire.text import safe

Schema: TypeAlias = dict[str, Any]

_DEEPEST = 16
"""Levels of a value: no schema here has more."""


class Mismatch(Exception):
    """A value is not of its schema; the text names the place."""


_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: type(value) is int,
    "number": lambda value: type(value) in (int, float),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}


def ref(name: str) -> Schema:
    """Return a reference to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def record(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    """Return the schema of an object with these members and no others."""
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
        "additionalProperties": False,
    }


def check(value: Any, schema: Schema, known: Mapping[str, Schema], where: str = "body") -> None:
    """Check a value.

    :param known: the schemas that references name.
    :raises Mismatch: it is not of this schema.
    """
    _check(value, schema, known, where, _DEEPEST)


def _check(
    value: Any, schema: Schema, known: Mapping[str, Schema], where: str, levels: int
) -> None:
    if not levels:
        raise Mismatch(f"{where} has too many levels")
    if "$ref" in schema:
        schema = known[schema["$ref"].rpartition("/")[2]]
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if not any(_TYPES[kind](value) for kind in kinds):
        raise Mismatch(f"{where} is to be {' or '.join(kinds)}")
    if value is None:
        return
    if "enum" in schema and value not in schema["enum"]:
        words = ", ".join(str(one) for one in schema["enum"] if one is not None)
        raise Mismatch(f"{where} is none of {words}")
    if isinstance(value, dict):
        _check_members(value, schema, known, where, levels)
    elif isinstance(value, list):
        _check_size(len(value), "Items", "items", schema, where)
        for number, one in enumerate(value):
            _check(one, schema["items"], known, f"{where}[{number}]", levels - 1)
    elif isinstance(value, str):
        _check_size(len(value), "Length", "characters", schema, where)
    elif not isinstance(value, bool):
        _check_size(value, "imum", "", schema, where)


def _check_members(
    value: dict[str, Any], schema: Schema, known: Mapping[str, Schema], where: str, levels: int
) -> None:
    members = schema.get("properties", {})
    if missing := [name for name in schema.get("required", ()) if name not in value]:
        raise Mismatch(f"{where} lacks {missing[0]}")
    for name, one in value.items():
        if name in members:
            _check(one, members[name], known, f"{where}.{name}", levels - 1)
        elif schema.get("additionalProperties") is False:
            raise Mismatch(f"{where} has no {safe(name, 64)!r}: it has {', '.join(members)}")


def _check_size(size: float, bound: str, what: str, schema: Schema, where: str) -> None:
    """Check a size against ``minItems`` and ``maxItems``, or others that end so."""
    least, most = schema.get(f"min{bound}"), schema.get(f"max{bound}")
    if least is not None and size < least:
        raise Mismatch(f"{where} has or is less than {least} {what}".rstrip())
    if most is not None and size > most:
        raise Mismatch(f"{where} has or is more than {most} {what}".rstrip())
