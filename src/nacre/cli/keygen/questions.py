"""What ``nacre keygen`` asks: file names, passphrases, whether to overwrite."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from nacre.cli.keygen.arguments import KeygenOptions, Refused
from nacre.cli.keygen.keyfiles import load
from nacre.errors import PassphraseRequired, UnusableKey
from nacre.keys import PrivateKey
from nacre.keys.fingerprint import family

DEFAULT_TYPE = "ed25519"

FILES = {
    "rsa1": "identity",
    "rsa": "id_rsa",
    "rsa-sha2-256": "id_rsa",
    "rsa-sha2-512": "id_rsa",
    "dsa": "id_dsa",
    "ecdsa": "id_ecdsa",
    "ecdsa-sk": "id_ecdsa_sk",
    "ed25519": "id_ed25519",
    "ed25519-sk": "id_ed25519_sk",
    "ed448": "id_ed448",
    "mldsa44-ed25519": "id_mldsa44_ed25519",
}
"""For each type the usual name of its file in ``~/.ssh``."""


def home_file(name: str) -> Path:
    """Return the path of a file in ``~/.ssh``."""
    return Path(os.path.expanduser("~"), ".ssh", name)


def ask_secret(text: str) -> str:
    """Return the user's answer, which the terminal does not show.

    Where there is no terminal it is a line of standard input.

    :raises Refused: there is no answer.
    """
    import asyncio

    from nacre.cli.common.prompts import prompt

    answer = asyncio.run(prompt(text, False))
    if answer is None and not sys.stdin.isatty():
        line = sys.stdin.buffer.readline()
        answer = os.fsdecode(line.rstrip(b"\r\n")) if line else None
    if answer is None:
        raise Refused(f"no answer to {text.strip()!r}: run this on a terminal, or give -N and -P")
    return answer


def ask_line(text: str) -> str:
    """Ask on standard output, and return a line of standard input.

    :raises Refused: there is none.
    """
    print(text, end="", flush=True)
    line = sys.stdin.buffer.readline()
    if not line:
        print()
        raise Refused(f"no answer to {text.strip().rpartition(chr(10))[2]!r}")
    return os.fsdecode(line.rstrip(b"\r\n"))


def key_file(options: KeygenOptions, what: str) -> Path:
    """Return the file of ``-f``, or the one that the user names; by default the usual one.

    :param what: such as ``in which the key is``.
    """
    if options.file is not None:
        return options.file
    type = (options.value("t") or DEFAULT_TYPE).lower()
    # The type may be given by its name on the wire.
    usual = home_file(FILES.get(type) or FILES.get(family(type).lower(), FILES[DEFAULT_TYPE]))
    answer = ask_line(f"Enter file {what} ({usual}): ")
    return Path(answer) if answer else usual


def confirm_overwrite(path: Path) -> None:
    """Ask whether to overwrite a file, if there is one.

    :raises Refused: the answer is not yes.
    """
    if path.exists():
        answer = ask_line(f"{path} already exists.\nOverwrite (y/n)? ")
        if not answer.lower().startswith("y"):
            raise Refused("")


def new_passphrase(what: str, *, again: bool) -> str:
    """Return a new passphrase that was typed twice.

    :param what: such as ``new passphrase``.
    :param again: whether to ask again if the two differ, or to end the program.
    :raises Refused: the two differ, or there is no answer.
    """
    while True:
        first = ask_secret(f"Enter {what} (empty for no passphrase): ")
        if ask_secret("Enter same passphrase again: ") == first:
            return first
        if not again:
            raise Refused("Pass phrases do not match.  Try again.")
        print("Passphrases do not match.  Try again.")


def load_asking(
    path: Path, passphrase: str | None, question: str = "Enter passphrase: "
) -> tuple[PrivateKey, str]:
    """Return a private key and its passphrase; ask for that if the key needs one.

    :param passphrase: that of ``-P``: if there is one, nothing is asked.
    :raises OSError: the file can't be read.
    :raises UnusableKey: it has no key that can be used, or the passphrase is wrong.
    """
    secret = passphrase or ""
    try:
        try:
            return load(path, secret), secret
        except PassphraseRequired:
            if passphrase is not None:
                raise
        secret = ask_secret(question)
        return load(path, secret), secret
    except UnusableKey as error:
        raise type(error)(f'Load key "{path}": {error}') from None
