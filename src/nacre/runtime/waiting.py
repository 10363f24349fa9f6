"""How tasks wait, and what calls give back that can be awaited or entered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

T_co = TypeVar("T_co", covariant=True)


class Gate:
    """Where tasks wait for a state to change.

    Whoever is woken looks at the state again, so a failure is found there and not in a future:
    nothing is lost when a waiter is cancelled, and no exception stays unretrieved.
    """

    __slots__ = ("_waiters",)

    def __init__(self) -> None:
        self._waiters: list[asyncio.Future[None]] = []

    async def wait(self) -> None:
        """Return after the next :meth:`wake`."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        finally:
            self._waiters.remove(waiter)

    def wake(self) -> None:
        """Let everybody who waits look at the state again."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)


class Later(Generic[T_co]):
    """Something that can be awaited, and may be left alone as well."""

    __slots__ = ("_start",)

    def __init__(self, start: Callable[[], Coroutine[Any, Any, T_co]]) -> None:
        self._start = start

    def __await__(self) -> Generator[Any, Any, T_co]:
        return self._start().__await__()


class Managed(Protocol):
    """What ``async with`` takes."""

    async def __aenter__(self) -> Self:
        """Enter."""

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close."""


M_co = TypeVar("M_co", bound=Managed, covariant=True)


class Opening(Later[M_co]):
    """Await it for the value, or enter it with ``async with``, which closes the value again."""

    __slots__ = ("_value",)

    async def __aenter__(self) -> M_co:
        self._value: M_co = await self
        return self._value

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._value.__aexit__(kind, error, traceback)
