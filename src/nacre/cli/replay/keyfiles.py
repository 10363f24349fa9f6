"""The key pair of sealed recordings, in files: PKCS#8 and SubjectPublicKeyInfo, in PEM."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from nacre.cli.common.prompts import prompt
from nacre.crypto.sealing import SealKey, dump_seal_public
from nacre.daemon.recording.container import key_name
from nacre.daemon.state import write_once
from nacre.errors import ConfigurationError, PassphraseRequired, StateError

_MOST = 64 * 1024


def make_pair(file: Path, *, protect: bool) -> int:
    """Write a new pair; returns the exit status.

    :param protect: ask for a passphrase, which may be empty.
    :raises NacreError: there is such a file, or it can't be written.
    """
    public = file.with_name(f"{file.name}.pub")
    for one in (file, public):
        if one.exists():
            raise StateError(f"{one} is there already: remove it, or name another one")
    passphrase = _new_passphrase() if protect else None
    key = SealKey.generate()
    try:
        write_once(file, key.dump(passphrase))
        write_once(public, dump_seal_public(key.public))
        public.chmod(0o644)
    except OSError as error:
        raise StateError(f"can't write the key: {error}") from error
    click.echo(f"the private key is in {file}, the public one in {public}: {key_name(key.public)}")
    return 0


def load_key(file: Path) -> SealKey:
    """Return the private key of a file; the user is asked for its passphrase.

    :raises NacreError: it can't be read.
    """
    try:
        with file.open("rb") as opened:
            pem = opened.read(_MOST)
    except OSError as error:
        raise ConfigurationError(f"--key {file}: {error.strerror}") from error
    try:
        return SealKey.load(pem)
    except PassphraseRequired:
        return SealKey.load(pem, _asked(f"Passphrase of {file}: "))


def _asked(question: str) -> bytes:
    answer = asyncio.run(prompt(question, False))
    if answer is None:
        raise PassphraseRequired("there is nobody to ask for the passphrase")
    return answer.encode("utf-8", "surrogateescape")


def _new_passphrase() -> bytes | None:
    first = _asked("Passphrase, or nothing for none: ")
    if first != _asked("The same again: "):
        raise ConfigurationError("the passphrases differ")
    return first or None
