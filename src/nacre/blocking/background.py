"""The loop behind the blocking API, one for the process, and functions that make its methods.

The loop runs in a daemon thread (see :mod:`nacre.aio.background`). A class of the blocking API is a
:class:`Facade` of the object that lives in the loop; ``waiting``, ``wrapping`` and ``plain`` make
its methods from the object's, signature and docstring included.
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
atexit.register(background.end)
os.register_at_fork(after_in_child=background.forget)


class Facade(Generic[Inner_co]):
    """An object of the async API that lives in the loop, with methods that need no await."""

    def __init__(self, inner: Inner_co) -> None:
        self._inner = inner


class Closing(Facade[Inner_co]):
    """A facade that ``with`` closes at its end."""

    def close(self) -> None:
        """Close the object in the loop."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._leave()

    def _leave(self) -> None:
        self.close()


def waiting(
    method: Callable[Concatenate[Inner, P], Awaitable[T]],
) -> Callable[Concatenate[Facade[Inner], P], T]:
    """Make a method that runs a coroutine method in the loop and waits for its result."""

    @wraps(method)
    def call(self: Facade[Inner], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return background.call(lambda: method(self._inner, *args, **kwargs))

    return call


def wrapping(
    method: Callable[Concatenate[Inner, P], Awaitable[T]], wrap: Callable[[T], Outer]
) -> Callable[Concatenate[Facade[Inner], P], Outer]:
    """Make a method as :func:`waiting` does, whose result is passed through ``wrap``."""

    @wraps(method)
    def call(self: Facade[Inner], /, *args: P.args, **kwargs: P.kwargs) -> Outer:
        return wrap(background.call(lambda: method(self._inner, *args, **kwargs)))

    return call


def plain(
    method: Callable[Concatenate[Inner, P], T],
) -> Callable[Concatenate[Facade[Inner], P], T]:
    """Make a method that calls a plain method in the loop's thread and waits for its result."""

    @wraps(method)
    def call(self: Facade[Inner], /, *args: P.args, **kwargs: P.kwargs) -> T:
        async def called() -> T:
            return method(self._inner, *args, **kwargs)

        return background.call(called)

    return call


class Attribute(Generic[T]):
    """An attribute of the object in the loop, read from any thread."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Facade[Any], owner: type) -> T:
        value: T = getattr(instance._inner, self._name)
        return value


class Callback(Attribute[T]):
    """An attribute that may be set to a function, which the loop's thread will call."""

    def __set__(self, instance: Facade[Any], value: T) -> None:
        background.call_soon(lambda: setattr(instance._inner, self._name, value))
