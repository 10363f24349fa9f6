"""The table of actions."""

from __future__ import annotations

import pytest

from nacre.cli.api.actions import ACTIONS, BY_NAME


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("users.list", 200),
        ("users.add", 201),
        ("users.change", 200),
        ("users.remove", 204),
        ("users.password.set", 204),
        ("connections.end", 200),
        ("connection.end", 204),
        ("log.follow", 200),
        ("sessions.add", 201),
        ("sessions.confirm", 200),
        ("own.leave", 204),
        ("own.prove", 200),
        ("own.webauthn.challenge", 200),
        ("own.webauthn.add", 201),
        ("own.webauthn.remove", 204),
    ],
)
def test_the_status_of_an_answer(name: str, status: int) -> None:
    assert BY_NAME[name].status == status


def test_what_changes_something_needs_a_scope_that_says_so() -> None:
    for action in ACTIONS:
        changes = action.method != "GET"
        assert (action.work in ("change", "sign-in")) is changes
        # Who joins a session changes nothing by the API itself, and what it likes by the session.
        writes = changes or action.work == "socket"
        assert str(action.scope).endswith(":write") is writes
