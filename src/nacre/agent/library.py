"""The process in which a library for security keys works: this module as a program.

The library has the functions of OpenSSH's ``sk-api.h`` (``PROTOCOL.u2f``, section 6). Standard
input has a request: the path of the library, a :class:`Task`, and the task's arguments. Standard
output gets the answer: an :class:`Outcome`, the function's result, and what the function returned.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import Any, TypeAlias

from nacre.wire.codec import WireReader, string, u8, u32

VERSION = 0x000A0000
"""The version of the functions; its lower half is that of the library's own."""

ECDSA, ED25519 = 0, 1
"""Numbers of the types of keys."""

_LARGEST = 64 * 1024
_MOST_KEYS = 1024


class Task(IntEnum):
    """What a library does."""

    SIGN = 1
    ENROLL = 2
    RESIDENT = 3


class Outcome(IntEnum):
    """Whether the library was called."""

    CALLED = 0
    NO_LIBRARY = 1
    WRONG_VERSION = 2


_bytes = ctypes.POINTER(ctypes.c_uint8)


def _sized(*names: str) -> Iterator[tuple[str, Any]]:
    """Yield for each name a field that points to bytes, and one that counts them."""
    for name in names:
        yield name, _bytes
        yield f"{name}_size", ctypes.c_size_t


class _Option(ctypes.Structure):
    """``struct sk_option``."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("value", ctypes.c_char_p),
        ("required", ctypes.c_uint8),
    )


class _SignResponse(ctypes.Structure):
    """``struct sk_sign_response``."""

    _fields_ = (
        ("flags", ctypes.c_uint8),
        ("counter", ctypes.c_uint32),
        *_sized("r", "s"),
    )


class _EnrollResponse(ctypes.Structure):
    """``struct sk_enroll_response``."""

    _fields_ = (
        ("flags", ctypes.c_uint8),
        *_sized("public", "handle", "signature", "certificate", "data"),
    )


class _ResidentKey(ctypes.Structure):
    """``struct sk_resident_key``."""

    _fields_ = (
        ("kind", ctypes.c_uint32),
        ("slot", ctypes.c_size_t),
        ("application", ctypes.c_char_p),
        ("key", _EnrollResponse),
        ("flags", ctypes.c_uint8),
        *_sized("user"),
    )


def _field(made: Any, name: str) -> bytes:
    """Return in wire form the bytes that a structure points to."""
    pointer, size = getattr(made, name), getattr(made, f"{name}_size")
    return string(bytes(pointer[:size]) if pointer and size <= _LARGEST else b"")


def _fields(made: Any, *names: str) -> bytes:
    return b"".join(_field(made, name) for name in names)


def _pin(request: WireReader) -> ctypes.c_char_p:
    """Read a PIN; a byte before it tells it from none."""
    pin = request.string()
    return ctypes.c_char_p(pin[1:] if pin else None)


def _options(request: WireReader) -> Any:
    """Read what the library gets in ``options``: name and value in turn."""
    made: list[Any] = []
    while request.remaining:
        made.append(ctypes.pointer(_Option(request.string(), request.string(), 0)))
    return (ctypes.POINTER(_Option) * (len(made) + 1))(*made)


_Returned: TypeAlias = "tuple[int, bytes]"
"""The function's result, and the rest of the answer if that is 0."""


def _sign(library: Any, request: WireReader) -> _Returned:
    kind, data, application = request.u32(), request.string(), request.string()
    handle, flags = request.string(), request.u8()
    made = ctypes.POINTER(_SignResponse)()
    result = library.sk_sign(
        ctypes.c_uint32(kind),
        ctypes.c_char_p(data),
        ctypes.c_size_t(len(data)),
        ctypes.c_char_p(application),
        ctypes.c_char_p(handle),
        ctypes.c_size_t(len(handle)),
        ctypes.c_uint8(flags),
        _pin(request),
        _options(request),
        ctypes.byref(made),
    )
    if result:
        return result, b""
    found = made.contents
    return 0, u8(found.flags) + u32(found.counter) + _fields(found, "r", "s")


def _enroll(library: Any, request: WireReader) -> _Returned:
    kind, challenge, application = request.u32(), request.string(), request.string()
    flags = request.u8()
    made = ctypes.POINTER(_EnrollResponse)()
    result = library.sk_enroll(
        ctypes.c_uint32(kind),
        ctypes.c_char_p(challenge),
        ctypes.c_size_t(len(challenge)),
        ctypes.c_char_p(application),
        ctypes.c_uint8(flags),
        _pin(request),
        _options(request),
        ctypes.byref(made),
    )
    if result:
        return result, b""
    return 0, _fields(made.contents, "public", "handle", "certificate", "signature", "data")


def _resident(library: Any, request: WireReader) -> _Returned:
    made = ctypes.POINTER(ctypes.POINTER(_ResidentKey))()
    count = ctypes.c_size_t()
    result = library.sk_load_resident_keys(
        _pin(request), _options(request), ctypes.byref(made), ctypes.byref(count)
    )
    parts = []
    for i in range(0 if result else min(count.value, _MOST_KEYS)):
        one = made[i].contents
        parts += [u32(one.kind), string(one.application or b""), u8(one.flags)]
        parts += [_fields(one.key, "public", "handle"), _field(one, "user")]
    return result, b"".join(parts)


_TASKS: dict[int, Callable[[Any, WireReader], _Returned]] = {
    Task.SIGN: _sign,
    Task.ENROLL: _enroll,
    Task.RESIDENT: _resident,
}


def _call(request: WireReader) -> bytes:
    path, task = os.fsdecode(request.string()), _TASKS[request.u8()]
    try:
        library = ctypes.CDLL(path)
        version = library.sk_api_version
    except (OSError, AttributeError):
        return u8(Outcome.NO_LIBRARY)
    version.restype = ctypes.c_uint32
    if version() & 0xFFFF0000 != VERSION:
        return u8(Outcome.WRONG_VERSION)
    try:
        result, answer = task(library, request)
    except AttributeError:  # it lacks this function
        return u8(Outcome.NO_LIBRARY)
    return u8(Outcome.CALLED) + result.to_bytes(4, "big", signed=True) + answer


def _main() -> None:
    from nacre.crypto.secrecy import hide_memory

    hide_memory()
    # What a library prints must not become part of the answer.
    output = os.dup(1)
    os.dup2(2, 1)
    answer = _call(WireReader(sys.stdin.buffer.read()))
    with os.fdopen(output, "wb") as file:
        file.write(answer)


if __name__ == "__main__":
    _main()
