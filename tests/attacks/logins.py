"""Logins by hand: a client whose requests to log in may say and sign anything."""

from __future__ import annotations

from collections.abc import Callable

from attacks.links import inside, of
from nacre.keys import PrivateKey
from nacre.protocol.asks import Answer, Ask, AskAuthentication
from nacre.protocol.events import Authenticated, AuthResult
from nacre.protocol.phases import Phase
from nacre.ssh2.auth.messages import PasswordRequest, PublicKeyRequest, UserauthRequest
from nacre.testing import Pair, agreeable
from nacre.wire.codec import boolean, string, text


def waiting(answers_server: Callable[[Ask], Answer | None], **options: object) -> Pair:
    """Return a pair at authentication, whose client says what it is told by hand."""
    pair = Pair(
        answers_client=lambda ask: None if isinstance(ask, AskAuthentication) else agreeable(ask),
        answers_server=answers_server,
        **options,  # type: ignore[arg-type]
    )
    pair.run()
    # The client must not act on the replies: it only lends its keys to whoever speaks by hand.
    inside(pair.client)._inbox.next = lambda: None
    return pair


def request(user: str, method: str, fields: bytes = b"") -> bytes:
    return UserauthRequest(user, "ssh-connection", method, fields).encode()


def password(user: str, secret: str) -> bytes:
    return request(user, "password", PasswordRequest(False, secret).encode())


def signed(
    session_id: bytes,
    key: PrivateKey,
    *,
    user: str = "alice",
    signed_user: str | None = None,
    algorithm: str = "ssh-ed25519",
    signed_algorithm: str | None = None,
    service: str = "ssh-connection",
    method: str = "publickey",
    used: str | None = None,
) -> bytes:
    """Return a publickey request; what is signed may differ from what is said."""
    blob = key.public.blob
    data = (
        string(session_id)
        + b"\x32"
        + text(user if signed_user is None else signed_user)
        + text(service)
        + text(method)
        + boolean(True)
        + text(signed_algorithm or algorithm)
        + string(blob)
    )
    signature = key.sign(data, used or algorithm)
    return request(user, "publickey", PublicKeyRequest(True, algorithm, blob, signature).encode())


def session_id(pair: Pair) -> bytes:
    return bytes(inside(pair.server)._kex.session_id)


def kept_out(pair: Pair) -> None:
    assert not of(pair.server_events, Authenticated)
    assert pair.server.phase is not Phase.CONNECTION
    assert "success" not in {event.outcome for event in of(pair.server_events, AuthResult)}
