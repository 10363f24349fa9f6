"""One authentication attempt, and the class that runs its method, in either role.

A method is a generator, so that its exchange reads from top to bottom. It yields a question and is
resumed with the answer, or yields an :class:`Exchange` and is resumed with the peer's message. It
returns the result of the attempt.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator
from typing import Any, Generic, TypeAlias, TypeVar

from nacre.errors import DisconnectCode, PacketTooLarge
from nacre.protocol.asks import Answer, Ask, Asks, Denied, Granted, KeyTerms, SessionProof
from nacre.protocol.options import EngineOptions
from nacre.ssh2.auth.messages import HOST_BOUND, UserauthRequest
from nacre.ssh2.auth.stages import AuthStage
from nacre.ssh2.transport.outbox import Outbox
from nacre.value import value
from nacre.wire.codec import Buffer, string
from nacre.wire.message import Message, Record
from nacre.wire.text import safe

SERVICE = "ssh-connection"
"""The only service that users log in to (RFC 4254 section 1)."""

Result = TypeVar("Result")


@value
class SignedRequest:
    """A request of ``publickey`` that is encoded already, and the signature over it.

    :ivar request: what the signature covers, behind the session id.
    :ivar signature: in wire form.
    """

    request: bytes
    signature: bytes

    def encode(self) -> bytes:
        """Return the payload."""
        return self.request + string(self.signature)


@value
class Exchange:
    """Send ``message``; ``stage`` is the stage in which its answer arrives."""

    message: Message | SignedRequest
    stage: AuthStage


Steps: TypeAlias = Generator[Ask | Exchange, Any, Result]


@value(frozen=False)
class Attempt:
    """One attempt with one method.

    :ivar host_bound: whether its requests name the server's host key.
    :ivar verify: whether a server verifies the signature of a user's key itself.
    :ivar detail: the ``detail`` of its ``AuthResult``; safe to print.
    :ivar reason: why it fails, which is the end of ``detail``; or empty.
    """

    user: str
    method: str
    session: SessionProof
    options: EngineOptions
    host_bound: bool = False
    verify: bool = True
    detail: str = ""
    reason: str = ""

    def request(self, fields: Record | bytes = b"") -> UserauthRequest:
        """Return the request for this attempt, with the method's fields."""
        encoded = fields if isinstance(fields, bytes) else fields.encode()
        method = HOST_BOUND if self.host_bound else self.method
        return UserauthRequest(self.user, SERVICE, method, encoded)

    def verdict(self, answer: Answer) -> bool:
        """Return whether the policy granted it; add the reason of a denial to the detail."""
        if isinstance(answer, Denied) and answer.reason:
            self.explain(safe(answer.reason))
        return isinstance(answer, (Granted, KeyTerms))

    def explain(self, reason: str) -> None:
        """Add the reason why the attempt fails to the detail."""
        self.detail = f"{self.detail} ({reason})".lstrip()
        self.reason = f"{self.reason}; {reason}" if self.reason else reason


class MethodRunner(ABC, Generic[Result]):
    """Runs the current method: asks its questions, sends its messages, takes its result.

    :ivar stage: the present stage; see :data:`~nacre.ssh2.auth.stages.LEGAL`.
    """

    def __init__(self, outbox: Outbox, asks: Asks, stage: AuthStage) -> None:
        self.stage = stage
        self._outbox = outbox
        self._asks = asks
        self._steps: Steps[Result] | None = None

    def _run(self, steps: Steps[Result]) -> None:
        self._steps = steps
        self._resume(None)

    def _resume(self, received: object) -> None:
        """Pass what the method waits for: None at first, then an answer or a payload."""
        assert self._steps is not None, "the table of legal messages lets nothing through here"
        try:
            step = self._steps.send(received)
        except StopIteration as end:
            result: Result = end.value
        else:
            self._take(step)
            return
        self._steps = None
        self._ended(result)

    def _take(self, step: Ask | Exchange) -> None:
        if isinstance(step, Exchange):
            self._outbox.send(step.message.encode(), UserauthRequest)
            self.stage = step.stage
        else:
            self._asks.ask(step, self._resume)

    def _abandon(self) -> None:
        if self._steps is not None:
            self._steps.close()
            self._steps = None

    @abstractmethod
    def _ended(self, result: Result) -> None:
        """Act on the result that the method returned."""

    @abstractmethod
    def receive(self, payload: Buffer) -> None:
        """Take a message whose number is legal in ``stage``.

        :raises RemoteProtocolError: it is malformed, above a bound, or one attempt too many.
        """


def check_length(
    what: str, text: str, limit: int, code: DisconnectCode = DisconnectCode.PROTOCOL_ERROR
) -> None:
    """Check the size of a text of the peer. The error names ``what``, and does not repeat the text.

    :raises PacketTooLarge: it has more than ``limit`` bytes.
    """
    if len(text.encode("utf-8", "surrogateescape")) > limit:
        raise PacketTooLarge(f"{what} has more than {limit} bytes", code)
