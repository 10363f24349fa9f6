"""What the ways to tell a hook have in common: an event, and how an attempt may fail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from nacre.daemon.hooks.values import HookPlan
from nacre.value import value


class DeliveryFailed(Exception):
    """The attempt has failed; a later one may not.

    :ivar after: seconds before which the hook wants no further attempt; 0 if it has not said.
    """

    def __init__(self, reason: str, after: float = 0.0) -> None:
        super().__init__(reason)
        self.after = after


class DeliveryRefused(Exception):
    """The hook does not want the event: a later attempt would fail, too."""


@value
class ToldEvent:
    """An event that a hook is told of.

    :ivar number: its number in the table of events.
    :ivar body: all of it, as JSON; ``told`` the same, read.
    """

    number: int
    body: bytes
    told: Mapping[str, object]


class Delivery(Protocol):
    """A way to tell a hook of events, one after the other."""

    async def deliver(self, plan: HookPlan, event: ToldEvent) -> str:
        """Tell the hook; return what it has said to that, for the log, or empty.

        It may be cancelled, and then leaves nothing behind that goes on.

        :raises DeliveryFailed: it can be tried again.
        :raises DeliveryRefused: it can't.
        """

    async def close(self) -> None:
        """End what stays between two events."""
