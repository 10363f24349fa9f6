"""What a user must pass to log in: methods, in alternatives (RFC 4252 section 5)."""

from __future__ import annotations

from collections.abc import Collection
from typing import TypeAlias

Alternative: TypeAlias = frozenset[str] | tuple[str, ...]
"""Methods that must all succeed: of a set in any order, of a tuple in its order. A tuple may hold
a method twice, which must then succeed twice."""

Requirement: TypeAlias = tuple[Alternative, ...]
"""Alternatives: a user is in as soon as one of them is complete."""

METHODS = (
    *("publickey", "gssapi-keyex", "gssapi-with-mic"),
    *("password", "keyboard-interactive", "hostbased"),
)
"""The authentication methods of a server, in the order in which it lists them."""

_METHODS = frozenset(METHODS)


def satisfied(requirement: Requirement, succeeded: Collection[str]) -> bool:
    """Return whether one alternative is complete.

    :param succeeded: the methods that have succeeded, in order.
    """
    return any(not _left(alternative, succeeded) for alternative in requirement)


def useful(requirement: Requirement, succeeded: Collection[str]) -> tuple[str, ...]:
    """Return the methods whose success would bring an alternative nearer to completion.

    An alternative with a method that is not in ``METHODS`` can't be completed and is ignored.

    :param succeeded: the methods that have succeeded, in order.
    """
    wanted: set[str] = set()
    for alternative in requirement:
        if _METHODS.issuperset(alternative):
            left = _left(alternative, succeeded)
            wanted.update(left[:1] if isinstance(left, tuple) else left)
    return tuple([method for method in METHODS if method in wanted])


def _left(alternative: Alternative, succeeded: Collection[str]) -> Alternative:
    """Return what of the alternative has not succeeded yet."""
    if isinstance(alternative, frozenset):
        return alternative.difference(succeeded) if succeeded else alternative
    for method in succeeded:
        if alternative[:1] == (method,):
            alternative = alternative[1:]
    return alternative
