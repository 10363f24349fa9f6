"""Every user policy with SSH-1 and SSH-2 clients: who gets in with what."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import nacre
from nacre.crypto.password import hash_password
from nacre.daemon.accounts.virtual.policy import StorePolicy
from nacre.daemon.store.store import FILE, UserStore
from nacre.daemon.store.values import AUTH_POLICIES, StoredKey, StoredUser
from nacre.keys import PrivateKey, generate

SECRET = "secret"
HASH = hash_password(SECRET.encode(), os.urandom)
RUN_AS = "root" if os.geteuid() == 0 else None


@cache
def key(type: str, whose: str) -> PrivateKey:
    return generate(type, bits=1024 if type == "rsa1" else None)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[UserStore]:
    store = UserStore(tmp_path / FILE)
    for auth in AUTH_POLICIES:
        keys = [
            StoredKey(key("rsa1", "user").public, ""),
            StoredKey(key("ssh-ed25519", "user").public, ""),
        ]
        store.add(StoredUser(name=auth, password=HASH, auth=auth), keys)
    yield store
    store.close()


async def _handle(session: nacre.Session) -> int:
    return 0


@asynccontextmanager
async def serving(store: UserStore, *, strict: bool) -> AsyncIterator[nacre.Server]:
    policy = StorePolicy(store, RUN_AS, ssh1_strict=strict)
    host_keys = [key("ssh-ed25519", "host"), key("rsa1", "host")]
    async with nacre.listen(
        host_keys=host_keys, policy=policy, handler=_handle, protocols=(2, 1)
    ) as server:
        yield server
    policy.close()


EITHER = {"password", "key", "both"}
IN: dict[tuple[str, int], set[str]] = {
    ("any", 1): EITHER,
    ("any", 2): EITHER,
    ("password", 1): {"password", "both"},
    ("password", 2): {"password", "both"},
    ("publickey", 1): {"key", "both"},
    ("publickey", 2): {"key", "both"},
    ("password-publickey", 1): EITHER,
    ("password-publickey", 2): {"both"},
}
"""What gets a user of a policy in, by the version that the client speaks."""


def login(server: nacre.Server, user: str, version: int, shown: str, wrong: bool = False) -> Any:
    type = "rsa1" if version == 1 else "ssh-ed25519"
    secret = "wrong" if wrong else SECRET
    return nacre.connect(
        "127.0.0.1",
        server.port,
        user=user,
        password=secret if shown in ("password", "both") else None,
        keys=[key(type, "other" if wrong else "user")] if shown in ("key", "both") else [],
        agent=False,
        trust=nacre.AnyHostKey(),
        protocols=(version,),
    )


@pytest.mark.slow
@pytest.mark.parametrize("strict", [False, True], ids=["", "strict"])
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("auth", AUTH_POLICIES)
async def test_table(store: UserStore, auth: str, version: int, strict: bool) -> None:
    allowed = IN[auth, version]
    if strict and (auth, version) == ("password-publickey", 1):
        allowed = set()
    async with serving(store, strict=strict) as server:
        found = set()
        for shown in ("password", "key", "both"):
            try:
                async with login(server, auth, version, shown) as ssh:
                    assert ssh.protocol == ("1.5" if version == 1 else "2.0")
                    found.add(shown)
            except nacre.AuthenticationFailed:
                pass
            with pytest.raises(nacre.AuthenticationFailed):
                await login(server, auth, version, shown, wrong=True)
    assert found == allowed


@pytest.mark.slow
async def test_unknown_and_disabled_users(store: UserStore) -> None:
    store.change("any", disabled=True)
    async with serving(store, strict=False) as server:
        for user in ("any", "nobody"):
            for shown in ("password", "key"):
                with pytest.raises(nacre.AuthenticationFailed):
                    await login(server, user, 1, shown)


@pytest.mark.slow
async def test_a_second_factor_and_a_password_to_change_need_ssh_2(store: UserStore) -> None:
    store.factors.enrol("any", b"12345678901234567890")
    async with serving(store, strict=False) as server:
        for said in ({"second_factor": "required"}, {"second_factor": "optional"}):
            store.change("any", **said)
            for shown in ("password", "key"):
                with pytest.raises(nacre.AuthenticationFailed):
                    await login(server, "any", 1, shown)
        store.change("any", second_factor="none", must_change=True)
        with pytest.raises(nacre.AuthenticationFailed):
            await login(server, "any", 1, "password")
        async with login(server, "any", 1, "key") as ssh:
            assert ssh.protocol == "1.5"
