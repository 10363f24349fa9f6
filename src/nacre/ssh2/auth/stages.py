"""The stages of authentication, and which messages are legal in each, as data."""

from __future__ import annotations

from enum import Enum


class AuthStage(Enum):
    """What a role waits for. A message that :data:`LEGAL` does not list for it is refused."""

    SERVER_REQUEST = "an authentication request"
    SERVER_INTERACTIVE = "the responses to prompts"
    CLIENT_IDLE = "a decision of this side"
    CLIENT_WAITING = "the verdict on an authentication request"
    CLIENT_PUBLICKEY_QUERY = "the answer to the offer of a public key"
    CLIENT_PASSWORD = "the verdict on a password"
    CLIENT_INTERACTIVE = "prompts, or the verdict on responses"
    DONE = "nothing: authentication is done"


LEGAL: dict[AuthStage, frozenset[int]] = {
    AuthStage.SERVER_REQUEST: frozenset({50}),
    # A new request abandons the method that waits for responses (RFC 4252 section 5.1).
    AuthStage.SERVER_INTERACTIVE: frozenset({50, 61}),
    # A banner may come at any time before success (RFC 4252 section 5.4).
    AuthStage.CLIENT_IDLE: frozenset({53}),
    AuthStage.CLIENT_WAITING: frozenset({51, 52, 53}),
    # An offer without a signature can't succeed: only failure or PK_OK may follow (section 7).
    AuthStage.CLIENT_PUBLICKEY_QUERY: frozenset({51, 53, 60}),
    AuthStage.CLIENT_PASSWORD: frozenset({51, 52, 53, 60}),
    AuthStage.CLIENT_INTERACTIVE: frozenset({51, 52, 53, 60}),
    AuthStage.DONE: frozenset(),
}
"""Legal message numbers by stage."""
