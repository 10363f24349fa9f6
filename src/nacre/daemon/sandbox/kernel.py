"""Calls of the C library, without ``ctypes``, which takes a millisecond to load."""

from __future__ import annotations

from typing import Any

_LAZY = 1  # RTLD_LAZY
_PR_SET_NAME = 15


def call(name: str, *arguments: int | bytes) -> int:
    """Call a function of the C library and return its result, an ``int``.

    :param arguments: numbers of 32 bits, and bytes that a pointer is passed to.
    :returns: -1 if it failed, or if there is no such function; why is not known.
    """
    try:
        # Loaded already where memory is hidden: see nacre.crypto.secrecy.
        import _ctypes

        program: Any = None  # the library of this name is the program itself
        function = _ctypes.dlsym(_ctypes.dlopen(program, _LAZY), name)
        result: int = _ctypes.call_cdeclfunction(function, arguments)
    except (ImportError, AttributeError, OSError):
        return -1
    return result


def call_itself(name: str) -> None:
    """Give this process a name of its own in the output of ps(1) and top(1)."""
    call("prctl", _PR_SET_NAME, f"nacre-{name}".encode(), 0, 0, 0)
