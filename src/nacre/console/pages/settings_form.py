"""The form of the settings of a user or a group, made of the schema that the API has of them.

So a setting that the API gets has its field here, and is checked there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException

_SEVERAL_LINES = frozenset({"folders", "rights", "certificate_options"})
_FLAGS = {"yes": True, "no": False}
_PREFIX = "setting."
"""How the names of these fields begin."""


def fields(
    document: Mapping[str, Any], schema: str, said: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return the fields of a form, with what is said now.

    :param document: that of OpenAPI.
    :param schema: the name of the schema of the settings.
    :param said: the settings; None says nothing.
    """
    known = document["components"]["schemas"][schema]["properties"]
    return [_field(name, one, said.get(name)) for name, one in known.items()]


def _field(name: str, schema: Mapping[str, Any], value: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"name": _PREFIX + name, "setting": name, "kind": "text"}
    kind = schema["type"][0]
    if "enum" in schema:
        choices = [one for one in schema["enum"] if one is not None]
        found |= {"kind": "choice", "choices": choices}
    elif kind == "boolean":
        found |= {"kind": "choice", "choices": list(_FLAGS)}
    elif kind == "integer":
        found |= {"kind": "number", "most": schema["maximum"]}
    elif name in _SEVERAL_LINES:
        found["kind"] = "lines"
    return found | {"value": _written(value)}


def _written(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def changed(
    form: Mapping[str, str],
    document: Mapping[str, Any],
    schema: str,
    said: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the settings that a form changes: a field that is not there changes nothing.

    :raises HTTPException: a number is none.
    """
    known = document["components"]["schemas"][schema]["properties"]
    found = {}
    for name, one in known.items():
        text = form.get(_PREFIX + name)
        if text is None:
            continue
        text = text.replace("\r\n", "\n").strip()
        if text != _written(said.get(name)):
            found[name] = _read(name, one, text)
    return found


def _read(name: str, schema: Mapping[str, Any], text: str) -> Any:
    kind = schema["type"][0]
    if text == "":
        return None
    if kind == "boolean":
        return _FLAGS.get(text)
    if kind == "integer":
        try:
            return int(text)
        except ValueError:
            raise HTTPException(422, f"{name.replace('_', ' ')} is to be a number") from None
    return text
