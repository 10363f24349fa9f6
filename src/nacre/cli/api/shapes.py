"""The schemas of what requests and answers of the API consist of."""

from __future__ import annotations

from typing import Any, get_type_hints

from nacre.cli.api.schema import Schema, record, ref
from nacre.cli.api.webauthn_shapes import ORIGIN, WEBAUTHN_SCHEMAS
from nacre.cli.user.exchange import CHOICES, NUMBERS
from nacre.daemon.audit.chain import Kept
from nacre.daemon.store.values import GROUP_SETTINGS, ROLES, SETTINGS, GroupSettings

MOST_LISTED = 500
"""The most items of one answer."""

_LARGEST = (1 << 53) - 1
"""The largest number that JSON means the same by everywhere (RFC 8259, section 6)."""

_NAME: Schema = {"type": "string", "minLength": 1, "maxLength": 64}
_TEXT: Schema = {"type": "string"}
_SHORT: Schema = {"type": "string", "maxLength": 512}
_NUMBER: Schema = {"type": "integer", "minimum": 0, "maximum": _LARGEST}
_FLAG: Schema = {"type": "boolean"}
_TIME: Schema = {**_NUMBER, "description": "Seconds since the epoch."}
_NAMES: Schema = {"type": "array", "items": _NAME, "maxItems": 1000}

_KINDS: dict[Any, str] = {bool | None: "boolean", int | None: "integer", str | None: "string"}


def _optional(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]}


def _setting(name: str) -> Schema:
    """Return the schema of a setting of users and groups."""
    kind = _KINDS[get_type_hints(GroupSettings)[name]]
    schema: Schema = {"type": [kind, "null"]}
    if name in CHOICES:
        schema["enum"] = [*CHOICES[name], None]
    if kind == "integer":
        schema |= {"minimum": 0, "maximum": NUMBERS.get(name, _LARGEST)}
    if kind == "string" and name not in CHOICES:
        schema["maxLength"] = 32768
    return schema


def _page(of: str, name: str) -> Schema:
    listed = {"type": "array", "items": ref(of)}
    return record({name: listed, "next": _optional(_TEXT)})


_SETTINGS = {name: _setting(name) for name in SETTINGS}
_KEY_LINE: Schema = {
    "type": "string",
    "maxLength": 32768,
    "description": "A public key as a line of authorized_keys, perhaps with options in front.",
}
_PASSWORD: Schema = {"type": "string", "minLength": 1, "maxLength": 1024}

_LIMITS = ("quota_bytes", "quota_files", "transfer_up", "transfer_down")
_ROLE = [role for role in ROLES if role != "none"]

_RUNNING = record({"channel": _NUMBER, "request": _TEXT, "what": _TEXT, "terminal": _FLAG})
_DETAILS = record(
    {
        "idle": {"type": "number"},
        "received": _optional(_NUMBER),
        "sent": _optional(_NUMBER),
        "sessions": _NUMBER,
        "forwards": _NUMBER,
        "listens": _NUMBER,
        "running": {"type": "array", "items": ref("Session")},
    }
)
_EVENT_TYPES = {"id": _NUMBER, "fields": {"type": "object"}}

