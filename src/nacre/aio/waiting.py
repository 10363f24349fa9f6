"""How tasks wait, and what calls give back that can be awaited or entered."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import Context
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

T = TypeVar("T")
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


class Reply(Generic[T]):
    """What one task waits for, which can go on as soon as it is there: in :meth:`wake`.

    A future has its task wait for the next turn of the loop, which costs a quick exchange as much
    as its answer. To the task this is a future (see :func:`asyncio.isfuture`).
    """

    __slots__ = (
        "_asyncio_future_blocking",
        "_cancelled",
        "_context",
        "_done",
        "_go_on",
        "_loop",
        "_value",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._go_on: Callable[[Reply[T]], object] | None = None
        self._done = False
        self._cancelled = False

    def done(self) -> bool:
        """Tell whether the value is there, or nobody wants it any more."""
        return self._done

    def set_result(self, value: T) -> None:
        """Set the value; the task goes on with :meth:`wake` or :meth:`wake_soon`."""
        self._value = value
        self._done = True

    def wake(self) -> None:
        """Let the task go on now, up to where it waits next. Not to be called inside of a task."""
        if self._go_on is not None:
            self._context.run(self._go_on, self)

    def wake_soon(self) -> None:
        """Let the task go on in the next turn of the loop."""
        if self._go_on is not None:
            self._loop.call_soon(self._go_on, self, context=self._context)

    # --- what a task asks of a future ---

    def __await__(self) -> Generator[Reply[T], None, T]:
        if not self._done:
            self._asyncio_future_blocking = True
            yield self
        return self._value

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop of the task."""
        return self._loop

    def add_done_callback(self, go_on: Callable[[Reply[T]], object], *, context: Context) -> None:
        """Note how the task goes on."""
        self._go_on = go_on
        self._context = context

    def cancel(self, msg: object = None) -> bool:
        """Have the task raise CancelledError, unless the value is there."""
        if self._done:
            return False
        self._done = self._cancelled = True
        self.wake_soon()
        return True

    def cancelled(self) -> bool:
        """Tell whether :meth:`cancel` was called before the value was there."""
        return self._cancelled

    def result(self) -> T:
        """Return the value."""
        if self._cancelled:
            raise asyncio.CancelledError
        return self._value


class Later(Generic[T_co]):
    """Something that can be awaited, and may be left alone as well."""

    __slots__ = ("_start",)

    def __init__(self, start: Callable[[], Coroutine[Any, Any, T_co]]) -> None:
        self._start = start

    def __await__(self) -> Generator[Any, Any, T_co]:
        return self._start().__await__()


class Closes:
    """``async with`` for a class: closes the object at the end, and waits for the end of that."""

    __slots__ = ()

    @abstractmethod
    def close(self) -> Awaitable[None]:
        """Close it; await the result to wait for the end."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()


class ClosesAtOnce:
    """``async with`` for a class: closes the object at the end, and does not wait for the peer."""

    __slots__ = ()

    @abstractmethod
    def close(self) -> object:
        """Close it."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


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
