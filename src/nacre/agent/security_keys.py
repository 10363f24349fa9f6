"""How an agent signs with security keys: which data, through which library, with which PIN."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext

from nacre.agent.providers import INTERNAL, sign
from nacre.errors import KeyFormatError, MalformedMessage, UnusableKey
from nacre.keys.base import PrivateKey, PublicKey
from nacre.keys.certificate import CertifiedKey
from nacre.keys.families.security_key import (
    PinRequired,
    SecurityFlags,
    SecurityPrivateKey,
    SecurityPublicKey,
)
from nacre.keys.patterns import match_list
from nacre.keys.signed_data import decode_login, is_sshsig
from nacre.wire.text import safe

_PINS = 3
_FOR_SSH = b"ssh:"


async def _nobody(question: str) -> str | None:
    return None


class SecurityKeys:
    """The security keys of an agent's machine.

    :param pin: asks the user for a PIN.
    :param touch: tells the user, while its context lasts, to touch the security key.
    :param websafe_only: refuse what could be a login to a web site: signatures with keys that were
        not made for SSH, over data that is not SSH's.
    :param libraries: patterns of the paths of libraries that may be used; ``*`` matches ``/``, too.
    :ivar remote_libraries: whether clients that the agent is forwarded to may name one.
    """

    def __init__(
        self,
        *,
        pin: Callable[[str], Awaitable[str | None]] = _nobody,
        touch: Callable[[str], AbstractAsyncContextManager[object]] = nullcontext,
        websafe_only: bool = True,
        libraries: Sequence[str] = (),
        remote_libraries: bool = False,
    ) -> None:
        self.remote_libraries = remote_libraries
        self._pin = pin
        self._touch = touch
        self._websafe_only = websafe_only
        self._libraries = tuple(libraries)
        self._one_at_a_time = asyncio.Lock()

    def provider(self, key: PublicKey, named: str) -> str:
        """Return the path of the library that a client names for a key, or :data:`INTERNAL`.

        :raises UnusableKey: the library must not be used, or the key is no security key.
        """
        if named and not is_security_key(key):
            raise UnusableKey(f"{key!r} has a provider, but is not a security key")
        if named.lower() in ("", INTERNAL):
            return INTERNAL
        path = os.path.realpath(named)
        if not match_list(path, self._libraries):
            raise UnusableKey(f"the library {safe(path)} is not among those that -P allows")
        return path

    async def sign(self, private: PrivateKey, provider: str, data: bytes) -> bytes:
        """Return a signature in wire form.

        :param provider: what :meth:`provider` returned.
        :raises UnusableKey: the data must not be signed, or the security key does not sign.
        """
        key = private.private if isinstance(private, CertifiedKey) else private
        assert isinstance(key, SecurityPrivateKey)
        self._check_websafe(private.public, key.public, data)
        shown = f"key {safe(key.comment)} {key.public.fingerprint()}"
        async with self._one_at_a_time:
            pin = await self._ask(shown) if key.flags & SecurityFlags.VERIFY else None
            for _ in range(_PINS):
                try:
                    async with self._touch(f"Confirm user presence for {shown}"):
                        return await sign(provider, key, data, pin)
                except PinRequired:
                    pin = await self._ask(shown)
            raise UnusableKey(f"the security key takes none of the PINs for {shown}")

    async def _ask(self, shown: str) -> str:
        pin = await self._pin(f"Enter PIN for {shown}: ")
        if pin is None:
            raise UnusableKey(f"the PIN for {shown} was not given")
        return pin

    def _check_websafe(self, key: PublicKey, plain: SecurityPublicKey, data: bytes) -> None:
        if not self._websafe_only or plain.application.startswith(_FOR_SSH) or is_sshsig(data):
            return
        try:
            decode_login(data, key)
        except (KeyFormatError, MalformedMessage):
            raise UnusableKey(
                f"{key!r} was not made for SSH, and the data may be a login to a web site"
            ) from None


def is_security_key(key: PublicKey) -> bool:
    """Return whether a key, or the key of a certificate, is on a security key."""
    return isinstance(key.plain, SecurityPublicKey)
