"""The loop behind the blocking API: one for the process, in a daemon thread."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import threading
from collections.abc import Awaitable, Callable
from functools import wraps
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar

from nacre.aio.busy_poll import BusyPoll

T = TypeVar("T")
P = ParamSpec("P")
Inner = TypeVar("Inner")
Outer = TypeVar("Outer")
Inner_co = TypeVar("Inner_co", covariant=True)

_JOIN = 5.0
"""Seconds the loop has to end with the process."""


class Background:
    """A loop that starts when it is first needed, and ends with the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def call(self, work: Callable[[], Awaitable[T]]) -> T:
        """Return what ``work``, called and awaited in the loop, returns or raises.

        A caller that is interrupted cancels the work.

        :raises RuntimeError: the caller is in the loop itself, and would wait for itself.
        """
        if threading.current_thread() is self._thread:
            raise RuntimeError("the blocking API can't be used in its own loop's thread")

        async def awaited() -> T:
            return await work()

        future = asyncio.run_coroutine_threadsafe(awaited(), self._running())
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def call_soon(self, work: Callable[[], object]) -> None:
        """Let the loop call ``work``, and don't wait for it; a loop that has ended does not."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(work)

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                started = threading.Event()
                self._thread = threading.Thread(
                    target=self._main, args=(started,), name="nacre.blocking", daemon=True
                )
                self._thread.start()
                started.wait()
                assert self._loop is not None
            return self._loop

    def _main(self, started: threading.Event) -> None:
        with asyncio.Runner() as runner:
            self._loop = runner.get_loop()
            BusyPoll.forbid(self._loop)
            self._loop.call_soon(started.set)
            self._loop.run_forever()

    def stop(self) -> None:
        """End the loop: what still runs in it is cancelled. The next call starts another."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(_JOIN)

    def forget(self) -> None:
        """In a forked child there is no such thread: the next call starts one."""
        self._lock = threading.Lock()
        self._loop = self._thread = None


background = Background()
atexit.register(background.stop)
os.register_at_fork(after_in_child=background.forget)


class Facade(Generic[Inner_co]):
    """Something of the runtime, and the same without await."""

    def __init__(self, inner: Inner_co) -> None:
        self._inner = inner


class Closing(Facade[Inner_co]):
    """What ``with`` closes at its end."""

    def close(self) -> None:
        """Close it."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def waiting(
    method: Callable[Concatenate[Inner, P], Awaitable[T]],
) -> Callable[Concatenate[Facade[Inner], P], T]:
    """Make a method that waits for what a coroutine of the runtime's object returns."""

    @wraps(method)
    def call(self: Facade[Inner], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return background.call(lambda: method(self._inner, *args, **kwargs))

    return call


def wrapping(
    method: Callable[Concatenate[Inner, P], Awaitable[T]], wrap: Callable[[T], Outer]
) -> Callable[Concatenate[Facade[Inner], P], Outer]:
    """Make a method that waits for something of the runtime, and returns it wrapped."""

    @wraps(method)
    def call(self: Facade[Inner], /, *args: P.args, **kwargs: P.kwargs) -> Outer:
        return wrap(background.call(lambda: method(self._inner, *args, **kwargs)))

    return call


def plain(
    method: Callable[Concatenate[Inner, P], T],
) -> Callable[Concatenate[Facade[Inner], P], T]:
    """Make a method that calls a plain one of the runtime's object, in the loop's thread."""

    @wraps(method)
    def call(self: Facade[Inner], /, *args: P.args, **kwargs: P.kwargs) -> T:
        async def called() -> T:
            return method(self._inner, *args, **kwargs)

        return background.call(called)

    return call


class Attribute(Generic[T]):
    """An attribute of the runtime's object."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Facade[Any], owner: type) -> T:
        value: T = getattr(instance._inner, self._name)
        return value


class Callback(Attribute[T]):
    """One that may be set: a function, which is then called in the loop's thread."""

    def __set__(self, instance: Facade[Any], value: T) -> None:
        background.call_soon(lambda: setattr(instance._inner, self._name, value))
