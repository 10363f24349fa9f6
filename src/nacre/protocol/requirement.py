"""What a user must still show, worked out from the requirement and what succeeded so far."""

from __future__ import annotations

from collections.abc import Collection

from nacre.protocol.asks import Requirement

METHODS = ("publickey", "password", "keyboard-interactive")
"""The methods a server has, in the order in which it lists them."""


def satisfied(requirement: Requirement, succeeded: Collection[str]) -> bool:
    """Tell whether every method of one alternative has succeeded."""
    return any(alternative <= set(succeeded) for alternative in requirement)


def useful(requirement: Requirement, succeeded: Collection[str]) -> tuple[str, ...]:
    """Return the methods whose success brings an alternative nearer to completion.

    An alternative that names a method the server does not have can't be completed, and does not
    count.
    """
    reachable = [alternative for alternative in requirement if alternative <= set(METHODS)]
    wanted = frozenset[str]().union(*reachable) - set(succeeded)
    return tuple(method for method in METHODS if method in wanted)
