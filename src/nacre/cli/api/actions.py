"""The table of what the API has: a row for each action. OpenAPI's document is made of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from nacre.cli.api.call import CheckedCall, Resources
from nacre.cli.api.calls import (
    factors,
    own,
    people,
    recorded,
    running,
    security_keys,
    signing_in,
)
from nacre.cli.api.recordings.values import MOST_ROWS
from nacre.cli.api.schema import Schema
from nacre.cli.api.shapes import MOST_LISTED
from nacre.daemon.audit.events import EVENTS, OUTCOMES

Perform: TypeAlias = Callable[[Resources, CheckedCall], object]

Work: TypeAlias = Literal["read", "change", "sign-in", "search", "follow", "socket", "document"]
"""What an action is: ``change`` writes, and one after the other; a ``sign-in`` costs much, and
strangers have it done; a ``search`` may take long; ``follow`` has an answer without an end; a
``socket`` is a WebSocket, whose client sends messages, too; a ``document`` is the same for
everybody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """Something that can be done.

    :ivar name: its name in the log, and as ``operationId``.
    :ivar path: with ``{name}`` for parameters, as OpenAPI has it.
    :ivar scope: what the key must be for; None for everybody, without a key.
    :ivar query: the parameters behind the path, with their schemas.
    :ivar body: the name of the schema of the body; None for no body.
    :ivar answer: that of the answer; None for an answer without a body.
    :ivar media: the media type of an answer without an end.
    :ivar polled: whether programs ask for it again and again, with nobody there: a session is idle
        nevertheless, and what is answered is no entry of the log or the audit.
    :ivar perform: does it, in a thread; raises Problem or NacreError.
    """

    name: str
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    scope: str | None
    work: Work
    summary: str
    perform: Perform
    query: Mapping[str, Schema] = field(default_factory=dict)
    body: str | None = None
    answer: str | None = None
    media: str = "text/event-stream"
    polled: bool = False

    @property
    def status(self) -> int:
        """The status of an answer that is no problem."""
        if self.work == "socket":
            return 101
        if self.answer is None and self.work == "change":
            return 204
        return 201 if self.method == "POST" and self.name.endswith(".add") else 200


_LIMIT: Schema = {"type": "integer", "minimum": 1, "maximum": MOST_LISTED, "default": 100}
_PAGE: dict[str, Schema] = {
    "limit": _LIMIT,
    "after": {"type": "string", "maxLength": 128, "default": ""},
}
_WORDS: Schema = {"type": "array", "items": {"type": "string", "maxLength": 64}, "maxItems": 100}
_TEXT: Schema = {"type": "string", "maxLength": 1024}
_CHANNEL: dict[str, Schema] = {
    "channel": {"type": "integer", "minimum": 0, "maximum": (1 << 32) - 1}
}

MOST_FOLLOWING: Mapping[str, int] = {
    "log.follow": 4,
    "connections.follow": 32,
    "connection.watch": 16,
    "connection.join": 16,
    "recordings.show": 4,
}
"""Calls at once that follow something. The control socket has room for others beside those
that follow the log; it is asked for connections once, however many follow them."""


def _by_other_means(_resources: Resources, _call: CheckedCall) -> object:
    raise AssertionError("this action is no call")


def _rows(
    path: str, scope: str, *rows: tuple[str, str, str, str, Perform, str | None, str | None]
) -> list[Action]:
    """Return the rows of a resource: name, method, rest of the path, summary, what does it, body
    and answer. What is no GET changes something."""
    found = []
    for name, method, rest, summary, perform, body, answer in rows:
        reads = method == "GET"
        listed = reads and answer is not None and answer in _PAGED
        found.append(
            Action(
                name=name,
                method=method,  # type: ignore[arg-type]
                path=f"/v1/{path}{rest}",
                scope=f"{scope}:{'read' if reads else 'write'}",
                work="read" if reads else "change",
                summary=summary,
                perform=perform,
                query=_PAGE if listed else {},
                body=body,
                answer=answer,
            )
        )
    return found


_PAGED = frozenset({"Users", "Groups", "Members", "Bans"})

_USER, _KEYS, _GROUP = "/{name}", "/{name}/keys", "/{name}"
_SECURITY_KEYS = "/security-keys"

