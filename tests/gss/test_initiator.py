"""Whom clients expect, and whom they are."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from gss.fake_library import GSSError, RequirementFlag
from nacre.gss.initiator import ContextInitiator
from nacre.protocol.asks import AskSecurityStep, Denied, SecurityStep


async def test_a_context_is_with_the_service_of_the_host(library: Any) -> None:
    step = await ContextInitiator(host="example.org").begin()
    assert isinstance(step, SecurityStep)
    options = library.SecurityContext.made[0].options
    assert options["name"] == ("host@example.org", "service")
    assert (options["creds"], options["mech"], options["usage"]) == (None, "kerberos", "initiate")
    assert RequirementFlag.delegate_to_peer not in options["flags"]
    again = await ContextInitiator(host="x").step(
        AskSecurityStep(context=step.context, token=b"answer")
    )
    assert isinstance(again, SecurityStep)
    assert again.context is step.context


async def test_delegation_and_another_principal(
    library: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.getfqdn", lambda host: f"{host}.example.org")
    initiator = ContextInitiator(host="web", delegate=True, principal="bob@X", trust_dns=True)
    await initiator.begin()
    options = library.SecurityContext.made[0].options
    assert options["name"] == ("host@web.example.org", "service")
    assert RequirementFlag.delegate_to_peer in options["flags"]
    assert library.Credentials.made[0]["name"] == ("bob@X", "user")


async def test_key_exchanges_are_offered_to_those_with_a_ticket(library: Any) -> None:
    assert await ContextInitiator(host="x", kex=("gss",)).offered() == ("gss",)
    assert await ContextInitiator(host="x").offered() == ()
    library.SecurityContext.error = GSSError(1, 7, "no ticket")
    assert await ContextInitiator(host="x", kex=("gss",)).offered() == ()


async def test_no_library_and_no_credentials_are_reasons(
    library: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.Credentials.error = GSSError(1, 7, "no such principal")
    assert await ContextInitiator(host="x", principal="y").begin() == Denied("no such principal")
    monkeypatch.setitem(sys.modules, "gssapi", None)
    refused = await ContextInitiator(host="x").begin()
    assert isinstance(refused, Denied)
    assert "nacre[gssapi]" in refused.reason
