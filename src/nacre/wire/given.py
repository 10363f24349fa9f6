"""Checks of what callers give: an argument of the wrong type is refused with what to write.

The messages never show a value, which may be secret.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")


def text(value: T, name: str) -> T:
    """Return a text, or None, unchanged.

    :param name: the argument, for the message.
    :raises TypeError: it is neither.
    """
    if value is None or isinstance(value, str):
        return value
    advice = ": decode it, as in data.decode()" if isinstance(value, (bytes, bytearray)) else ""
    raise TypeError(f"{name} must be str, not {type(value).__name__}{advice}")


def command(value: T) -> T:
    """Return a command line, or None for a shell, unchanged.

    :raises TypeError: it is something else, such as a list of words.
    """
    if value is None or isinstance(value, (str, bytes)):
        return value
    kind = type(value).__name__
    if isinstance(value, (list, tuple)):
        raise TypeError(
            f"a command must be one str, not {kind}: the server's shell splits it into words; join "
            "them with shlex.join(words)"
        )
    raise TypeError(f"a command must be str or bytes, not {kind}")


def binary(value: Any, name: str) -> memoryview:
    """Return the bytes of ``value`` without copying them.

    :raises TypeError: it is text or has no bytes.
    """
    try:
        return memoryview(value).cast("B")
    except TypeError:
        kind = type(value).__name__
        advice = ": encode it, as in text.encode()" if isinstance(value, str) else ""
        raise TypeError(f"{name} must be bytes, not {kind}{advice}") from None


def several(value: T, name: str) -> T:
    """Return a list or another iterable, or None, unchanged.

    :raises TypeError: it is a single text, whose characters would be taken one by one, or can't be
        iterated over.
    """
    if isinstance(value, (str, bytes)) or not isinstance(value, (Iterable, type(None))):
        kind = type(value).__name__
        raise TypeError(f"{name} must be a list, not {kind}: write {name}=[...], also for one")
    return value


def variables(value: Any) -> dict[str, str]:
    """Return environment variables as a new dict; None is none.

    :raises TypeError: it is no mapping, or a name or a value is no text.
    """
    if value is not None and not isinstance(value, Mapping):
        raise TypeError(
            f"env must be a dict, not {type(value).__name__}: write env={{'NAME': 'value'}}"
        )
    for name, content in (value or {}).items():
        for one in (name, content):
            if not isinstance(one, str):
                raise TypeError(f"env must have str as names and values, not {type(one).__name__}")
    return dict(value or {})
