"""Calls of users about themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nacre.cli.api.call import CheckedCall, Problem, Resources
from nacre.cli.api.calls.own import add_login, show_own, sign_out
from nacre.daemon.api.plan import ServedSSH
from nacre.daemon.store.values import StoredKey, StoredUser
from nacre.keys import generate


@pytest.fixture
def resources(tmp_path: Path) -> Iterator[Resources]:
    found = Resources(tmp_path)
    yield found
    found.store.close()


def test_a_user_sees_what_is_its_own_and_leaves(resources: Resources) -> None:
    key = generate("ssh-ed25519").public
    resources.store.add(
        StoredUser(name="alice", role="user", quota_bytes=7), [StoredKey(key, "laptop")]
    )
    resources.store.add(StoredUser(name="bob"), [StoredKey(generate("ssh-ed25519").public, "")])
    token = resources.sessions.begin(resources.store.user("alice"), "192.0.2.7")
    call = CheckedCall(session=resources.sessions.find(token))
    shown: Any = show_own(resources, call)
    assert (shown["name"], shown["role"], shown["enrolled"]) == ("alice", "user", False)
    assert [one["fingerprint"] for one in shown["keys"]] == [key.fingerprint()]
    assert shown["usage"]["quota_bytes"] == 7
    assert sign_out(resources, call) is None
    assert resources.sessions.find(token) is None


@pytest.mark.parametrize("action", [show_own, sign_out, add_login])
def test_a_client_without_a_key_is_no_user(resources: Resources, action: Any) -> None:
    with pytest.raises(Problem) as raised:
        action(resources, CheckedCall())
    assert raised.value.status == 403


def test_a_session_gets_a_password_for_one_login(resources: Resources) -> None:
    resources.ssh = ServedSSH(("127.0.0.1:2222",), ("ssh-ed25519 AAAA",))
    resources.store.add(StoredUser(name="alice", role="user", password="x", password_changed=1))
    token = resources.sessions.begin(resources.store.user("alice"), "192.0.2.7")
    call = CheckedCall(session=resources.sessions.find(token))
    made: Any = add_login(resources, call)
    assert resources.store.passwords.redeem("alice", made["password"]) == "192.0.2.7"
    assert (made["name"], made["addresses"]) == ("alice", ["127.0.0.1:2222"])
    assert made["host_keys"] == ["ssh-ed25519 AAAA"]
    for changed, told in (
        ({"auth": "publickey"}, "your logins need a key"),
        ({"auth": "any", "must_change": True}, "has to be changed first"),
    ):
        resources.store.change("alice", **changed)
        with pytest.raises(Problem, match=told):
            add_login(resources, call)
