"""``hostbased``: the host that the client runs on vouches for its user (RFC 4252 section 9)."""

from __future__ import annotations

from nacre.errors import NacreError
from nacre.protocol.asks import (
    AskHostBased,
    AskSignature,
    ClientHost,
    Denied,
    GiveUp,
    TryHostBased,
)
from nacre.ssh2.auth.attempt import Attempt, Exchange, SignedRequest, Steps, check_length
from nacre.ssh2.auth.messages import HostBasedRequest
from nacre.ssh2.auth.publickey import usable
from nacre.ssh2.auth.stages import AuthStage
from nacre.wire.codec import string, text
from nacre.wire.message import Message
from nacre.wire.text import safe

_MOST_HOST = 1024
"""Bytes of a host's name (NI_MAXHOST)."""


def check(attempt: Attempt, fields: bytes) -> Steps[bool | Message]:
    """Check the signature, then ask the policy, which judges key, algorithm and names."""
    request = HostBasedRequest.decode(fields)
    check_length("the name of the client's host", request.host, _MOST_HOST)
    limit = attempt.options.limits.user_name
    check_length("the name of the client's user", request.host_user, limit)
    key = usable(attempt, request.algorithm, request.blob)
    attempt.detail = f"{attempt.detail} of {safe(request.host_user)}@{safe(request.host)}"
    if key is None:
        return False
    covered = fields[: -4 - len(request.signature)]
    data = string(attempt.session.session_id) + attempt.request(covered).encode()
    if not key.verify(request.signature, data, request.algorithm):
        attempt.explain("the signature does not verify")
        return False
    name = request.host.removesuffix(".")
    host = ClientHost(name, request.host_user, key, request.algorithm)
    ask = AskHostBased(user=attempt.user, host=host, fields=fields)
    return attempt.verdict((yield ask))


def prove(
    attempt: Attempt, chosen: TryHostBased, server_algorithms: tuple[str, ...] | None
) -> Steps[NacreError | None]:
    """Have the request signed with the host's key, and send it."""
    host = chosen.host
    attempt.detail = f"{host.key.label} of {safe(host.user)}@{safe(host.name)}"
    fields = text(host.algorithm) + string(host.key.blob) + text(host.name) + text(host.user)
    request = attempt.request(fields).encode()
    data = string(attempt.session.session_id) + request
    answer = yield AskSignature(key=host.key, algorithm=host.algorithm, data=data)
    if isinstance(answer, GiveUp):
        return answer.error
    if isinstance(answer, Denied):
        attempt.explain(answer.reason or "not signed")
        return None
    yield Exchange(SignedRequest(request, answer.blob), AuthStage.CLIENT_WAITING)
    return None
