"""The users of the store, as the policy asks for them; test_policy.py has the rest."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from nacre.crypto.password import hash_password
from nacre.daemon.accounts.virtual.users import UNKNOWN_USER, StoredUsers
from nacre.daemon.store.store import FILE, UserStore
from nacre.daemon.store.values import StoredKey, StoredUser
from nacre.keys import generate
from nacre.keys.shown import ShownKey

KEY = generate("ssh-ed25519").public


async def test_the_store_answers_at_once(tmp_path: Path) -> None:
    store = UserStore(tmp_path / FILE)
    users, client = StoredUsers(store), None
    made: Any = users
    hashed = hash_password(b"secret", os.urandom)
    store.add(StoredUser(name="alice", password=hashed, auth="any"), [StoredKey(KEY, "")])
    store.add(StoredUser(name="bob", auth="publickey"))
    assert made.look_up("alice", client) is None
    assert made.converse(None, None, client) is None
    alice, bob = made.find("alice", client), made.find("bob", client)
    assert made.find("ghost", client) is None
    assert made.absence("ghost", client) == UNKNOWN_USER
    assert made.policies() == ["any", "publickey"]
    assert made.key_options(ShownKey(key=KEY, user="alice"), client) == ""
    assert made.key_options(ShownKey(key=KEY, user="bob"), client) is None
    assert list(made.keys("alice", client)) == [KEY]
    right = await made.verify(alice, "alice", "secret", client)
    assert (right.refusal, right.hashed) == (None, hashed)
    for user, password, reason in (
        (alice, "wrong", "wrong password"),
        (None, "secret", "wrong password"),
        (bob, "secret", "the user has no password"),
    ):
        verdict = await made.verify(user, "x", password, client)
        assert (verdict.refusal, verdict.hashed) == (reason, None)
    users.close()
    store.close()
