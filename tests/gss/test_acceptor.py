"""With which keys servers accept contexts, and what these tell of the client."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from gss.fake_library import Credentials, GSSError
from nacre.gss import acceptor
from nacre.gss.acceptor import AcceptingContext
from nacre.protocol.asks import AskSecurityStep, Denied, SecurityStep


@pytest.mark.parametrize("strict", [True, False])
async def test_a_strict_server_takes_tickets_for_its_own_name(
    library: Any, monkeypatch: pytest.MonkeyPatch, strict: bool
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "here.example.org")
    ask = AskSecurityStep(context=None, token=b"token")
    step = await acceptor.step(ask, strict=strict)
    assert isinstance(step, SecurityStep)
    assert (step.token, step.context.complete) == (b"to token", True)
    expected = ("host@here.example.org", "service") if strict else None
    assert library.Credentials.made == [
        {"name": expected, "usage": "accept", "mechs": ["kerberos"]}
    ]
    again = AskSecurityStep(context=step.context, token=b"more")
    assert await acceptor.step(again, strict=strict) == SecurityStep(step.context, b"to more")


async def test_no_key_and_no_library_are_reasons(
    library: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = AskSecurityStep(context=None, token=b"token")
    assert acceptor.refusal(strict=True) is None
    library.Credentials.error = GSSError(1, 7, "no key")
    assert acceptor.refusal(strict=True) == "no key"
    assert await acceptor.step(ask, strict=True) == Denied("no key")
    monkeypatch.setitem(sys.modules, "gssapi", None)
    assert "nacre[gssapi]" in (acceptor.refusal(strict=True) or "")
    assert isinstance(await acceptor.step(ask, strict=True), Denied)


def test_the_name_is_safe_and_the_tickets_are_a_file(library: Any) -> None:
    made = library.SecurityContext()
    context = AcceptingContext(made)
    assert context.principal == "alice@EXAMPLE.ORG\\x1b"
    assert context.tickets() is None
    made.delegated_creds = Credentials()
    assert context.tickets() == b"tickets"


@pytest.mark.parametrize("name", ["root", "", "a\0b", "\udcff", "alice@EXAMPLE.ORG"])
def test_a_principal_of_another_realm_is_no_account(library: Any, name: str) -> None:
    assert not AcceptingContext(library.SecurityContext()).is_account(name)


def test_without_kerberos_on_the_system_nobody_is_one(
    library: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acceptor, "_KERBEROS_LIBRARY", "libnone.so.0")
    assert not AcceptingContext(library.SecurityContext()).is_account("alice")
