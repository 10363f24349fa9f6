"""How security keys are reached: by nacre itself, through fido2, or by a library of OpenSSH's kind.

A *provider* is the path of such a library, or :data:`INTERNAL`. What is cancelled ends at once: a
security key that waits for a touch is told to give up (CTAPHID_CANCEL).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from functools import partial
from threading import Event
from typing import TypedDict, TypeVar, Unpack

from nacre.agent import middleware, tokens
from nacre.keys.families.security_key import Enrolled, SecurityFlags, SecurityPrivateKey

INTERNAL = "internal"
"""The provider that stands for nacre's own access to security keys (:mod:`nacre.agent.tokens`)."""

VARIABLE = "SSH_SK_PROVIDER"
"""The variable of the environment that names a provider where no option does."""

T = TypeVar("T")


def provider_of(named: str | None) -> str:
    """Return the provider that an option names, or otherwise the environment.

    :param named: a path, :data:`INTERNAL`, or ``$`` and the name of a variable.
    """
    if named is not None and named.startswith("$"):
        named = os.environ.get(named[1:].strip("{}"))
    named = named or os.environ.get(VARIABLE) or INTERNAL
    return INTERNAL if named.lower() == INTERNAL else named


async def sign(provider: str, key: SecurityPrivateKey, data: bytes, pin: str | None) -> bytes:
    """Return a signature in wire form over ``data``.

    :raises PinRequired: another PIN is needed.
    :raises UnusableKey: the security key does not sign.
    """
    if provider == INTERNAL:
        return await _in_thread(partial(tokens.sign, key, data, pin=pin, devices=tokens.connected))
    return await middleware.sign(provider, key, data, pin)


class Wanted(TypedDict):
    """What a new key has to be; see :func:`nacre.agent.middleware.enroll`."""

    application: str
    user: str
    flags: SecurityFlags
    challenge: bytes
    pin: str | None


async def enroll(
    provider: str, type: str, device: str | None, **wanted: Unpack[Wanted]
) -> Enrolled:
    """Have a security key make a key; see :func:`nacre.agent.middleware.enroll`."""
    if provider == INTERNAL:
        return await _in_thread(partial(tokens.enroll, type, devices=_devices(device), **wanted))
    return await middleware.enroll(provider, type, device=device, **wanted)


async def resident(
    provider: str, *, pin: str | None, device: str | None
) -> list[tuple[SecurityPrivateKey, str]]:
    """Return the keys that a security key keeps; see :func:`nacre.agent.middleware.resident`."""
    if provider == INTERNAL:
        return await _in_thread(partial(tokens.resident, pin=pin, devices=_devices(device)))
    return await middleware.resident(provider, pin=pin, device=device)


def _devices(device: str | None) -> tokens.Devices:
    return tokens.connected if device is None else partial(tokens.at, device)


async def _in_thread(work: Callable[..., T]) -> T:
    """Call ``work`` in a thread, which ends soon after the caller was cancelled."""
    cancelled = Event()
    try:
        return await asyncio.to_thread(work, cancelled=cancelled)
    finally:
        cancelled.set()
