"""The loop behind the blocking API, one for the process, and what its classes are made of.

The loop is a :class:`nacre.aio.background.Background`, in a daemon thread.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Awaitable, Callable
from functools import wraps
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar

from nacre.aio.background import Background

T = TypeVar("T")
P = ParamSpec("P")
Inner = TypeVar("Inner")
Outer = TypeVar("Outer")
Inner_co = TypeVar("Inner_co", covariant=True)

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
