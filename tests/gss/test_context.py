"""Security contexts over a stand-in for the library; a real one: interop/test_gssapi.py."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from gss.fake_library import GSSError, RequirementFlag
from nacre.errors import ConfigurationError, NacreError
from nacre.gss import context
from nacre.gss.context import Context
from nacre.protocol.asks import Denied, SecurityStep


def test_without_the_library_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gssapi", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'nacre\[gssapi\]'"):
        context.library()


def test_a_step_completes_the_context_and_its_mics_verify(library: Any) -> None:
    made = Context(library.SecurityContext())
    assert not made.complete
    step = made.step(b"token")
    assert isinstance(step, SecurityStep)
    assert (step.context, step.token, made.complete) == (made, b"to token", True)
    assert made.verifies(b"data", made.mic(b"data"))
    assert not made.verifies(b"data", b"garbage")


def test_an_expired_context_makes_no_mic(library: Any) -> None:
    made = library.SecurityContext()

    def expired(data: bytes) -> bytes:
        raise GSSError(1, 7, "expired")

    made.get_signature = expired
    with pytest.raises(NacreError, match="no MIC of the security context: expired"):
        Context(made).mic(b"data")


def test_an_initiator_begins_without_a_token(library: Any) -> None:
    step = Context(library.SecurityContext()).step(b"")
    assert isinstance(step, SecurityStep)
    assert step.token == b""


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (GSSError(1, 0, "Invalid token was supplied"), "Invalid token was supplied"),
        (GSSError(1, 7, "Ticket\nexpired", "and\x1b more"), "Ticket\\x0aexpired; and\\x1b more"),
        (GSSError(1), "error 1 of GSSAPI"),
    ],
)
def test_an_error_of_the_library_is_one_safe_line(
    library: Any, error: GSSError, reason: str
) -> None:
    library.SecurityContext.error = error
    assert Context(library.SecurityContext()).step(b"garbage") == Denied(reason)


@pytest.mark.parametrize("flags", [0, 1, 2])
def test_mutual_authentication_and_integrity_are_required(library: Any, flags: int) -> None:
    made = library.SecurityContext()
    made.actual_flags = RequirementFlag(flags)
    one = Context(made)
    assert isinstance(one.step(b"token"), Denied)
    assert not one.complete


def test_another_mechanism_is_refused(library: Any) -> None:
    made = library.SecurityContext()
    made.mech = "spnego"
    assert Context(made).step(b"token") == Denied("the security context is not one of Kerberos 5")
