"""The session that gets a certificate."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from nacre.config.server.rules import ServerRules
from nacre.daemon.accounts.accounts import DEFAULT_CONFIG, own_account, system_login
from nacre.daemon.accounts.certifying import LONGEST_KEY, gets_certificate, serve_certificate
from nacre.daemon.accounts.policy import CERTIFY, AccountPolicy
from nacre.errors import AccountError
from nacre.keys import Certificate, PublicKey, generate
from nacre.keys.key_options import parse_options

KEY = generate("ssh-ed25519")
MADE = Certificate.issue(KEY.public, KEY)


class Output:
    def __init__(self) -> None:
        self.data = b""

    async def write(self, data: bytes) -> None:
        self.data += data


class FakeSession:
    """A session whose standard input is one line."""

    def __init__(self, line: bytes = b"", command: bytes | None = CERTIFY) -> None:
        self.line, self.command, self.subsystem = line, command, None
        self.user, self.connection, self.terminal = "alice", SimpleNamespace(), None
        self.stdin, self.stdout, self.stderr = self, Output(), Output()

    async def readline(self, limit: int) -> bytes:
        if len(self.line) > limit:
            raise ValueError(f"no line ends within {limit} bytes")
        return self.line


class FakePolicy:
    def __init__(self, error: Exception | None = None) -> None:
        self.asked: list[PublicKey | None] = []
        self.error = error

    async def certify(self, user: str, connection: object, key: PublicKey | None) -> Certificate:
        self.asked.append(key)
        if self.error is not None:
            raise self.error
        return MADE


async def serve(session: FakeSession, policy: Any) -> int:
    return await serve_certificate(cast(Any, session), policy)


@pytest.mark.parametrize(
    ("line", "key", "printed"),
    [
        (b"", None, f"{MADE}\n"),
        (b"\n", None, f"{MADE}\n"),
        (f"{KEY.public} my key\n".encode(), KEY.public, f"{MADE} my key\n"),
    ],
    ids=["nothing", "an empty line", "a key"],
)
async def test_a_certificate_is_printed(line: bytes, key: PublicKey | None, printed: str) -> None:
    session, policy = FakeSession(line), FakePolicy()
    assert await serve(session, policy) == 0
    assert policy.asked == [key]
    assert (session.stdout.data.decode(), session.stderr.data) == (printed, b"")


@pytest.mark.parametrize(
    ("line", "error", "reason"),
    [
        (b"rubbish\n", None, b"standard input has no public key"),
        (bytes(LONGEST_KEY + 1), None, b"no line ends within"),
        (b"", AccountError("none for you"), b"none for you"),
        (b"", TimeoutError("slow"), b"slow"),
    ],
    ids=["no key", "too long", "refused", "slow"],
)
async def test_why_there_is_none_is_said(
    line: bytes, error: Exception | None, reason: bytes
) -> None:
    session = FakeSession(line)
    assert await serve(session, FakePolicy(error)) == 1
    assert session.stdout.data == b""
    assert session.stderr.data.startswith(b"nacre: no certificate: ")
    assert reason in session.stderr.data


async def test_accounts_of_the_system_get_none() -> None:
    policy, session = AccountPolicy(ServerRules(DEFAULT_CONFIG)), FakeSession()
    assert await serve(session, policy) == 1
    policy.close()
    assert b"the users of the store alone" in session.stderr.data


def test_only_this_command_gets_one_and_no_forced_one() -> None:
    login = system_login(own_account())
    forced = system_login(own_account(), parse_options('command="date"'))
    for session, user, expected in (
        (FakeSession(), login, True),
        (FakeSession(), forced, False),
        (FakeSession(command=None), login, False),
        (FakeSession(command=CERTIFY + b" x"), login, False),
    ):
        assert gets_certificate(user, cast(Any, session)) is expected
