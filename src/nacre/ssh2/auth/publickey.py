"""``publickey``: a query whether a key would be accepted, or a signature (RFC 4252 section 7)."""

from __future__ import annotations

from nacre.errors import KeyFormatError, NacreError, RemoteProtocolError
from nacre.keys import PublicKey, decode_public
from nacre.protocol.asks import AskPublicKey, AskSignature, Denied, GiveUp, TryPublicKey
from nacre.protocol.options import usable_with
from nacre.ssh2.auth.attempt import Attempt, Exchange, Steps
from nacre.ssh2.auth.messages import PublicKeyOk, PublicKeyQuery, PublicKeyRequest
from nacre.ssh2.auth.stages import AuthStage
from nacre.wire.codec import WireReader, string
from nacre.wire.message import Message
from nacre.wire.text import safe


def signed_data(attempt: Attempt, algorithm: str, blob: bytes) -> bytes:
    """Return the data that a signature covers: the session id, and the request before it."""
    request = attempt.request(PublicKeyQuery(True, algorithm, blob))
    return string(attempt.session_id) + request.encode()


def check(attempt: Attempt, fields: bytes) -> Steps[bool | Message]:
    """Answer a query, or check a signature.

    The policy is asked about a signed request only after its signature has verified. That costs
    the same for every user, known or not.
    """
    signed = WireReader(fields).boolean()
    request = (PublicKeyRequest if signed else PublicKeyQuery).decode(fields)
    key = _acceptable(attempt, request.algorithm, request.blob)
    if key is None:
        return False
    if isinstance(request, PublicKeyRequest):
        data = signed_data(attempt, request.algorithm, request.blob)
        if not key.verify(request.signature, data, request.algorithm):
            attempt.explain("the signature does not verify")
            return False
    answer = yield AskPublicKey(
        user=attempt.user, key=key, algorithm=request.algorithm, signed=signed
    )
    if not attempt.verdict(answer):
        return False
    return True if signed else PublicKeyOk(request.algorithm, request.blob)


def _acceptable(attempt: Attempt, algorithm: str, blob: bytes) -> PublicKey | None:
    try:
        key = decode_public(blob)
    except KeyFormatError as error:
        attempt.detail = safe(algorithm, 64)
        attempt.explain(str(error))
        return None
    attempt.describe(key)
    if algorithm not in key.signature_algorithms:
        attempt.explain(f"not a key for {safe(algorithm, 64)} signatures")
        return None
    if algorithm not in attempt.options.algorithms.signatures:
        attempt.explain(f"{algorithm} signatures are not allowed")
        return None
    least = attempt.options.limits.user_rsa_bits
    if key.type == "ssh-rsa" and key.bits < least:
        attempt.explain(f"it has {key.bits} bits; RequiredRSASize is {least}")
        return None
    return key


def prove(
    attempt: Attempt, chosen: TryPublicKey, server_algorithms: tuple[str, ...] | None
) -> Steps[NacreError | None]:
    """Offer the key, and sign if the server would accept it; or sign at once."""
    key = chosen.key
    attempt.describe(key)
    algorithm = _choose(chosen, server_algorithms)
    if algorithm is None:
        attempt.explain("no signature algorithm in common with the server")
        return None
    if server_algorithms is None and algorithm != key.type:
        # The same key may be tried with each of its algorithms: say with which.
        attempt.explain(algorithm)
    if not chosen.signed:
        query = PublicKeyQuery(False, algorithm, key.blob)
        reply = yield Exchange(attempt.request(query), AuthStage.CLIENT_PUBLICKEY_QUERY)
        # Some servers return the key's type in place of the algorithm, so only the key is compared.
        if PublicKeyOk.decode(reply).blob != key.blob:
            raise RemoteProtocolError("the server accepts a public key that was not offered")
    data = signed_data(attempt, algorithm, key.blob)
    answer = yield AskSignature(key=key, algorithm=algorithm, data=data)
    if isinstance(answer, GiveUp):
        return answer.error
    if isinstance(answer, Denied):
        attempt.explain(answer.reason or "not signed")
        return None
    request = PublicKeyRequest(True, algorithm, key.blob, answer.blob)
    yield Exchange(attempt.request(request), AuthStage.CLIENT_WAITING)
    return None


def _choose(chosen: TryPublicKey, server_algorithms: tuple[str, ...] | None) -> str | None:
    key = chosen.key
    for name in usable_with(server_algorithms, key.type, chosen.algorithms):
        if name in key.signature_algorithms:
            return name
    return None
