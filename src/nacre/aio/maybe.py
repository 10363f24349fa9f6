"""Methods of users' classes that may be plain functions or coroutines.

Imports no asyncio: the processes that serve files start without it.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeAlias, TypeVar, cast

T = TypeVar("T")

Maybe: TypeAlias = T | Awaitable[T]
"""What a method returns that may be a plain function or a coroutine."""


async def settled(value: Maybe[T]) -> T:
    """Return the result of such a method: the value itself, or what awaiting it gives."""
    if hasattr(value, "__await__"):
        return await cast(Awaitable[T], value)
    return value
