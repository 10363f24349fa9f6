"""How long the denial of a login takes: a time that does not tell whether the user exists.

What a policy does for an unknown user and for a known one differs by fractions of a millisecond,
which shows over a local network. As in sshd, a denial takes a few milliseconds that are drawn for
each user name, or that time doubled until the policy is done.
"""

from __future__ import annotations

import asyncio
import hmac
import os
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")

LEAST = 0.005
"""Seconds that every denial takes."""

DRAWN = 0.004
"""The most seconds that are added, by the user's name."""

_SECRET = os.urandom(32)


def padded(elapsed: float, user: str) -> float:
    """Return the seconds after the question at which a denial is answered.

    :param elapsed: seconds that the policy has taken.
    """
    digest = hmac.digest(_SECRET, user.encode("utf-8", "surrogateescape"), "sha256")
    seconds = LEAST + DRAWN * digest[0] / 255
    while seconds < elapsed:
        seconds *= 2
    return seconds


async def denied_late(answer: Awaitable[T], user: str) -> T:
    """Return the answer; if it denies, that is false, not before :func:`padded`."""
    loop = asyncio.get_running_loop()
    asked = loop.time()
    result = await answer
    if not result:
        elapsed = loop.time() - asked
        await asyncio.sleep(padded(elapsed, user) - elapsed)
    return result
