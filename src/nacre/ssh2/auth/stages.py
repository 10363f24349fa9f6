"""The stages of authentication, and which messages are legal in each, as data."""

from __future__ import annotations

from enum import Enum


class AuthStage(Enum):
    """What a role waits for. A message that :data:`LEGAL` does not list for it is refused."""

    SERVER_REQUEST = "an authentication request"
    SERVER_INTERACTIVE = "the responses to prompts"
    SERVER_TOKEN = "a token of GSSAPI"
    SERVER_MIC = "the MIC of GSSAPI"
    CLIENT_IDLE = "a decision of this side"
    CLIENT_WAITING = "the verdict on an authentication request"
    CLIENT_PUBLICKEY_QUERY = "the answer to the offer of a public key"
    CLIENT_PASSWORD = "the verdict on a password"
    CLIENT_INTERACTIVE = "prompts, or the verdict on responses"
    CLIENT_MECHANISM = "the choice of a mechanism of GSSAPI"
    CLIENT_TOKEN = "the server's token of GSSAPI"
    DONE = "nothing: authentication is done"


LEGAL: dict[AuthStage, frozenset[int]] = {
    AuthStage.SERVER_REQUEST: frozenset({50}),
    # A new request abandons the method that waits for responses (RFC 4252 section 5.1).
    AuthStage.SERVER_INTERACTIVE: frozenset({50, 61}),
    # 65 is the client's last token, which tells why it gives up (RFC 4462 section 3.9).
    AuthStage.SERVER_TOKEN: frozenset({50, 61, 65}),
    # 63 would come without a MIC, which binds the context to this session (section 3.5).
    AuthStage.SERVER_MIC: frozenset({50, 65, 66}),
    # A banner may come at any time before success (RFC 4252 section 5.4).
    AuthStage.CLIENT_IDLE: frozenset({53}),
    AuthStage.CLIENT_WAITING: frozenset({51, 52, 53}),
    # An offer without a signature can't succeed: only failure or PK_OK may follow (section 7).
    AuthStage.CLIENT_PUBLICKEY_QUERY: frozenset({51, 53, 60}),
    AuthStage.CLIENT_PASSWORD: frozenset({51, 52, 53, 60}),
    AuthStage.CLIENT_INTERACTIVE: frozenset({51, 52, 53, 60}),
    AuthStage.CLIENT_MECHANISM: frozenset({51, 53, 60}),
    # Before the MIC there is no success. 64 and 65 tell why a failure follows.
    AuthStage.CLIENT_TOKEN: frozenset({51, 53, 61, 64, 65}),
    AuthStage.DONE: frozenset(),
}
"""Legal message numbers by stage."""
