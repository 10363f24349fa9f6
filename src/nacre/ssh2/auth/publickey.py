"""``publickey``: a query whether a key would be accepted, or a signature (RFC 4252 section 7)."""

from __future__ import annotations

from typing import TypeAlias

from nacre.crypto.signatures.certified import plain
from nacre.errors import KeyFormatError, NacreError, RemoteProtocolError
from nacre.keys import PublicKey, decode_public
from nacre.keys.base import Presence
from nacre.keys.key import too_weak
from nacre.protocol.asks import (
    Answer,
    AskPublicKey,
    AskSignature,
    Denied,
    GiveUp,
    KeyTerms,
    TryPublicKey,
)
from nacre.protocol.options import usable_with
from nacre.ssh2.auth.attempt import Attempt, Exchange, SignedRequest, Steps
from nacre.ssh2.auth.messages import (
    HostBoundQuery,
    HostBoundRequest,
    PublicKeyOk,
    PublicKeyQuery,
    PublicKeyRequest,
)
from nacre.ssh2.auth.stages import AuthStage
from nacre.wire.codec import WireReader, string
from nacre.wire.message import Message
from nacre.wire.text import safe


def _query(
    attempt: Attempt, signed: bool, algorithm: str, blob: bytes
) -> PublicKeyQuery | HostBoundQuery:
    key = attempt.session.host_key
    if attempt.host_bound and key is not None:
        return HostBoundQuery(signed, algorithm, blob, key.blob)
    return PublicKeyQuery(signed, algorithm, blob)


_Fields: TypeAlias = PublicKeyQuery | PublicKeyRequest | HostBoundQuery | HostBoundRequest

_FIELDS: dict[tuple[bool, bool], type[_Fields]] = {
    (False, False): PublicKeyQuery,
    (False, True): PublicKeyRequest,
    (True, False): HostBoundQuery,
    (True, True): HostBoundRequest,
}
"""The fields of a request, by whether it is bound to a host key, and whether it is signed."""


def check(attempt: Attempt, fields: bytes) -> Steps[bool | Message]:
    """Answer a query, or check a signature.

    The policy is asked about a signed request only after its signature has verified, unless it
    verifies the signature itself. That costs the same for every user, known or not.
    """
    signed = WireReader(fields).boolean()
    request = _FIELDS[attempt.host_bound, signed].decode(fields)
    if isinstance(request, HostBoundQuery | HostBoundRequest):
        _check_host_key(attempt, request.host_key)
    key = usable(attempt, request.algorithm, request.blob)
    if key is None:
        return False
    if request.algorithm not in attempt.options.algorithms.signatures:
        attempt.explain(f"{request.algorithm} signatures are not allowed")
        return False
    presence = None
    if attempt.verify and isinstance(request, PublicKeyRequest | HostBoundRequest):
        # The signature covers the session id and the request before it, whose first field is true.
        covered = b"\1" + fields[1 : -4 - len(request.signature)]
        data = string(attempt.session.session_id) + attempt.request(covered).encode()
        if not key.verify(request.signature, data, request.algorithm):
            attempt.explain("the signature does not verify")
            return False
        presence = key.presence(request.signature)
    answer = yield AskPublicKey(
        user=attempt.user,
        key=key,
        algorithm=request.algorithm,
        signed=signed,
        fields=fields if signed else b"",
        host_bound=attempt.host_bound,
    )
    if not attempt.verdict(answer):
        return False
    if not signed:
        return PublicKeyOk(request.algorithm, request.blob)
    return presence is None or _attested(attempt, presence, answer)


def _check_host_key(attempt: Attempt, host_key: bytes) -> None:
    """Check that the client speaks to this server, and to no other one through it.

    :raises RemoteProtocolError: it names another host key.
    """
    key = attempt.session.host_key
    if key is None or host_key != key.blob:
        raise RemoteProtocolError("the client's request is bound to the host key of another server")


def _attested(attempt: Attempt, presence: Presence, answer: Answer) -> bool:
    terms = answer if isinstance(answer, KeyTerms) else KeyTerms()
    if terms.touch_required and not presence.touched:
        attempt.explain("the security key was not touched")
        return False
    if terms.verify_required and not presence.verified:
        attempt.explain("the security key did not verify its user")
        return False
    return True


def usable(attempt: Attempt, algorithm: str, blob: bytes) -> PublicKey | None:
    """Return a key that fits to the algorithm and is long enough; explain why not."""
    try:
        key = decode_public(blob)
    except KeyFormatError as error:
        attempt.detail = safe(algorithm, 64)
        attempt.explain(str(error))
        return None
    attempt.detail = key.label
    if algorithm not in key.signature_algorithms:
        attempt.explain(f"not a key for {safe(algorithm, 64)} signatures")
        return None
    refusal = too_weak(
        key, attempt.options.limits.user_rsa_bits, attempt.options.algorithms.ca_signatures
    )
    if refusal is not None:
        attempt.explain(refusal)
        return None
    return key


def prove(
    attempt: Attempt, chosen: TryPublicKey, server_algorithms: tuple[str, ...] | None
) -> Steps[NacreError | None]:
    """Offer the key, and sign if the server would accept it; or sign at once."""
    key = chosen.key
    attempt.detail = key.label
    algorithm = _choose(chosen, server_algorithms)
    if algorithm is None:
        attempt.explain("no signature algorithm in common with the server")
        return None
    if server_algorithms is None and plain(algorithm) != key.plain.type:
        # The same key may be tried with each of its algorithms: say with which.
        attempt.explain(algorithm)
    if not chosen.signed:
        query = _query(attempt, False, algorithm, key.blob)
        reply = yield Exchange(attempt.request(query), AuthStage.CLIENT_PUBLICKEY_QUERY)
        # Some servers return the key's type in place of the algorithm, so only the key is compared.
        if PublicKeyOk.decode(reply).blob != key.blob:
            raise RemoteProtocolError("the server accepts a public key that was not offered")
    request = attempt.request(_query(attempt, True, algorithm, key.blob)).encode()
    data = string(attempt.session.session_id) + request
    answer = yield AskSignature(key=key, algorithm=algorithm, data=data)
    if isinstance(answer, GiveUp):
        return answer.error
    if isinstance(answer, Denied):
        attempt.explain(answer.reason or "not signed")
        return None
    yield Exchange(SignedRequest(request, answer.blob), AuthStage.CLIENT_WAITING)
    return None


def _choose(chosen: TryPublicKey, server_algorithms: tuple[str, ...] | None) -> str | None:
    key = chosen.key
    for name in usable_with(server_algorithms, key, chosen.algorithms):
        if name in key.signature_algorithms:
            return name
    return None
