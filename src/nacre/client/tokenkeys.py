"""Logins with keys on security keys of this machine: the human touches them, and types the PIN."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from nacre.errors import UnusableKey
from nacre.keys.base import PrivateKey
from nacre.keys.fingerprint import family
from nacre.wire.text import safe


async def sign(
    key: PrivateKey,
    data: bytes,
    source: str,
    *,
    pin: Callable[[str, int], Awaitable[str | None]],
    notice: Callable[[str], None],
    provider: str | None = None,
) -> bytes:
    """Return a signature of a key whose private half is on a security key, in its wire form.

    :param source: the file of the key, for the human.
    :param pin: gets a question and how many PINs were wrong; returns one more, or None.
    :param notice: gets text for the human.
    :param provider: the library that reaches the security key, ``internal``, or None: that of the
        environment.
    :raises UnusableKey: no security key signs: none is there that has the key, it was not touched
        in time, or no PIN was given.
    """
    from nacre.agent import providers
    from nacre.keys.families.security_key import PinRequired, SecurityFlags, SecurityPrivateKey

    private = key.plain
    if not isinstance(private, SecurityPrivateKey):
        raise UnusableKey(f"{source}: another program holds this private key")
    what = f"{family(private.public.type)} key"
    if private.flags & SecurityFlags.TOUCH:
        notice(f"Confirm user presence for {what} {private.public.fingerprint()}")
    given: str | None = None
    wrong = 0
    while True:
        try:
            return await providers.sign(providers.provider_of(provider), private, data, given)
        except PinRequired:
            question = f"Enter PIN for {what} {safe(source)}: "
            given = await pin(question, wrong)
            wrong += 1
            if not given:
                raise UnusableKey(f"{source}: no PIN was given for the security key") from None
