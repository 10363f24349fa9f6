"""Key exchanges by GSSAPI, in which a security context signs in place of a host key.

RFC 4462 section 2.1, with the computations of RFC 8732. A side of the exchange is a generator, as
authentication methods are. It yields a question and is resumed with the answer, or yields a message
to send, or None, and is resumed with the peer's next message.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from typing import Any, TypeAlias, TypeVar, cast

from nacre.crypto.kex.method import KexMethod
from nacre.crypto.packets.seal import Random
from nacre.errors import KexFailed, NacreError, PacketTooLarge
from nacre.protocol.asks import Ask, AskArithmetic, AskSecurityStep, Computed, Denied, SecurityStep
from nacre.protocol.gssapi import SecurityContext
from nacre.ssh2.transport.messages import (
    GssComplete,
    GssContinue,
    GssError,
    GssHostKey,
    GssInitiate,
)
from nacre.value import value
from nacre.wire.codec import Buffer
from nacre.wire.message import Message
from nacre.wire.text import safe

Hash: TypeAlias = Callable[[bytes, bytes, bytes, bytes], bytes]
"""Returns the exchange hash; gets K_S, the client's and the server's public values, and K."""


T = TypeVar("T")


@value
class Established:
    """The end of one side's exchange.

    :ivar context: the security context, whose MIC over the exchange hash is verified.
    :ivar message: what remains to be sent before NEWKEYS, or None.
    """

    context: SecurityContext
    message: Message | None = None


GssSteps: TypeAlias = Generator[Ask | Message | None, Any, Established]


@value
class GssExchange:
    """What both sides of one exchange need.

    :ivar most: the most bytes of a token or MIC of the peer.
    """

    method: KexMethod
    random: Random
    hash: Hash
    most: int

    def client(self) -> GssSteps:
        """Run the client's side.

        :raises KexFailed: the server's error, or its MIC does not verify.
        :raises NacreError: the context can't be established.
        """
        step = yield from self._step(None, b"")
        context = step.context
        own = yield from self._compute(partial(self.method.initiate, self.random))
        received = yield GssInitiate(step.token, own.public)
        host_key = b""
        if received[0] == GssHostKey.NUMBER:
            host_key = GssHostKey.decode(received).host_key
            received = yield None
        while received[0] != GssComplete.NUMBER:
            token = _continued(received)
            step = yield from self._step(context, token)
            received = yield GssContinue(step.token)
        complete = GssComplete.decode(received)
        if token := complete.token():
            step = yield from self._step(context, token)
        if not context.complete or step.token:
            raise KexFailed("the server ends the establishment of the security context too early")
        secret = yield from self._compute(partial(own.finish, complete.public))
        digest = self.hash(host_key, own.public, complete.public, secret)
        if not context.verifies(digest, self._bounded(complete.mic)):
            raise KexFailed("the MIC of the server's security context does not verify")
        return Established(context)

    def server(self) -> GssSteps:
        """Run the server's side. It shows no host key, as OpenSSH with GSSAPI does not.

        :raises NacreError: the context can't be established.
        """
        request = GssInitiate.decode((yield None))
        step = yield from self._step(None, request.token)
        while not step.context.complete:
            received = yield GssContinue(step.token)
            step = yield from self._step(step.context, GssContinue.decode(received).token)
        respond = partial(self.method.respond, request.public, self.random)
        public, secret = yield from self._compute(respond)
        mic = step.context.mic(self.hash(b"", request.public, public, secret))
        return Established(step.context, GssComplete.of(public, mic, step.token))

    def _step(
        self, context: SecurityContext | None, token: bytes
    ) -> Generator[AskSecurityStep, Any, SecurityStep]:
        answer = yield AskSecurityStep(context=context, token=self._bounded(token))
        if isinstance(answer, Denied):
            # Not a ProtocolError, whose text the peer is told: the reason may name files.
            raise NacreError(
                f"no security context: {safe(answer.reason)}; GSSAPIKeyExchange=no goes on without"
            )
        assert isinstance(answer, SecurityStep)
        return answer

    def _compute(self, work: Callable[[], T]) -> Generator[AskArithmetic, Any, T]:
        """Return what ``work`` returns; what is slow is the owner's to compute."""
        if not self.method.slow:
            return work()
        answer = yield AskArithmetic(work=work)
        assert isinstance(answer, Computed)
        if answer.error is not None:
            raise answer.error
        return cast(T, answer.result)

    def _bounded(self, token: bytes) -> bytes:
        if len(token) > self.most:
            raise PacketTooLarge(f"a token of GSSAPI has more than {self.most} bytes")
        return token


def _continued(received: Buffer) -> bytes:
    """Return the token of KEXGSS_CONTINUE.

    :raises KexFailed: the server reports an error, or sends its host key too late.
    """
    if received[0] == GssError.NUMBER:
        text = safe(GssError.decode(received).text, 200)
        raise KexFailed(f"the server has no security context: {text}")
    if received[0] == GssHostKey.NUMBER:
        raise KexFailed("the server's host key comes too late, or twice")
    return GssContinue.decode(received).token
