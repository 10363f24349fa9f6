"""What the session process knows of a login: the state of the connection, and the account."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Coroutine
from dataclasses import replace as changed
from io import FileIO
from typing import Any

import pytest

from nacre.config.server.config import ServerConfig
from nacre.config.values import LogLevel
from nacre.daemon.accounts import accounts
from nacre.daemon.accounts.accounts import Login, own_account, system_login
from nacre.daemon.separate.link import pair
from nacre.daemon.separate.messages import DescriptorGiven, OpenTrail, packed
from nacre.daemon.separate.session import (
    HandedOver,
    SessionProcess,
    UserTerms,
    _SessionPolicy,
    _terms,
    _thawed,
)
from nacre.errors import AccountError, MalformedMessage
from nacre.keys import Certificate, PublicKey
from nacre.keys.key_options import NO_OPTIONS
from nacre.protocol.frozen import FrozenServer
from nacre.server.admission.proxy_header import ClientOrigin
from nacre.server.admission.user_threads import UserThreads
from nacre.value import replace
from ssh2.moved import Moving

TERMS = UserTerms(
    config=ServerConfig(),
    changed=False,
    settings={},
    host_keys=(),
    log_level=LogLevel.INFO,
    end_processes=False,
    rest=60.0,
)


@pytest.fixture(scope="module")
def frozen() -> FrozenServer:
    moving = Moving()
    moving.run()
    return moving.freeze()


def handed(frozen: FrozenServer, **changes: Any) -> HandedOver:
    seen: dict[str, Any] = {
        "state": frozen.encode(),
        "session": frozen.session_id,
        "user": frozen.user,
        "methods": frozen.methods,
    }
    return HandedOver(
        rested=2.0,
        gate=1,
        number=1,
        host="192.0.2.1",
        origin=ClientOrigin(("192.0.2.1", 40000), ("198.51.100.1", 22)),
        options=NO_OPTIONS,
        terms=packed(TERMS),
        login=packed(None),
        **{**seen, **changes},
    )


def test_the_state_of_the_login(frozen: FrozenServer) -> None:
    assert _thawed(handed(frozen)) == replace(frozen, age=frozen.age + 2)


@pytest.mark.parametrize(
    "changes",
    [{"session": b"other"}, {"user": "root"}, {"methods": ("publickey", "password")}],
    ids=lambda one: next(iter(one)),
)
def test_the_state_of_another_login(frozen: FrozenServer, changes: dict[str, Any]) -> None:
    with pytest.raises(MalformedMessage, match="another login"):
        _thawed(handed(frozen, **changes))


@pytest.mark.parametrize("state", [b"", b"\0\0\0\1", bytes(500)])
def test_what_is_no_state(frozen: FrozenServer, state: bytes) -> None:
    with pytest.raises(MalformedMessage):
        _thawed(handed(frozen, state=state))


async def test_the_requests_of_a_session_need_one_question(
    frozen: FrozenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    login, asked = system_login(own_account()), list[str]()
    client: Any = None
    removed = False

    async def look_up(user: str) -> Login:
        asked.append(user)
        if removed:
            raise AccountError("there is no such account")
        return login

    policy = _SessionPolicy(
        handed(frozen), TERMS, look_up, certify_nothing, open_nothing, UserThreads()
    )
    assert [await policy.login("alice", client) for _ in range(2)] == [login] * 2
    assert asked == ["alice"]
    # The account is gone: who has asked before may go on for a moment, and for no longer.
    removed = True
    assert await policy.login("alice", client) == login
    policy.close()
    monkeypatch.setattr(accounts, "RECENT", 0.0)
    policy = _SessionPolicy(
        handed(frozen), TERMS, look_up, certify_nothing, open_nothing, UserThreads()
    )
    with pytest.raises(AccountError):
        await policy.login("alice", client)
    # It is there again.
    removed = False
    assert await policy.login("alice", client) == login
    removed = True
    with pytest.raises(AccountError):
        await policy.login("alice", client)
    policy.close()


async def open_nothing(group: str | None) -> FileIO:
    raise AssertionError


async def test_the_login_that_came_along_needs_no_question(
    frozen: FrozenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    login, asked = system_login(own_account()), list[str]()
    client: Any = None

    async def look_up(user: str) -> Login:
        asked.append(user)
        return login

    given = changed(login, home="/given")
    handed_over = changed(handed(frozen), login=packed(given))
    policy = _SessionPolicy(
        handed_over, TERMS, look_up, certify_nothing, open_nothing, UserThreads()
    )
    policy.look_ahead()
    assert await policy.login("alice", client) == given
    assert asked == []
    policy.close()
    # It counts for a moment, as one that was asked for.
    monkeypatch.setattr(accounts, "RECENT", 0.0)
    policy = _SessionPolicy(
        handed_over, TERMS, look_up, certify_nothing, open_nothing, UserThreads()
    )
    async with asyncio.timeout(20):
        while await policy.login("alice", client) == given:  # noqa: ASYNC110
            await asyncio.sleep(0)
    assert asked == ["alice"]
    policy.close()


async def certify_nothing(key: PublicKey | None) -> Certificate:
    raise AssertionError(key)


async def test_a_session_that_is_open_has_the_account_looked_up(frozen: FrozenServer) -> None:
    login, asked = system_login(own_account()), list[str]()
    client: Any = None

    async def look_up(user: str) -> Login:
        asked.append(user)
        if len(asked) == 1:
            raise AccountError("there is no such account")
        return login

    policy = _SessionPolicy(
        handed(frozen), TERMS, look_up, certify_nothing, open_nothing, UserThreads()
    )
    for _ in range(3):
        policy.look_ahead()
    await asyncio.sleep(0)
    assert asked == ["alice"]
    with pytest.raises(AccountError):
        await policy.login("alice", client)
    # A failure is not kept.
    policy.look_ahead()
    assert await policy.login("alice", client) == login
    assert asked == ["alice"] * 2
    policy.close()


@pytest.mark.parametrize("question", ["ledger", "socket"])
@pytest.mark.parametrize("first", ["answer", "cancel"])
async def test_a_descriptor_for_which_nobody_waits_any_more_is_closed(
    question: str, first: str
) -> None:
    ours, theirs = pair()
    process = SessionProcess(ours)
    work: Coroutine[Any, Any, object] = process._ledger(b"session", None)
    if question == "socket":
        work.close()
        work = process._socket(OpenTrail, b"session")
    asking = asyncio.ensure_future(work)
    await asyncio.sleep(0)
    reads, writes = os.pipe2(os.O_NONBLOCK)
    answer = DescriptorGiven(1).encode()
    socket.send_fds(theirs, [len(answer).to_bytes(4) + answer], [writes])
    os.close(writes)
    if first == "cancel":
        asking.cancel()
    process._link._on_readable()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert os.read(reads, 1) == b""  # nobody has the other end
    os.close(reads)
    process._link.close()
    theirs.close()


def test_connections_that_are_told_the_same_share_it() -> None:
    first, second = _terms(packed(TERMS)), _terms(packed(TERMS))
    assert first is second
    assert first == TERMS
    assert _terms(packed(changed(TERMS, changed=True))).changed
