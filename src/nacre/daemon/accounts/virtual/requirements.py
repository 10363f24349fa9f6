"""What users of the store must show at a login: passwords, keys, codes of a second factor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nacre.daemon.accounts.admission import ANY
from nacre.daemon.accounts.candidate import Candidate
from nacre.protocol.requirement import Requirement

if TYPE_CHECKING:
    from nacre.daemon.store.values import User

_PUBLIC_KEY, _PASSWORD, _INTERACTIVE = "publickey", "password", "keyboard-interactive"

BOTH = "password-publickey"

DIALOGUE = "dialogue"
"""The ``auth`` of users who are who they are by a dialogue of their own, and by nothing else."""

TOKEN_OR_DIALOGUE = "token-dialogue"
"""The same, where a token in a certificate of the user's key tells it too."""

REQUIREMENTS: dict[str, Requirement] = {
    "any": ANY,
    "password": (frozenset({_PASSWORD}), frozenset({_INTERACTIVE})),
    "publickey": (frozenset({_PUBLIC_KEY}),),
    BOTH: (
        frozenset({_PUBLIC_KEY, _PASSWORD}),
        frozenset({_PUBLIC_KEY, _INTERACTIVE}),
    ),
}
"""The methods that each ``auth`` of a user requires; the password may be sent by either method."""

WITH_CODE: dict[str, Requirement] = {
    "any": ((_PUBLIC_KEY, _INTERACTIVE), (_PASSWORD, _INTERACTIVE), (_INTERACTIVE,)),
    "password": ((_PASSWORD, _INTERACTIVE), (_INTERACTIVE,)),
    "publickey": ((_PUBLIC_KEY, _INTERACTIVE),),
    BOTH: (
        frozenset({_PUBLIC_KEY, _PASSWORD, _INTERACTIVE}),
        frozenset({_PUBLIC_KEY, _INTERACTIVE}),
    ),
}
"""The same with the code of a second factor, which keyboard-interactive asks for. Where no password
has succeeded before, it asks for that too; :mod:`nacre.daemon.accounts.virtual.dialogues`."""


VOUCHED: dict[str, Requirement] = {
    DIALOGUE: (frozenset({_INTERACTIVE}),),
    TOKEN_OR_DIALOGUE: (frozenset({_PUBLIC_KEY}), frozenset({_INTERACTIVE})),
}
"""The same for users of whom nothing is known before somebody else vouches for them."""


def needs_code(user: User, enrolled: bool) -> bool:
    """Tell whether a login takes a code.

    :param enrolled: whether the user has a second factor.
    """
    return user.second_factor == "required" or (user.second_factor == "optional" and enrolled)


def own_requirement(auth: str, candidate: Candidate) -> Requirement:
    """Return what a user with this ``auth`` must pass."""
    if auth in VOUCHED:
        return VOUCHED[auth]
    return (WITH_CODE if candidate.needs_code else REQUIREMENTS)[auth]
