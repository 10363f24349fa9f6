"""``nacre add``: the agent gets the keys of files, each with the certificate beside it."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

from nacre.agent.client import Agent
from nacre.cli.add.arguments import AddOptions
from nacre.cli.add.constraints import constraints
from nacre.cli.add.keyfiles import STANDARD_INPUT, chosen, content
from nacre.cli.add.talk import ask_secret, complain
from nacre.client.userkeys import beside
from nacre.errors import PassphraseRequired, UnusableKey
from nacre.keys import PrivateKey, load_private, load_public
from nacre.keys.agents.constraints import Constraints
from nacre.keys.certificate import Certificate, CertifiedKey
from nacre.keys.files import MAXIMUM_SIZE
from nacre.value import replace
from nacre.wire.text import safe

_FRAME = "@" * 59
_UNPROTECTED = "@         WARNING: UNPROTECTED PRIVATE KEY FILE!          @"
_SECURITY_KEY = "sk-"


async def run(agent: Agent, options: AddOptions) -> bool:
    """Add the keys of the files; return whether all of them were added."""
    adding = _Adding(agent, options, constraints(options))
    return all([await adding.add(path) for path in chosen(options)])


class _Adding:
    """Adds one file after the other; a passphrase is tried on the next file too."""

    def __init__(self, agent: Agent, options: AddOptions, constraints: Constraints) -> None:
        self._agent = agent
        self._options = options
        self._constraints = constraints
        self._passphrase = ""
        provider = options.value("S") or os.environ.get("SSH_SK_PROVIDER")
        self._provider = provider or "internal"

    async def add(self, path: Path) -> bool:
        """Add the key of a file and its certificate; return whether one was added."""
        name = "(stdin)" if path == STANDARD_INPUT else str(path)
        try:
            key = await self._load(path, name)
        except UnusableKey as error:
            complain(f'Error loading key "{name}": {error}')
            return False
        if key is None:
            return False
        key.comment = key.comment or name
        done = False
        if "C" not in self._options:
            done = await self._give(key, f"Identity added: {name} ({safe(key.comment)})", name)
        if "k" not in self._options and path != STANDARD_INPUT:
            done = await self._add_certificate(key, path) or done
        return done

    async def _load(self, path: Path, name: str) -> PrivateKey | None:
        """Return the private key of a file; None if a message has told why not.

        :raises UnusableKey: the file has no usable key.
        """
        if path == STANDARD_INPUT:
            text = sys.stdin.buffer.read(MAXIMUM_SIZE + 1)
        else:
            try:
                text = content(path)
            except UnusableKey as error:
                complain(f"{name}: {error}")
                return None
            if not _is_private(path):
                return None
        for secret in dict.fromkeys(("", self._passphrase)):
            try:
                return load_private(text, secret)
            except PassphraseRequired:
                pass
        return await self._unlock(text, name)

    async def _unlock(self, text: bytes, name: str) -> PrivateKey | None:
        """Ask for passphrases until one fits, or none is given."""
        confirmed = " (will confirm each use)" if "c" in self._options else ""
        question = "Enter passphrase for"
        while passphrase := await ask_secret(f"{question} {name}{confirmed}: "):
            try:
                key = load_private(text, passphrase)
            except PassphraseRequired:
                question = "Bad passphrase, try again for"
            else:
                self._passphrase = passphrase
                return key
        return None

    async def _add_certificate(self, key: PrivateKey, path: Path) -> bool:
        file = beside(path)
        try:
            if not file.exists():
                return False
            certificate = load_public(content(file))[0]
        except UnusableKey as error:
            complain(f'Failed to load certificate "{file}": {error}')
            return False
        if not isinstance(certificate, Certificate) or certificate.key != key.public:
            complain(f"Certificate {file} does not match private key {path}")
            return False
        said = f"Certificate added: {file} ({safe(certificate.key_id)})"
        return await self._give(CertifiedKey(certificate, key), said, str(file))

    async def _give(self, key: PrivateKey, said: str, name: str) -> bool:
        wanted = self._constraints
        if key.public.plain.type.startswith(_SECURITY_KEY):
            wanted = replace(wanted, provider=self._provider)
        try:
            await self._agent.add(key, wanted)
        except UnusableKey as error:
            complain(f'Could not add identity "{name}": {error}')
            return False
        if "q" not in self._options:
            complain(said)
            if wanted.lifetime:
                complain(f"Lifetime set to {wanted.lifetime} seconds")
            if wanted.confirm:
                complain("The user must confirm each use of the key")
        return True


def _is_private(path: Path) -> bool:
    """Return whether others can't read a file; tell it if they can."""
    status = path.stat()
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid != os.getuid() or not mode & 0o077:
        return True
    complain(
        f"{_FRAME}\n{_UNPROTECTED}\n{_FRAME}\n"
        f"Permissions {mode:04o} for '{path}' are too open.\n"
        "It is required that your private key files are NOT accessible by others.\n"
        f"This private key will be ignored: chmod 600 {path}"
    )
    return False
