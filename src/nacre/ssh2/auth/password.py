"""``password``, with the request to change an expired one (RFC 4252 section 8)."""

from __future__ import annotations

from nacre.errors import NacreError, RemoteProtocolError
from nacre.protocol.asks import (
    AskNewPassword,
    AskPassword,
    Denied,
    PasswordExpired,
    TryPassword,
)
from nacre.ssh2.auth.attempt import Attempt, Exchange, Steps, check_length
from nacre.ssh2.auth.messages import PasswordChange, PasswordChangeRequest, PasswordRequest
from nacre.ssh2.auth.stages import AuthStage
from nacre.ssh2.auth.texts import shown
from nacre.wire.codec import WireReader
from nacre.wire.message import Message


def check(attempt: Attempt, fields: bytes) -> Steps[bool | Message]:
    """Check a password, or change it; an expired one is answered by a request to change it."""
    limit = attempt.options.limits.password
    new = None
    if WireReader(fields).boolean():
        change = PasswordChange.decode(fields)
        password, new = change.old, change.new
        check_length("a new password", new, limit)
    else:
        password = PasswordRequest.decode(fields).password
    check_length("a password", password, limit)
    answer = yield AskPassword(user=attempt.user, password=password, new_password=new)
    if isinstance(answer, PasswordExpired):
        return PasswordChangeRequest(answer.prompt, "")
    return attempt.verdict(answer)


def prove(
    attempt: Attempt, chosen: TryPassword, server_algorithms: tuple[str, ...] | None
) -> Steps[NacreError | None]:
    """Send the password, and a new one each time the server asks for it."""
    limits = attempt.options.limits
    first = attempt.request(PasswordRequest(False, chosen.password))
    reply = yield Exchange(first, AuthStage.CLIENT_PASSWORD)
    for _ in range(limits.auth_rounds):
        wanted = PasswordChangeRequest.decode(reply)
        answer = yield AskNewPassword(prompt=shown(wanted.prompt, limits.banner))
        if isinstance(answer, Denied):
            attempt.explain(answer.reason or "the password has expired and was not changed")
            return None
        change = attempt.request(PasswordChange(True, answer.old, answer.new))
        reply = yield Exchange(change, AuthStage.CLIENT_PASSWORD)
    raise RemoteProtocolError(f"the server asks for more than {limits.auth_rounds} new passwords")