SCHEMAS: dict[str, Schema] = {
    "Problem": {
        "type": "object",
        "description": "What is wrong, as RFC 9457 has it.",
        "properties": {
            "type": _TEXT,
            "title": _TEXT,
            "status": {"type": "integer"},
            "detail": _TEXT,
            "second_factor": ref("SecondFactorAsked"),
        },
        "required": ["type", "title", "status", "detail"],
    },
    "Health": record({"status": {"type": "string", "enum": ["ok", "down"]}}),
    "Settings": {
        **record({}, _SETTINGS),
        "description": "What a user or a group says; null says nothing, and the next one in line "
        "decides. Times and spans are seconds, times since the epoch.",
    },
    "GroupSettings": {
        **record({}, {name: _setting(name) for name in GROUP_SETTINGS}),
        "description": "What a group says, as in Settings, and what its users share.",
    },
    "User": record(
        {
            "name": _NAME,
            "groups": _NAMES,
            "disabled": _FLAG,
            "created": _TIME,
            "has_password": _FLAG,
            "password_changed": _TIME,
            "must_change": _FLAG,
            "settings": ref("Settings"),
        },
        {"holds": ref("Settings"), "enrolled": _FLAG},
    ),
    "Users": _page("User", "users"),
    "NewUser": record(
        {"name": _NAME},
        {
            "groups": _NAMES,
            "disabled": _FLAG,
            "password": _PASSWORD,
            "must_change": _FLAG,
            "keys": {"type": "array", "items": _KEY_LINE, "maxItems": 100},
            "settings": ref("Settings"),
        },
    ),
    "UserChange": record({}, {"groups": _NAMES, "disabled": _FLAG, "settings": ref("Settings")}),
    "NewPassword": record({"password": _PASSWORD}, {"must_change": _FLAG}),
    "Key": record(
        {
            "fingerprint": _TEXT,
            "type": _TEXT,
            "key": _TEXT,
            "options": _TEXT,
            "comment": _TEXT,
            "added": _TIME,
        }
    ),
    "Factor": {
        **record({"secret": _TEXT, "uri": _TEXT, "recovery": {"type": "array", "items": _TEXT}}),
        "description": "What an authenticator app reads, and recovery codes: shown this once.",
    },
    "Usage": record(
        {
            **dict.fromkeys(("bytes", "files", "up", "down"), _NUMBER),
            **{name: _optional(_NUMBER) for name in _LIMITS},
            "transfer_period": _TEXT,
            "counted": _FLAG,
        }
    ),
    "SignIn": record(
        {"name": _NAME, "password": _PASSWORD, "address": {"type": "string", "maxLength": 64}},
        {"code": {"type": "string", "maxLength": 64}, "origin": ORIGIN},
    ),
    **WEBAUTHN_SCHEMAS,
    "SignedIn": record(
        {"token": _TEXT, "name": _NAME, "role": {"type": "string", "enum": _ROLE}, "expires": _TIME}
    ),
    "Own": record(
        {
            "name": _NAME,
            "role": {"type": "string", "enum": _ROLE},
            "groups": _NAMES,
            "service": _TEXT,
            "created": _TIME,
            "expires": _optional(_TIME),
            "enrolled": _FLAG,
            "keys": {"type": "array", "items": ref("Key")},
            "usage": ref("Usage"),
        }
    ),
    "HeldSession": record({"role": {"type": "string", "enum": _ROLE}}),
    "OneTimeLogin": {
        **record(
            {
                "name": _NAME,
                "password": _TEXT,
                "expires": _TIME,
                "addresses": {"type": "array", "items": _TEXT},
                "host_keys": {"type": "array", "items": _TEXT},
            }
        ),
        "description": "What a login with SSH takes, by keyboard-interactive: the password counts "
        "once. addresses are where the server listens, with the host keys host_keys.",
    },
    "Keys": record({"keys": {"type": "array", "items": ref("Key")}}),
    "NewKey": record({"key": _KEY_LINE}),
    "Group": record(
        {"name": _NAME, "created": _TIME, "users": _NUMBER, "settings": ref("GroupSettings")}
    ),
    "Groups": _page("Group", "groups"),
    "NewGroup": record({"name": _NAME}, {"settings": ref("GroupSettings")}),
    "GroupChange": record({"settings": ref("GroupSettings")}),
    "Members": _page("Name", "users"),
    "Name": _NAME,
    "Session": _RUNNING,
    "Details": _DETAILS,
    "Connection": record(
        {
            "id": _TEXT,
            "user": _TEXT,
            "state": {"type": "string", "enum": ["login", "open", "rest"]},
            "peer": _TEXT,
            "since": {"type": "number"},
            "methods": {"type": "array", "items": _TEXT},
            "process": _optional(_NUMBER),
            "details": {"anyOf": [ref("Details"), {"type": "null"}]},
            "node": {**_TEXT, "description": "Empty where servers do not share a store."},
        }
    ),
    "Connections": record(
        {"connections": {"type": "array", "items": ref("Connection")}, "silent": _NUMBER}
    ),
    "EndConnections": record(
        {},
        {
            "ids": {"type": "array", "items": _SHORT, "maxItems": 1000},
            "user": _NAME,
            "reason": _SHORT,
        },
    ),
    "Ended": record({"ended": {"type": "array", "items": record({"id": _TEXT, "user": _TEXT})}}),
    "Ban": record(
        {
            "network": _TEXT,
            "allowed": _FLAG,
            "until": {**_optional(_NUMBER), "description": "Null is until it is removed."},
            "level": _NUMBER,
            "reason": _TEXT,
        }
    ),
    "Bans": _page("Ban", "bans"),
    "NewBan": record(
        {"network": {"type": "string", "maxLength": 64}},
        {
            "seconds": {"type": "integer", "minimum": 1, "maximum": 10 * 366 * 86400},
            "allowed": _FLAG,
            "reason": {"type": "string", "maxLength": 200},
        },
    ),
    "Recording": record(
        {
            **dict.fromkeys(("user", "from", "kind", "connection", "path"), _TEXT),
            **dict.fromkeys(("seconds", "bytes"), _NUMBER),
            "began": _TIME,
            "sealed": _FLAG,
        }
    ),
    "Recordings": _page("Recording", "recordings"),
    "Event": record({name: _EVENT_TYPES.get(name, _TEXT) for name in Kept._fields}),
    "Events": record(
        {
            "events": {"type": "array", "items": ref("Event")},
            "last": {**_NUMBER, "description": "The `after` of the next request."},
        }
    ),
    "Moments": record(
        {
            "moments": {
                "type": "array",
                "items": record({"at": {"type": "number", "minimum": 0}, "text": _TEXT}),
            },
            "more": _FLAG,
        }
    ),
    "Count": record({"time": _TIME, "outcome": _TEXT, "count": _NUMBER}),
    "Counts": record({"counts": {"type": "array", "items": ref("Count")}}),
}
"""The schemas by their names in the document."""
