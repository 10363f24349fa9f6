"""Decides which calls are done: keys, scopes, rates, and whether a call is of its schemas."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nacre.cli.api.actions import BY_NAME, Action
from nacre.cli.api.call import CheckedCall, Problem, Resources
from nacre.cli.api.pipe import LONGEST_BODY, APICall, paired
from nacre.cli.api.schema import Mismatch, Schema, check
from nacre.cli.api.sessions.roles import SCOPES_OF
from nacre.cli.api.sessions.table import PREFIX, APISession
from nacre.cli.api.shapes import SCHEMAS
from nacre.daemon.store.values import User
from nacre.server.admission.bucket import Bucket, Buckets
from nacre.wire.text import safe

RATE, BURST = 20.0, 100.0
"""Calls per second of one key in the long run, and at once."""

REFUSED_RATE, REFUSED_BURST = 5.0, 50.0
"""Calls per second without a valid key, of all clients together, that are looked at and logged."""

_MOST_KEYS = 1000
"""Keys whose rates are counted; that of the one which was used longest ago is forgotten."""

_UNKNOWN = "the key is unknown or was revoked: make one with `nacre api key create`"
_BEARER = {"WWW-Authenticate": "Bearer"}


@dataclass(frozen=True, slots=True)
class Permit:
    """What a call may do.

    :ivar key: who calls, for the log: the name of the key, ``user:`` and a name for a session, and
        empty where neither is needed.
    :ivar session: that of the user who calls; None for a key.
    """

    action: Action
    key: str = ""
    session: APISession | None = None


class KeyJudge:
    """Judges calls. It looks keys up, which may block: call it in one thread.

    :param clock: returns seconds, for the rates.
    :param trusted: whether a call without a key may be anything: its client has the account of the
        server, or is root.
    """

    def __init__(
        self,
        resources: Resources,
        clock: Callable[[], float] = time.monotonic,
        *,
        trusted: bool = False,
    ) -> None:
        self._resources = resources
        self._trusted = trusted
        self._rates: Buckets[str] = Buckets(RATE, BURST, _MOST_KEYS, clock)
        self._refused = Bucket(REFUSED_RATE, REFUSED_BURST, clock)

    def judge(self, asked: APICall) -> Permit:
        """Return what a call may do.

        A key that is shown counts also where none is needed.

        :raises Problem: the call is refused.
        """
        action = BY_NAME.get(asked.action)
        if action is None or action.work == "document":
            raise Problem(404, "there is no such action")
        if self._trusted and not asked.token:
            return Permit(action)
        if action.scope is None:
            if not self._refused.take():
                raise _too_many()
            return Permit(action)
        if asked.token.startswith(PREFIX):
            return self._judge_session(asked, action, action.scope)
        key = self._resources.store.api_keys.find(asked.token)
        if key is None or key.expired():
            if not self._refused.take():
                raise _too_many()
            if not asked.token:
                raise Problem(401, "show a key: Authorization: Bearer KEY", _BEARER)
            reason = _UNKNOWN if key is None else f"the key {key.name} has expired"
            raise Problem(401, reason, _BEARER)
        if not self._rates.take(key.number):
            raise _too_many()
        if action.scope not in key.scopes:
            raise ScopeRefused(key.name, f"the key {key.name} lacks the scope {action.scope}")
        return Permit(action, key.name)

    def _judge_session(self, asked: APICall, action: Action, scope: str) -> Permit:
        session = self._resources.sessions.find(asked.token, used=not action.polled)
        user = None if session is None else self._user(session)
        if session is None or user is None:
            if not self._refused.take():
                raise _too_many()
            raise Problem(401, "the session has ended: sign in again", _BEARER)
        name = f"user:{user.name}"
        if not self._rates.take(name):
            raise _too_many()
        if scope not in SCOPES_OF[user.role]:
            raise ScopeRefused(name, f"the role {user.role} has no scope {scope}")
        return Permit(action, name, session)

    def _user(self, session: APISession) -> User | None:
        """Return the user of a session that holds; end one that does not, and return None."""
        user = self._resources.store.find(session.user)
        if (
            user is None
            or user.refusal(address=session.address, host=None) is not None
            or user.role == "none"
            or user.password != session.password
        ):
            self._resources.sessions.end(session)
            return None
        return user

    def holds(self, asked: APICall, *, used: bool = False) -> bool:
        """Tell whether the key of a call that was permitted is still for it.

        :param used: whether its client has done something since, so that its session is not idle.
        """
        if self._trusted and not asked.token:
            return True
        scope = BY_NAME[asked.action].scope
        if asked.token.startswith(PREFIX):
            session = self._resources.sessions.find(asked.token, used=used)
            user = None if session is None else self._user(session)
            return user is not None and scope in SCOPES_OF[user.role]
        key = self._resources.store.api_keys.find(asked.token)
        return key is not None and not key.expired() and scope in key.scopes


class ScopeRefused(Problem):
    """A valid key is not for this.

    :ivar key: its name.
    """

    def __init__(self, key: str, detail: str) -> None:
        super().__init__(403, detail)
        self.key = key


def _too_many() -> Problem:
    return Problem(429, "too many calls: wait some seconds", {"Retry-After": "5"})


def call_of(asked: APICall, permit: Permit) -> CheckedCall:
    """Return a call that fits the schemas of its action.

    :raises Problem: it does not.
    """
    try:
        action = permit.action
        query = _query(paired(asked.query), action.query)
        for name, value in query.items():
            check(value, action.query[name], SCHEMAS, name)
        body = _body(asked, action)
        path = dict(paired(asked.path))
        session, caller = permit.session, permit.key
        return CheckedCall(path=path, query=query, body=body, session=session, caller=caller)
    except Mismatch as error:
        raise Problem(422, str(error)) from None


def _query(given: list[tuple[str, str]], known: Mapping[str, Schema]) -> dict[str, Any]:
    found: dict[str, Any] = {
        name: schema["default"] for name, schema in known.items() if "default" in schema
    }
    seen = set()
    for name, text in given:
        if name not in known:
            raise Mismatch(f"there is no parameter {safe(name, 64)!r}")
        if known[name]["type"] == "array":
            found.setdefault(name, []).append(text)
        elif name in seen:
            raise Mismatch(f"{name} is given twice")
        else:
            found[name] = _typed(name, text, known[name])
        seen.add(name)
    return found


_FLAGS = {"true": True, "false": False}


def _typed(name: str, text: str, schema: Schema) -> Any:
    """Return the text of a parameter as a value of its type."""
    if schema["type"] == "boolean":
        if text not in _FLAGS:
            raise Mismatch(f"{name} is true or false")
        return _FLAGS[text]
    if schema["type"] == "integer":
        if not (text.isascii() and text.isdecimal() and len(text) <= 16):
            raise Mismatch(f"{name} is a number")
        return int(text)
    return text


def _body(asked: APICall, action: Action) -> dict[str, Any]:
    if action.body is None:
        if asked.body:
            raise Problem(400, "this call has no body")
        return {}
    text = asked.body or ""
    if len(text) > LONGEST_BODY:
        raise Problem(413, f"a body has at most {LONGEST_BODY} bytes")
    try:
        found = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise Problem(400, "the body is no JSON") from None
    check(found, SCHEMAS[action.body], SCHEMAS)
    return dict(found)


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")
