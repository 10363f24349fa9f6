"""``gssapi-with-mic`` and ``gssapi-keyex``: a security context names the user (RFC 4462)."""

from __future__ import annotations

from typing import cast

from nacre.errors import NacreError, PacketTooLarge, RemoteProtocolError
from nacre.protocol.asks import (
    AskPrincipal,
    AskSecurityStep,
    Denied,
    TryGSSAPIKeyex,
    TryGSSAPIWithMIC,
)
from nacre.protocol.gssapi import KERBEROS, ContextAcceptor, SecurityContext
from nacre.ssh2.auth.attempt import Attempt, Exchange, Steps
from nacre.ssh2.auth.messages import (
    KeyexRequest,
    MechanismChosen,
    MechanismsRequest,
    SecurityError,
    SecurityErrorToken,
    SecurityMIC,
    SecurityToken,
)
from nacre.ssh2.auth.stages import AuthStage
from nacre.wire.codec import Buffer, string
from nacre.wire.message import Message
from nacre.wire.text import safe


def _covered(attempt: Attempt) -> bytes:
    """Return what the client's MIC covers (RFC 4462 sections 3.5 and 4)."""
    return string(attempt.session.session_id) + attempt.request().encode()


def _bounded(attempt: Attempt, token: bytes) -> bytes:
    """Return a token or MIC of the peer's.

    :raises PacketTooLarge: it is above its bound.
    """
    most = attempt.options.limits.security_token
    if len(token) > most:
        raise PacketTooLarge(f"a token of GSSAPI has more than {most} bytes")
    return token


# --- the server ---


def check(attempt: Attempt, fields: bytes) -> Steps[bool | Message]:
    """Accept a security context, have its MIC bind it to this session, and ask the policy."""
    request = MechanismsRequest.decode(fields)
    most = attempt.options.limits.mechanisms
    if request.count > most:
        raise PacketTooLarge(f"the client offers more than {most} mechanisms of GSSAPI")
    if KERBEROS not in request.mechanisms():
        attempt.explain("the client does not offer Kerberos 5")
        return False
    message: Message = MechanismChosen(KERBEROS)
    context: SecurityContext | None = None
    while context is None or not context.complete:
        payload = yield Exchange(message, AuthStage.SERVER_TOKEN)
        if payload[0] == SecurityErrorToken.NUMBER:
            attempt.explain("the client gave up")
            return False
        token = _bounded(attempt, SecurityToken.decode(payload).token)
        answer = yield AskSecurityStep(context=context, token=token)
        if isinstance(answer, Denied):
            attempt.explain(safe(answer.reason))
            return False
        context = answer.context
        message = SecurityToken(answer.token)
    payload = yield Exchange(message, AuthStage.SERVER_MIC)
    if payload[0] == SecurityErrorToken.NUMBER:
        attempt.explain("the client gave up")
        return False
    mic = SecurityMIC.decode(payload).mic
    return (yield from _judge(attempt, cast(ContextAcceptor, context), mic))


def check_keyex(attempt: Attempt, fields: bytes) -> Steps[bool | Message]:
    """Check a MIC of the key exchange's security context, and ask the policy."""
    mic = KeyexRequest.decode(fields).mic
    context = attempt.session.context
    if context is None:
        attempt.explain("the keys were not exchanged by GSSAPI")
        return False
    return (yield from _judge(attempt, cast(ContextAcceptor, context), mic))


def _judge(attempt: Attempt, context: ContextAcceptor, mic: bytes) -> Steps[bool | Message]:
    attempt.detail = context.principal
    if not context.verifies(_covered(attempt), _bounded(attempt, mic)):
        attempt.explain("the MIC does not verify")
        return False
    return attempt.verdict((yield AskPrincipal(user=attempt.user, context=context)))


# --- the client ---


def prove(
    attempt: Attempt, chosen: TryGSSAPIWithMIC, server_algorithms: tuple[str, ...] | None
) -> Steps[NacreError | None]:
    """Establish a security context with the server, and send its MIC over the request."""
    context, token = chosen.context, chosen.token
    request = attempt.request(MechanismsRequest(1, string(KERBEROS)))
    payload = yield Exchange(request, AuthStage.CLIENT_MECHANISM)
    if MechanismChosen.decode(payload).mechanism != KERBEROS:
        raise RemoteProtocolError("the server chooses a mechanism of GSSAPI that was not offered")
    while not context.complete:
        payload = yield Exchange(SecurityToken(token), AuthStage.CLIENT_TOKEN)
        received = _bounded(attempt, SecurityToken.decode(payload).token)
        answer = yield AskSecurityStep(context=context, token=received)
        if isinstance(answer, Denied):
            attempt.explain(safe(answer.reason))
            return None
        token = answer.token
    # The last step of a client has no token in Kerberos 5 (RFC 4121 section 4.1).
    yield Exchange(SecurityMIC(context.mic(_covered(attempt))), AuthStage.CLIENT_WAITING)
    return None


def prove_keyex(
    attempt: Attempt, chosen: TryGSSAPIKeyex, server_algorithms: tuple[str, ...] | None
) -> Steps[NacreError | None]:
    """Send a MIC of the key exchange's security context over the request."""
    context = attempt.session.context
    if context is None:
        attempt.explain("the keys were not exchanged by GSSAPI")
        return None
    request = attempt.request(KeyexRequest(context.mic(_covered(attempt))))
    yield Exchange(request, AuthStage.CLIENT_WAITING)
    return None


def explain_error(attempt: Attempt, payload: Buffer) -> None:
    """Note the server's reason for the failure that follows (RFC 4462 section 3.8)."""
    attempt.explain(safe(SecurityError.decode(payload).text, 200))
