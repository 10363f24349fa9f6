"""The schemas of requests and answers about security keys.

What browsers say is as WebAuthn has it (section 5.1.8), with bounds. Members that nobody here looks
at may be there.
"""

from __future__ import annotations

from nacre.cli.api.schema import Schema, record, ref
from nacre.cli.api.sessions.origins import LONGEST_ORIGIN
from nacre.daemon.store.second_factor.webauthn_keys import LONGEST_NAME

_NAME: Schema = {"type": "string", "minLength": 1, "maxLength": 64}
_TEXT: Schema = {"type": "string"}
_FLAG: Schema = {"type": "boolean"}
_TICKET: Schema = {"type": "string", "maxLength": 64}
_CODE: Schema = {"type": "string", "maxLength": 64}
_TIME: Schema = {"type": "integer", "minimum": 0, "description": "Seconds since the epoch."}
_SECONDS: Schema = {"type": "integer", "minimum": 0, "description": "Seconds; 0 for none."}

ORIGIN: Schema = {
    "type": "string",
    "maxLength": LONGEST_ORIGIN,
    "description": "The origin of the page where security keys are asked for.",
}


def _base64url(most: int) -> Schema:
    """Return the schema of so many bytes."""
    return {"type": "string", "maxLength": -(-most * 4 // 3), "contentEncoding": "base64url"}


def _answer(**response: Schema) -> Schema:
    """Return the schema of what a browser answers, with these members of its response."""
    inner = {"type": "object", "properties": response}
    required = [name for name in response if name != "userHandle"]
    return {
        "type": "object",
        "properties": {
            "id": _base64url(1023),
            "rawId": _base64url(1023),
            "type": {"type": "string", "enum": ["public-key"]},
            "response": {**inner, "required": required},
        },
        "required": ["id", "rawId", "type", "response"],
    }


_DATA, _SIGNED = _base64url(4096), _base64url(4096)
_OPTIONS: Schema = {
    "type": "object",
    "description": "What the browser's navigator.credentials takes, in WebAuthn's form of JSON.",
}

WEBAUTHN_SCHEMAS: dict[str, Schema] = {
    "KeyAnswer": _answer(
        clientDataJSON=_DATA,
        authenticatorData=_SIGNED,
        signature=_base64url(2048),
        userHandle={**_base64url(64), "type": ["string", "null"]},
    ),
    "EnrolmentAnswer": _answer(clientDataJSON=_DATA, attestationObject=_base64url(16384)),
    "SecondFactorAsked": {
        **record({"ticket": _TEXT, "options": _OPTIONS, "code": _FLAG}),
        "description": "What a sign-in asks for whose password is right: a security key, or a code "
        "if the last member is true.",
    },
    "SecondFactor": record(
        {"name": _NAME, "ticket": _TICKET, "address": {"type": "string", "maxLength": 64}},
        {"code": _CODE, "answer": ref("KeyAnswer")},
    ),
    "Proof": record(
        {},
        {
            "ticket": _TICKET,
            "answer": ref("KeyAnswer"),
            "code": _CODE,
            "password": {"type": "string", "maxLength": 1024},
        },
    ),
    "Proved": record({"proof": _SECONDS}),
    "AskChallenge": record(
        {"origin": ORIGIN, "use": {"type": "string", "enum": ["proof", "enrolment"]}}
    ),
    "KeyChallenge": record({"ticket": _TEXT, "options": _OPTIONS}),
    "NewSecurityKey": record(
        {
            "ticket": _TICKET,
            "name": {"type": "string", "minLength": 1, "maxLength": LONGEST_NAME},
            "answer": ref("EnrolmentAnswer"),
        }
    ),
    "SecurityKey": record(
        {
            "id": _TEXT,
            "name": _TEXT,
            "host": {**_TEXT, "description": "The host name of the console that it is for."},
            "added": _TIME,
            "used": {**_TIME, "type": ["integer", "null"]},
        }
    ),
    "SecurityKeys": record({"security_keys": {"type": "array", "items": ref("SecurityKey")}}),
    "OwnSecurityKeys": record(
        {
            "security_keys": {"type": "array", "items": ref("SecurityKey")},
            "second_factor": _FLAG,
            "codes": _FLAG,
            "proof": {**_SECONDS, "description": "Seconds for which they may still be changed."},
        }
    ),
}
"""The schemas by their names in the document."""
