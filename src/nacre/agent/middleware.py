"""Libraries that use security keys: OpenSSH's middleware (``PROTOCOL.u2f``, section 6).

A library runs in a process of its own, :mod:`nacre.agent.library` as a program: what it does can
neither harm nor hold up this one, and it ends with the request.
"""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Callable
from typing import TypeVar

from nacre.errors import KeyFormatError, MalformedMessage, UnusableKey
from nacre.keys.families.security_key import (
    ECDSA,
    ED25519,
    AlreadyKept,
    Enrolled,
    PinRequired,
    SecurityFlags,
    SecurityPrivateKey,
    SecurityPublicKey,
)
from nacre.keys.key import decode_public
from nacre.wire.codec import WireReader, mpint, string, text, u8, u32
from nacre.wire.text import safe

SECONDS = 60.0
"""Seconds that a library may take: its user has to touch the security key."""

T = TypeVar("T")

# The numbers of nacre.agent.library, which loads ctypes.
_SIGN, _ENROLL, _RESIDENT = 1, 2, 3
_NO_LIBRARY, _WRONG_VERSION = 1, 2
_VERSION = 10

_KINDS = {ECDSA: 0, ED25519: 1}
_TYPES = {number: type for type, number in _KINDS.items()}

_LARGEST = 1024 * 1024
_MOST_LISTED = 1024

_ERRORS: dict[int, tuple[type[UnusableKey], str]] = {
    -2: (UnusableKey, "it lacks what the key needs"),
    -3: (PinRequired, "the PIN is missing or wrong"),
    -4: (UnusableKey, "the security key is not there"),
    -5: (AlreadyKept, "the security key keeps a key for this application and user already"),
}


async def sign(library: str, key: SecurityPrivateKey, data: bytes, pin: str | None) -> bytes:
    """Return a signature in wire form over ``data``, made through a library.

    :param library: its path.
    :param pin: the security key's PIN, or None.
    :raises PinRequired: another PIN is needed.
    :raises UnusableKey: the library can't be used, does not sign, or takes too long.
    """
    fields = (
        u32(_KINDS[key.public.type]),
        string(data),
        string(key.public.application),
        string(key.handle),
        u8(key.flags & 0xFF),
        _pin(pin),
    )

    def decode(answer: WireReader) -> bytes:
        flags, counter, r, s = answer.u8(), answer.u32(), answer.string(), answer.string()
        if key.public.type != ED25519:
            r = mpint(int.from_bytes(r, "big")) + mpint(int.from_bytes(s, "big"))
        return key.assembled(r, flags, counter)

    signature = await _call(library, _SIGN, b"".join(fields), decode, "sign")
    if not key.public.verify(signature, data, key.public.type):
        raise UnusableKey(f"{_name(library)} has made a signature that does not verify")
    return signature


async def enroll(
    library: str,
    type: str,
    *,
    application: str,
    user: str = "",
    flags: SecurityFlags,
    challenge: bytes,
    pin: str | None = None,
    device: str | None = None,
) -> Enrolled:
    """Have a security key make a key, through a library.

    :param type: ``sk-ssh-ed25519@openssh.com`` or ``sk-ecdsa-sha2-nistp256@openssh.com``.
    :param user: the user's name, for keys that the security key keeps.
    :param flags: what the key needs; with RESIDENT the security key keeps it, and with FORCE in
        place of one that it keeps.
    :param challenge: random bytes that the attestation is bound to.
    :param device: the security key, by a name that the library knows.
    :raises PinRequired: another PIN is needed.
    :raises AlreadyKept: the security key keeps such a key already, and FORCE is not in ``flags``.
    :raises UnusableKey: the library can't be used, makes no key, or takes too long.
    """
    fields = (
        u32(_KINDS[type]),
        string(challenge),
        text(application),
        u8(flags & 0xFF),
        _pin(pin),
        _options(device=device, user=user or None),
    )

    def decode(answer: WireReader) -> Enrolled:
        point, handle = answer.string(), answer.string()
        public = _public(type, point, application.encode())
        kept = flags & ~SecurityFlags.FORCE
        private = SecurityPrivateKey(public, kept, handle)
        certificate, signature, data = answer.string(), answer.string(), answer.string()
        return Enrolled(private, certificate, signature, data)

    return await _call(library, _ENROLL, b"".join(fields), decode, "make a key")


async def resident(
    library: str, *, pin: str | None = None, device: str | None = None
) -> list[tuple[SecurityPrivateKey, str]]:
    """Return the keys that a security key keeps, and the names of their users, through a library.

    Keys of types that nacre does not know are left out.

    :raises PinRequired: another PIN is needed.
    :raises UnusableKey: the library can't be used, or takes too long.
    """

    def decode(answer: WireReader) -> list[tuple[SecurityPrivateKey, str]]:
        found: list[tuple[SecurityPrivateKey, str]] = []
        while answer.remaining and len(found) < _MOST_LISTED:
            type, application = _TYPES.get(answer.u32()), answer.string()
            flags = SecurityFlags(answer.u8())
            point, handle, user = answer.string(), answer.string(), answer.string()
            if type is not None:
                public = _public(type, point, application)
                private = SecurityPrivateKey(public, flags | SecurityFlags.RESIDENT, handle)
                found.append((private, user.rstrip(b"\0").decode("utf-8", "replace")))
        return found

    fields = _pin(pin) + _options(device=device)
    return await _call(library, _RESIDENT, fields, decode, "list keys")


def _pin(pin: str | None) -> bytes:
    return string(b"" if pin is None else b"\1" + pin.encode("utf-8", "surrogateescape"))


def _options(**given: str | None) -> bytes:
    return b"".join(text(name) + text(one) for name, one in given.items() if one is not None)


def _public(type: str, point: bytes, application: bytes) -> SecurityPublicKey:
    curve = text("nistp256") if type == ECDSA else b""
    key = decode_public(text(type) + curve + string(point) + string(application))
    assert isinstance(key, SecurityPublicKey)
    return key


def _name(library: str) -> str:
    return f"the library {safe(library)}"


async def _call(
    library: str, task: int, fields: bytes, decode: Callable[[WireReader], T], deed: str
) -> T:
    """Have a library do something; return what its answer means.

    :param deed: what it does, for errors.
    """
    name = _name(library)
    request = string(os.fsencode(library)) + u8(task) + fields
    try:
        async with asyncio.timeout(SECONDS):
            answer = WireReader(await _run(request))
    except TimeoutError:
        raise UnusableKey(f"{name} did not {deed} within {SECONDS:g} seconds") from None
    try:
        outcome = answer.u8()
        if outcome == _NO_LIBRARY:
            raise UnusableKey(f"{name} can't be loaded, or is none for security keys")
        if outcome == _WRONG_VERSION:
            raise UnusableKey(f"{name} has another version of the interface than {_VERSION}")
        code = int.from_bytes(answer.fixed(4), "big", signed=True)
        if code:
            error, reason = _ERRORS.get(code, (UnusableKey, f"it could not {deed} (error {code})"))
            raise error(f"{name}: {reason}")
        return decode(answer)
    except (MalformedMessage, KeyFormatError):
        raise UnusableKey(f"{name} did not {deed}: its answer can't be used") from None


async def _run(request: bytes) -> bytes:
    program = [sys.executable, "-I", "-m", "nacre.agent.library"]
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
