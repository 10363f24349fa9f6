"""Libraries that sign with security keys: OpenSSH's middleware (``PROTOCOL.u2f``, section 6).

A library runs in a process of its own, this module as a program: what it does can neither harm nor
hold up the agent, and it ends with the request.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE

from nacre.errors import MalformedMessage, UnusableKey
from nacre.keys.families.security_key import ED25519, PinRequired, SecurityPrivateKey
from nacre.wire.codec import WireReader, mpint, string, u8, u32
from nacre.wire.text import safe

SECONDS = 60.0
"""Seconds that a library may take: its user has to touch the security key."""

VERSION = 0x000A0000
"""The version of the middleware's functions; its lower half is that of the library's own."""

_LARGEST = 64 * 1024
_ECDSA, _ED25519 = 0, 1
_LOADED, _NO_LIBRARY, _WRONG_VERSION = 0, 1, 2
_PIN_REQUIRED = -3
_REASONS = {
    -1: "it could not sign",
    -2: "it lacks what the key needs",
    _PIN_REQUIRED: "the PIN is missing or wrong",
    -4: "the security key of this key is not there",
    -5: "the key exists already",
}


async def sign(library: str, key: SecurityPrivateKey, data: bytes, pin: str | None) -> bytes:
    """Return a signature in wire form over ``data``, made through a library.

    :param library: its path.
    :param pin: the security key's PIN, or None.
    :raises PinRequired: another PIN is needed.
    :raises UnusableKey: the library can't be used, does not sign, or takes too long.
    """
    request = b"".join(
        (
            string(os.fsencode(library)),
            u8(_ED25519 if key.public.type == ED25519 else _ECDSA),
            string(data),
            string(key.public.application),
            string(key.handle),
            u8(key.flags & 0xFF),
            string(b"" if pin is None else b"\1" + pin.encode("utf-8", "surrogateescape")),
        )
    )
    name = f"the library {safe(library)}"
    try:
        async with asyncio.timeout(SECONDS):
            answer = await _run(request)
    except TimeoutError:
        raise UnusableKey(f"{name} has not signed within {SECONDS:g} seconds") from None
    try:
        signature = _signature(name, key, WireReader(answer))
    except MalformedMessage:
        raise UnusableKey(f"{name} has ended without a signature") from None
    if not key.public.verify(signature, data, key.public.type):
        raise UnusableKey(f"{name} has made a signature that does not verify")
    return signature


async def _run(request: bytes) -> bytes:
    program = [sys.executable, "-I", "-m", __name__]
    process = await asyncio.create_subprocess_exec(
        *program, stdin=PIPE, stdout=PIPE, stderr=DEVNULL
    )
    try:
        answer, _ = await process.communicate(request)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return answer[:_LARGEST]


def _signature(name: str, key: SecurityPrivateKey, answer: WireReader) -> bytes:
    loaded = answer.u8()
    if loaded == _NO_LIBRARY:
        raise UnusableKey(f"{name} can't be loaded, or is none for security keys")
    if loaded == _WRONG_VERSION:
        raise UnusableKey(f"{name} has another version of the interface than {VERSION >> 16}")
    code = answer.u32() - 256
    if code:
        error = PinRequired if code == _PIN_REQUIRED else UnusableKey
        raise error(f"{name}: {_REASONS.get(code, f'error {code}')}")
    flags, counter, r, s = answer.u8(), answer.u32(), answer.string(), answer.string()
    if key.public.type != ED25519:
        r = mpint(int.from_bytes(r, "big")) + mpint(int.from_bytes(s, "big"))
    return key.assembled(r, flags, counter)


# --- the process of the library ---


class _Answer(ctypes.Structure):
    """``struct sk_sign_response``."""

    _fields_ = (
        ("flags", ctypes.c_uint8),
        ("counter", ctypes.c_uint32),
        ("sig_r", ctypes.POINTER(ctypes.c_uint8)),
        ("sig_r_len", ctypes.c_size_t),
        ("sig_s", ctypes.POINTER(ctypes.c_uint8)),
        ("sig_s_len", ctypes.c_size_t),
    )


def _call(request: WireReader) -> bytes:
    """Load a library and have it sign; return what :func:`_signature` reads."""
    path, kind, data = os.fsdecode(request.string()), request.u8(), request.string()
    application, handle, flags = request.string(), request.string(), request.u8()
    pin = request.string()
    try:
        library = ctypes.CDLL(path)
        version, function = library.sk_api_version, library.sk_sign
    except (OSError, AttributeError):
        return u8(_NO_LIBRARY)
    version.restype = ctypes.c_uint32
    if version() & 0xFFFF0000 != VERSION:
        return u8(_WRONG_VERSION)
    made = ctypes.POINTER(_Answer)()
    options = (ctypes.c_void_p * 1)()
    code = function(
        ctypes.c_uint32(kind),
        ctypes.c_char_p(data),
        ctypes.c_size_t(len(data)),
        ctypes.c_char_p(application),
        ctypes.c_char_p(handle),
        ctypes.c_size_t(len(handle)),
        ctypes.c_uint8(flags),
        ctypes.c_char_p(pin[1:] if pin else None),
        options,
        ctypes.byref(made),
    )
    answer = u8(_LOADED) + u32(256 + max(code, -256))
    if code or not made:
        return answer
    found = made.contents
    parts = (
        bytes(pointer[:size]) if pointer and size <= _LARGEST else b""
        for pointer, size in (
            (found.sig_r, found.sig_r_len),
            (found.sig_s, found.sig_s_len),
        )
    )
    return answer + u8(found.flags) + u32(found.counter) + b"".join(map(string, parts))


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
