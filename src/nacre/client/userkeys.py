"""The keys a user can log in with: in files, in an agent, in hand."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol, TypeAlias

from nacre.client.agent import Agent
from nacre.errors import KeyFormatError, PassphraseRequired, UnusableKey
from nacre.keys.base import PrivateKey, PublicKey
from nacre.keys.files import MAXIMUM_SIZE, is_private, load_private, load_public, public_half

SSH1_FILE = "~/.ssh/identity"
DEFAULT_FILES = ("~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa", "~/.ssh/id_dsa")

_SLOW = {"ssh-rsa", "rsa1"}
"""Types of keys that take milliseconds to sign; others take less than to ask a thread."""

Unlock: TypeAlias = Callable[[str, int], Awaitable[str | None]]
"""Gets a key file's name and how many passphrases were wrong; returns one more, or None."""


class UserKey(Protocol):
    """A key to offer; its private half may be elsewhere, or still encrypted.

    :ivar source: where it is from, for humans.
    :ivar at_hand: it signs without asking anybody for anything.
    """

    public: PublicKey
    source: str
    at_hand: bool

    async def sign(self, data: bytes, algorithm: str) -> bytes:
        """Return a signature in its wire form.

        :raises UnusableKey: the private half can't be had.
        """


class HeldKey:
    """A private key in hand."""

    at_hand = True

    def __init__(self, key: PrivateKey, source: str = "") -> None:
        self._key = key
        self.public = key.public
        self.source = source or key.comment

    async def sign(self, data: bytes, algorithm: str) -> bytes:
        if self.public.type not in _SLOW:
            return self._key.sign(data, algorithm)
        return await asyncio.to_thread(self._key.sign, data, algorithm)


class AgentKey:
    """A key that an agent holds."""

    at_hand = False

    def __init__(self, agent: Agent, public: PublicKey, source: str) -> None:
        self._agent = agent
        self.public = public
        self.source = source

    async def sign(self, data: bytes, algorithm: str) -> bytes:
        return await self._agent.sign(self.public, data, algorithm)


class LockedFile:
    """A key file whose passphrase is asked for when a signature is needed, and not before."""

    at_hand = False

    def __init__(self, path: Path, text: bytes, public: PublicKey, unlock: Unlock) -> None:
        self._text = text
        self._unlock = unlock
        self._key: PrivateKey | None = None
        self.public = public
        self.source = str(path)

    async def sign(self, data: bytes, algorithm: str) -> bytes:
        if self._key is None:
            self._key = await unlock(self._text, self.source, self._unlock)
        if self._key.public != self.public:
            raise UnusableKey(f"{self.source} does not belong to {self.source}.pub")
        return await asyncio.to_thread(self._key.sign, data, algorithm)


async def unlock(text: bytes, source: str, passphrase: Unlock) -> PrivateKey:
    """Decrypt a key file with the passphrases that are given until one fits.

    :raises PassphraseRequired: no further passphrase was given.
    """
    wrong = 0
    while (secret := await passphrase(source, wrong)) is not None:
        try:
            # bcrypt takes a tenth of a second and more, by intent.
            return await asyncio.to_thread(load_private, text, secret)
        except PassphraseRequired:
            wrong += 1
    raise PassphraseRequired(f"{source} is encrypted, and no passphrase for it was given")


async def open_file(path: Path, passphrase: Unlock) -> UserKey | PublicKey | None:
    """Return the key of a file; only its public half where the private one is missing.

    None when there is no such file.

    :raises UnusableKey: others may read the file, or there is no key in it that can be had.
    """
    text, public_text = await asyncio.to_thread(_read, path)
    if text is None:
        return load_public(public_text)[0] if public_text is not None else None
    if not is_private(text):
        # `-i key.pub` chooses the agent's key of that name, or the file beside it.
        return load_public(text)[0]
    try:
        return HeldKey(await asyncio.to_thread(load_private, text), str(path))
    except PassphraseRequired:
        if (public := public_half(text)) is not None:
            return LockedFile(path, text, public, passphrase)
        if public_text is not None:
            return LockedFile(path, text, load_public(public_text)[0], passphrase)
        return HeldKey(await unlock(text, str(path), passphrase), str(path))


def _read(path: Path) -> tuple[bytes | None, bytes | None]:
    private = _content(path)
    if private is not None and is_private(private):
        check_private(path)
    return private, _content(path.with_name(f"{path.name}.pub"))


def _content(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            text = file.read(MAXIMUM_SIZE + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UnusableKey(f"can't read {path}: {error.strerror}") from error
    if len(text) > MAXIMUM_SIZE:
        raise KeyFormatError(f"{path} is too large for a key file")
    return text


def check_private(path: Path) -> None:
    """Check that nobody else can read a private key's file.

    :raises UnusableKey: somebody can.
    """
    status = path.stat()
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid == os.getuid() and mode & 0o077:
        raise UnusableKey(
            f"{path} is not used: its permissions {mode:04o} let others read it; "
            f"make it yours alone: chmod 600 {path}"
        )