ACTIONS: tuple[Action, ...] = (
    Action(
        name="health",
        method="GET",
        path="/v1/health",
        scope=None,
        work="read",
        summary="Tell whether the server answers",
        perform=running.health,
        answer="Health",
    ),
    Action(
        name="openapi",
        method="GET",
        path="/openapi.json",
        scope=None,
        work="document",
        summary="Return this document",
        perform=_by_other_means,
    ),
    *_rows(
        "users",
        "users",
        ("users.list", "GET", "", "List users", people.list_users, None, "Users"),
        ("users.add", "POST", "", "Add a user", people.add_user, "NewUser", "User"),
        ("users.show", "GET", _USER, "Show a user", people.show_user, None, "User"),
        ("users.change", "PATCH", _USER, "Change a user", people.change_user, "UserChange", "User"),
        ("users.remove", "DELETE", _USER, "Remove a user", people.remove_user, None, None),
        (
            *("users.password.set", "PUT", f"{_USER}/password", "Set a user's password"),
            *(people.set_password, "NewPassword", None),
        ),
        (
            *("users.password.remove", "DELETE", f"{_USER}/password", "Remove a user's password"),
            *(people.remove_password, None, None),
        ),
        ("keys.list", "GET", _KEYS, "List a user's keys", people.list_keys, None, "Keys"),
        ("keys.add", "POST", _KEYS, "Add a key to a user", people.add_key, "NewKey", "Keys"),
        (
            *("keys.remove", "DELETE", f"{_KEYS}/{{fingerprint}}", "Remove a key of a user"),
            *(people.remove_key, None, None),
        ),
        (
            *("factors.add", "POST", f"{_USER}/totp", "Give a user a second factor"),
            *(factors.add_factor, None, "Factor"),
        ),
        (
            *("factors.remove", "DELETE", f"{_USER}/totp", "Remove a user's second factor"),
            *(factors.remove_factor, None, None),
        ),
        (
            *("webauthn.list", "GET", f"{_USER}{_SECURITY_KEYS}", "List a user's security keys"),
            *(security_keys.list_security_keys, None, "SecurityKeys"),
        ),
        (
            *("webauthn.remove", "DELETE", f"{_USER}{_SECURITY_KEYS}/{{id}}"),
            *("Remove a security key of a user", security_keys.remove_security_key, None, None),
        ),
        (
            *("users.usage", "GET", f"{_USER}/usage", "Show what a user stores and transfers"),
            *(factors.show_usage, None, "Usage"),
        ),
    ),
    Action(
        name="sessions.add",
        method="POST",
        path="/v1/sessions",
        scope="sessions:write",
        work="sign-in",
        summary="Sign a user in",
        perform=signing_in.sign_in,
        body="SignIn",
        answer="SignedIn",
    ),
    Action(
        name="sessions.confirm",
        method="POST",
        path="/v1/sessions/confirm",
        scope="sessions:write",
        work="sign-in",
        summary="Sign a user in who shows the second factor after the password",
        perform=signing_in.confirm,
        body="SecondFactor",
        answer="SignedIn",
    ),
    Action(
        name="own.prove",
        method="POST",
        path="/v1/own/proof",
        scope="own:write",
        work="sign-in",
        summary="Show the second factor again, before security keys are changed",
        perform=security_keys.prove_own,
        body="Proof",
        answer="Proved",
    ),
    *_rows(
        "own",
        "own",
        ("own.show", "GET", "", "Show the user who has signed in", own.show_own, None, "Own"),
        (
            *("own.logins.add", "POST", "/logins", "Return a password for one login with SSH"),
            *(own.add_login, None, "OneTimeLogin"),
        ),
        ("own.leave", "DELETE", "/session", "Sign out", own.sign_out, None, None),
        (
            *("own.webauthn.list", "GET", _SECURITY_KEYS, "List one's own security keys"),
            *(security_keys.list_own_keys, None, "OwnSecurityKeys"),
        ),
        (
            *(
                "own.webauthn.challenge",
                "POST",
                "/challenge",
                "Make a challenge for a security key",
            ),
            *(security_keys.challenge_own, "AskChallenge", "KeyChallenge"),
        ),
        (
            *("own.webauthn.add", "POST", _SECURITY_KEYS, "Enrol a security key of one's own"),
            *(security_keys.add_own_key, "NewSecurityKey", "SecurityKeys"),
        ),
        (
            *("own.webauthn.remove", "DELETE", f"{_SECURITY_KEYS}/{{id}}"),
            *("Remove a security key of one's own", security_keys.remove_own_key, None, None),
        ),
    ),
    Action(
        name="own.check",
        method="GET",
        path="/v1/own/session",
        scope="own:read",
        work="read",
        polled=True,
        summary="Tell whether the session holds; it stays as idle as it is",
        perform=own.check_session,
        answer="HeldSession",
    ),
    *_rows(
        "groups",
        "groups",
        ("groups.list", "GET", "", "List groups", people.list_groups, None, "Groups"),
        ("groups.add", "POST", "", "Add a group", people.add_group, "NewGroup", "Group"),
        ("groups.show", "GET", _GROUP, "Show a group", people.show_group, None, "Group"),
        (
            *("groups.change", "PATCH", _GROUP, "Change a group"),
            *(people.change_group, "GroupChange", "Group"),
        ),
        ("groups.remove", "DELETE", _GROUP, "Remove a group", people.remove_group, None, None),
        (
            *("groups.users", "GET", f"{_GROUP}/users", "List the users of a group"),
            *(people.list_members, None, "Members"),
        ),
    ),
    *_rows(
        "bans",
        "bans",
        ("bans.list", "GET", "", "List banned networks", running.list_bans, None, "Bans"),
        ("bans.add", "POST", "", "Ban a network, or allow it", running.add_ban, "NewBan", "Ban"),
        ("bans.remove", "DELETE", "/{network}", "Remove a ban", running.remove_ban, None, None),
    ),
    Action(
        name="connections.list",
        method="GET",
        path="/v1/connections",
        scope="connections:read",
        work="read",
        summary="List the connections",
        perform=running.list_connections,
        query={"everyone": {"type": "boolean", "default": False}},
        answer="Connections",
    ),
    Action(
        name="connections.follow",
        method="GET",
        path="/v1/connections/live",
        scope="connections:read",
        work="follow",
        summary="Follow the connections, as server-sent events",
        perform=_by_other_means,
    ),
    Action(
        name="connections.end",
        method="POST",
        path="/v1/connections/end",
        scope="connections:write",
        work="change",
        summary="End connections, by their numbers or by their user",
        perform=running.end_connections,
        body="EndConnections",
        answer="Ended",
    ),
    Action(
        name="connection.end",
        method="DELETE",
        path="/v1/connections/{id}",
        scope="connections:write",
        work="change",
        summary="End a connection",
        perform=running.end_connection,
        query={"reason": {"type": "string", "maxLength": 512}},
    ),
    Action(
        name="connection.watch",
        method="GET",
        path="/v1/connections/{id}/watch",
        scope="watch:read",
        work="follow",
        summary="Watch a session of a connection, as server-sent events",
        perform=_by_other_means,
        query=_CHANNEL,
    ),
    Action(
        name="connection.join",
        method="GET",
        path="/v1/connections/{id}/join",
        scope="watch:write",
        work="socket",
        summary="Watch a session of a connection and type at its terminal, as a WebSocket",
        perform=_by_other_means,
        query=_CHANNEL,
    ),
    Action(
        name="audit.search",
        method="GET",
        path="/v1/audit",
        scope="audit:read",
        work="search",
        summary="Search the audit",
        perform=running.search_audit,
        query={
            "user": _TEXT,
            "event": {"type": "string", "enum": sorted(EVENTS)},
            "outcome": {"type": "string", "enum": list(OUTCOMES)},
            "path": _TEXT,
            "peer": _TEXT,
            "since": _TEXT,
            "until": _TEXT,
            "after": {"type": "integer", "minimum": 0, "maximum": (1 << 53) - 1},
            "limit": _LIMIT,
        },
        answer="Events",
    ),
    Action(
        name="audit.count",
        method="GET",
        path="/v1/audit/counts",
        scope="audit:read",
        work="search",
        summary="Count events of the audit by outcome and span of time",
        polled=True,
        perform=running.count_audit,
        query={
            "user": _TEXT,
            "event": {"type": "string", "enum": sorted(EVENTS)},
            "since": {**_TEXT, "default": "60m"},
            "until": _TEXT,
            "step": {"type": "integer", "minimum": 1, "maximum": 31 * 86400, "default": 60},
        },
        answer="Counts",
    ),
    Action(
        name="recordings.list",
        method="GET",
        path="/v1/recordings",
        scope="recordings:read",
        work="search",
        summary="List recordings, the newest first",
        perform=recorded.list_recordings,
        query={
            "user": {"type": "string", "maxLength": 64},
            "connection": {"type": "string", "maxLength": 64},
            "since": _TEXT,
            "after": {"type": "string", "maxLength": 160, "default": ""},
            "limit": {"type": "integer", "minimum": 1, "maximum": MOST_ROWS, "default": MOST_ROWS},
        },
        answer="Recordings",
    ),
    Action(
        name="recordings.show",
        method="GET",
        path="/v1/recordings/{day}/{file}",
        scope="recordings:read",
        work="follow",
        summary="Return a recording, as asciicast",
        perform=_by_other_means,
        media="application/x-asciicast",
    ),
    Action(
        name="recordings.search",
        method="GET",
        path="/v1/recordings/{day}/{file}/search",
        scope="recordings:read",
        work="search",
        summary="Return the moments at which a recording has a text",
        perform=recorded.search_recording,
        query={"text": {"type": "string", "minLength": 1, "maxLength": 256}},
        answer="Moments",
    ),
    Action(
        name="log.follow",
        method="GET",
        path="/v1/log",
        scope="log:read",
        work="follow",
        summary="Follow the log, as server-sent events",
        perform=_by_other_means,
        query={"user": _WORDS, "event": _WORDS},
    ),
)
"""All actions. A path that is fixed stands before one with a parameter in its place."""

BY_NAME: Mapping[str, Action] = {action.name: action for action in ACTIONS}
