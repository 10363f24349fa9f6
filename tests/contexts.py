"""A double of a security context of GSSAPI: tokens that say whose they are, and a MIC by HMAC."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from nacre.protocol.asks import Answer, Ask, AskSecurityStep, Denied, SecurityStep

GSS = "gss-curve25519-sha256-toWM5Slw5Ew8Mqkay+al2g=="


@dataclass
class FakeContext:
    """One end; each side sends ``rounds`` tokens, and an acceptor is complete with its last one."""

    rounds: int = 1
    initiates: bool = True
    principal: str = "alice@EXAMPLE.ORG"
    accounts: tuple[str, ...] = ("alice",)
    delegated: bytes | None = None
    key: bytes = b"shared"
    purpose: str = ""
    sent: int = 0
    complete: bool = field(default=False, init=False)

    def mic(self, data: bytes) -> bytes:
        assert self.complete
        return hmac.digest(self.key, data, "sha256")

    def verifies(self, data: bytes, mic: bytes) -> bool:
        assert self.complete
        return hmac.compare_digest(self.mic(data), mic)

    def is_account(self, name: str) -> bool:
        return name in self.accounts

    def tickets(self) -> bytes | None:
        return self.delegated

    def step(self, token: bytes) -> SecurityStep | Denied:
        expected = b"" if self.initiates and not self.sent else self._token(not self.initiates)
        if token != expected:
            return Denied("a bad token")
        if self.initiates:
            self.complete = self.sent == self.rounds
            if self.complete:
                return SecurityStep(self, b"")
        self.sent += 1
        self.complete = not self.initiates and self.sent == self.rounds
        return SecurityStep(self, self._token(self.initiates))

    def _token(self, initiator: bool) -> bytes:
        number = self.sent if initiator is self.initiates else self.sent + (not self.initiates)
        return f"{self.purpose}{'initiator' if initiator else 'acceptor'} {number}".encode()


def stepping(ask: Ask, initiates: bool, rounds: int = 1) -> Answer | None:
    """Answer the questions for steps of contexts; None for others."""
    if not isinstance(ask, AskSecurityStep):
        return None
    purpose = ask.token.decode(errors="replace").partition("initiator")[0]
    context = ask.context or FakeContext(rounds, initiates, purpose=purpose)
    assert isinstance(context, FakeContext)
    return context.step(ask.token)
