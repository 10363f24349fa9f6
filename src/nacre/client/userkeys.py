"""The keys a user can log in with: in hand, in files, in an agent.

Start at :class:`KeySources`, which finds them; each one is a :class:`UserKey`.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeAlias

from nacre.agent.client import Agent
from nacre.errors import KeyFormatError, PassphraseRequired, UnusableKey
from nacre.keys.base import PrivateKey, PublicKey
from nacre.keys.files import MAXIMUM_SIZE, is_private, load_private, load_public, public_half
from nacre.value import value

SSH1_FILE = "~/.ssh/identity"
DEFAULT_FILES = ("~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa", "~/.ssh/id_dsa")

_SLOW = {"ssh-rsa", "rsa1"}
"""Types of keys that take milliseconds to sign; others take less than a call in a thread."""

Unlock: TypeAlias = Callable[[str, int], Awaitable[str | None]]
"""Gets a key file's name and how many passphrases were wrong; returns one more, or None."""


class UserKey(Protocol):
    """A key to offer; its private half may be elsewhere, or still encrypted.

    :ivar source: where it is from, for humans.
    :ivar at_hand: whether it signs without a passphrase and without an agent.
    """

    public: PublicKey
    source: str
    at_hand: bool

    async def sign(self, data: bytes, algorithm: str) -> bytes:
        """Return a signature in its wire form.

        :raises UnusableKey: the private half is not available.
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


@value
class PublicHalf:
    """A file with a public key, whose private half an agent may hold."""

    path: Path


class KeySources:
    """Finds a user's keys: those in hand, those in files, those of an agent.

    :param held: private keys in hand.
    :param files: key files by name; None means the default ones, where they exist.
    :param agent: the agent to ask, or None.
    :param identities_only: leave out keys of the agent that no file names.
    :param unlock: called for the passphrase of an encrypted file.
    :param notice: gets text for the human, and ``debug`` details.
    :ivar strict: whether a named file that can't be used is an error.
    :ivar unusable: why files were left out, each a text with the file's name.
    """

    def __init__(
        self,
        held: Sequence[PrivateKey],
        files: Sequence[str | os.PathLike[str]] | None,
        agent: Agent | None,
        *,
        identities_only: bool,
        unlock: Unlock,
        notice: Callable[[str], None],
        debug: Callable[[str], None],
        strict: bool = False,
    ) -> None:
        self.strict = strict and files is not None
        self.unusable: list[str] = []
        self._held = tuple(held)
        self._files = files
        self._agent = agent
        self._identities_only = identities_only
        self._unlock = unlock
        self._notice = notice
        self._debug = debug

    async def gather(self, *, ssh1: bool) -> tuple[list[UserKey], list[UserKey]]:
        """Return the keys the user named, and the others, each in the order to offer them.

        :param ssh1: return RSA1 keys of the agent, and the default file of SSH-1.
        :raises UnusableKey: a named file can't be used, with ``strict``.
        """
        agent = await self._agent_keys(ssh1=ssh1)
        named: dict[PublicKey, UserKey] = {key.public: HeldKey(key) for key in self._held}
        unnamed: dict[PublicKey, UserKey] = {}
        files = await self._file_keys(ssh1=ssh1)
        for public, key in files.items():
            known = agent.pop(public, None) or key
            if isinstance(known, PublicHalf):
                self._leave_out(
                    UnusableKey(
                        f"{known.path} has a public key only, and no agent holds its private half: "
                        "name the file of the private key"
                    )
                )
            else:
                (named if self._files is not None else unnamed).setdefault(public, known)
        if not self._identities_only:
            unnamed = agent | unnamed
        others = [key for public, key in unnamed.items() if public not in named]
        return list(named.values()), others

    async def _agent_keys(self, *, ssh1: bool) -> dict[PublicKey, UserKey]:
        if self._agent is None:
            return {}
        try:
            found = await (self._agent.rsa1_keys() if ssh1 else self._agent.keys())
        except UnusableKey as error:
            self._debug(str(error))
            return {}
        return {key: AgentKey(self._agent, key, comment or "agent") for key, comment in found}

    async def _file_keys(self, *, ssh1: bool) -> dict[PublicKey, UserKey | PublicHalf]:
        """Return the keys of the files, in order."""
        found: dict[PublicKey, UserKey | PublicHalf] = {}
        for path in self.paths(ssh1=ssh1):
            try:
                key = await open_file(path, self._unlock)
            except UnusableKey as error:
                named = str(path) in str(error)
                problem = error if named else type(error)(f"{path}: {error}")
                self._notice(str(problem))
                self._leave_out(problem)
                continue
            if isinstance(key, PublicKey):
                found.setdefault(key, PublicHalf(path))
            elif key is not None:
                found[key.public] = key
            elif self._files is not None:
                self._notice(
                    f"Warning: Identity file {path} not accessible: No such file or directory."
                )
                self._leave_out(UnusableKey(f"there is no key file {path}: check its name"))
        return found

    def _leave_out(self, problem: UnusableKey) -> None:
        if self.strict:
            raise problem
        self.unusable.append(str(problem))

    def paths(self, *, ssh1: bool) -> list[Path]:
        """Return the key files to read."""
        default = (SSH1_FILE,) if ssh1 else DEFAULT_FILES
        names = default if self._files is None else self._files
        return [Path(os.path.expanduser(name)) for name in names]


async def unlock(text: bytes, source: str, passphrase: Unlock) -> PrivateKey:
    """Decrypt a key file, asking for passphrases until one fits.

    :raises PassphraseRequired: no further passphrase was given.
    """
    wrong = 0
    while (secret := await passphrase(source, wrong)) is not None:
        try:
            # bcrypt takes a tenth of a second or more, on purpose.
            return await asyncio.to_thread(load_private, text, secret)
        except PassphraseRequired:
            wrong += 1
    reason = "the passphrase given is wrong" if wrong else "no passphrase for it was given"
    raise PassphraseRequired(f"{source} is encrypted, and {reason}")


async def open_file(path: Path, passphrase: Unlock) -> UserKey | PublicKey | None:
    """Return the key of a file; only its public half if there is no private one.

    None if there is no such file.

    :raises UnusableKey: other users may read the file, or it has no usable key.
    """
    text, public_text = await asyncio.to_thread(_read, path)
    if text is None:
        return load_public(public_text)[0] if public_text is not None else None
    if not is_private(text):
        # `-i key.pub` selects the agent's key with this public half.
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
    """Check that no other user can read a private key's file.

    :raises UnusableKey: another user can.
    """
    status = path.stat()
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid == os.getuid() and mode & 0o077:
        raise UnusableKey(
            f"{path} is not used: its permissions {mode:04o} let others read it; "
            f"make it yours alone: chmod 600 {path}"
        )
