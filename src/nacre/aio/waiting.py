"""How tasks wait, and objects that can be awaited or entered with ``async with``."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import Context
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

from nacre.aio.home import check_loop

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Gate:
    """Where tasks wait for a state to change.

    A task that is woken checks the state again and finds a failure there, not in a future. So
    nothing is lost when a waiting task is cancelled, and no exception stays unretrieved.
    """

    __slots__ = ("_loop", "_waiters")

    def __init__(self) -> None:
        self._loop = asyncio._get_running_loop()
        self._waiters: list[asyncio.Future[None]] = []

    async def wait(self) -> None:
        """Return after the next :meth:`wake`.

        :raises NotUsableHere: another event loop has the gate.
        """
        self.check_loop()
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        finally:
            self._waiters.remove(waiter)

    def check_loop(self) -> None:
        """Check that the caller runs in the loop that made the gate, or waited here first.

        :raises NotUsableHere: it does not: no task of that loop can wake it.
        """
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        check_loop(self._loop)

    def wake(self) -> None:
        """Resume all waiting tasks, so that they check the state again."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)


class Reply(Generic[T]):
    """A value for one task, which :meth:`wake` resumes before it returns.

    A plain future resumes its task one loop iteration later; for a short request that costs as much
    as the answer itself. To the task this is a future: asyncio takes for one what has the attribute
    ``_asyncio_future_blocking`` (see :func:`asyncio.isfuture`), sets it to False when the task
    waits, and then calls only the methods below. That is not documented; it was tried with CPython
    3.11, 3.12 and 3.13, with tasks in C and in Python, and tests/aio/test_waiting.py checks it.
    """

    __slots__ = (
        "_asyncio_future_blocking",
        "_cancelled",
        "_context",
        "_done",
        "_loop",
        "_resume",
        "_value",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._resume: Callable[[Reply[T]], object] | None = None
        self._done = False
        self._cancelled = False

    def done(self) -> bool:
        """Return whether the value is there, or the task was cancelled."""
        return self._done

    def set_result(self, value: T) -> None:
        """Set the value; :meth:`wake` or :meth:`wake_soon` must follow."""
        self._value = value
        self._done = True

    def wake(self) -> None:
        """Resume the task now, up to where it waits next. Never call this from within a task."""
        if self._resume is not None:
            self._context.run(self._resume, self)

    def wake_soon(self) -> None:
        """Resume the task in the next turn of the loop."""
        if self._resume is not None:
            self._loop.call_soon(self._resume, self, context=self._context)

    # --- called by the task ---

    def __await__(self) -> Generator[Reply[T], None, T]:
        if not self._done:
            self._asyncio_future_blocking = True
            yield self
        return self._value

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop of the task."""
        return self._loop

    def add_done_callback(self, resume: Callable[[Reply[T]], object], *, context: Context) -> None:
        """Keep the function that resumes the task."""
        self._resume = resume
        self._context = context

    def cancel(self, msg: object = None) -> bool:
        """Make the task raise CancelledError, unless the value is there."""
        if self._done:
            return False
        self._done = self._cancelled = True
        self.wake_soon()
        return True

    def cancelled(self) -> bool:
        """Return whether :meth:`cancel` was called before the value was there."""
        return self._cancelled

    def result(self) -> T:
        """Return the value."""
        if self._cancelled:
            raise asyncio.CancelledError
        return self._value


class Later(Generic[T_co]):
    """An awaitable that starts its coroutine when awaited, and may be dropped without a warning."""

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
    """An object for ``async with``."""

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
    """Await it for the value, or use it in ``async with``, which closes the value at the end."""

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
