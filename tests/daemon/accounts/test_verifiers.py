"""What verifies passwords and judges accounts: both verifiers answer alike."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from daemon.conftest import SystemAccount
from daemon.processes.pam.test_logins import Client
from nacre.config.server.config import ServerConfig
from nacre.daemon.accounts import verifiers
from nacre.daemon.accounts.verifiers import PAMVerifier, ShadowVerifier
from nacre.daemon.processes.pam.login import PAMLogin
from nacre.daemon.processes.pam.messages import Judged, Prompts
from nacre.server.admission.user_threads import UserThreads
from pam_services import pam_service

pytestmark = pytest.mark.slow

SERVICE = ("auth required pam_unix.so nodelay nullok", "account required pam_unix.so")


@dataclass(frozen=True)
class Candidate:
    user: str
    config: ServerConfig


@pytest.fixture(params=["pam", "shadow"])
async def asked(
    request: pytest.FixtureRequest, system_account: SystemAccount, pam_logins: list[PAMLogin]
) -> AsyncIterator[tuple[Any, Any, Any]]:
    """A verifier, the candidate of an account, and a client."""
    threads, client = UserThreads(), Client()
    make = PAMVerifier if request.param == "pam" else ShadowVerifier
    verifier = make(threads)
    with pam_service(*SERVICE) as name:
        config = ServerConfig(pam_service_name=name)
        yield verifier, Candidate(system_account.name, config), client
        if client.tasks:
            await client.end()
    threads.close()


async def test_a_password(asked: Any, system_account: SystemAccount) -> None:
    verifier, candidate, client = asked
    assert await verifier.check(candidate, client, system_account.password) == Judged()
    assert (await verifier.check(candidate, client, "wrong")).reason
    assert await verifier.check(candidate, client, None) == Judged()
    styled = replace(candidate, user=f"{candidate.user}:style")
    assert await verifier.check(styled, client, system_account.password) == Judged()


@pytest.mark.parametrize("user", ["no-such-account", "a\0b", "\udcff"])
async def test_an_unknown_user(asked: Any, user: str) -> None:
    verifier, candidate, client = asked
    unknown = replace(candidate, user=user)
    assert (await verifier.check(unknown, client, "x")).reason
    assert (await verifier.check(unknown, client, None)).reason


async def test_a_dialogue(asked: Any, system_account: SystemAccount) -> None:
    verifier, candidate, client = asked

    async def converse(*responses: str) -> Prompts | Judged:
        begun = await verifier.converse(candidate, client, None, pretended=False)
        assert begun == Prompts((), (("Password: ", False),))
        found: Prompts | Judged = await verifier.converse(
            candidate, client, responses, pretended=False
        )
        return found

    assert await converse(system_account.password) == Judged()
    for responses in (["wrong"], [], ["a", "b"]):
        answer = await converse(*responses)
        assert isinstance(answer, Judged)
        assert answer.reason


async def test_what_starts_sessions(asked: Any) -> None:
    verifier, candidate, client = asked
    assert verifier.login(client) is None
    await verifier.check(candidate, client, None)
    login = verifier.login(client)
    assert (login is None) is isinstance(verifier, ShadowVerifier)


async def test_nologin_is_for_all_but_root_where_no_module_says_so(
    asked: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    verifier, candidate, client = asked
    monkeypatch.setattr(verifiers, "_NOLOGIN", tmp_path)
    outcome = await verifier.check(candidate, client, None)
    assert bool(outcome.reason) is isinstance(verifier, ShadowVerifier)
    assert (await verifier.check(replace(candidate, user="root"), client, None)).reason == ""
