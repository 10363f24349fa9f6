"""``nacre keygen``: make keys for users and hosts; show and change key files."""

from __future__ import annotations

import asyncio
import getpass
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from nacre.cli.common.start import FAILURE
from nacre.cli.help.grouped import Grouped
from nacre.errors import KeyFormatError, NacreError, PassphraseRequired
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.keys import PrivateKey, PublicKey

_FILES = {"rsa1": "identity", "rsa": "id_rsa", "ecdsa": "id_ecdsa", "ed25519": "id_ed25519"}
_CURVES = {256: "nistp256", 384: "nistp384", 521: "nistp521"}
_HASHES = ("md5", "sha1", "sha256", "sha384", "sha512")


# ssh-keygen has a -h of its own.
@click.command("keygen", cls=Grouped, context_settings={"help_option_names": ["--help"]})
@click.option(
    "-t",
    "type_",
    type=click.Choice([*_FILES]),
    default="ed25519",
    show_default=True,
    help="The type of the new key. RSA1 keys work with SSH-1 only.",
)
@click.option(
    "-b",
    "bits",
    type=int,
    metavar="BITS",
    help="The size of the new key. By default 3072 for rsa, 2048 for rsa1, 256 for ecdsa.",
)
@click.option(
    "-f", "file", metavar="FILE", help="The private key's file. FILE.pub has the public half."
)
@click.option("-N", "new", metavar="PASSPHRASE", help="The new passphrase; '' for none.")
@click.option("-P", "old", metavar="PASSPHRASE", help="The present passphrase of the file.")
@click.option("-C", "comment", metavar="TEXT", help="The comment; by default user@host.")
@click.option(
    "-a",
    "rounds",
    type=click.IntRange(1, 2048),
    default=16,
    show_default=True,
    help="Rounds of bcrypt. More of them make guessing the passphrase slower.",
)
@click.option("-l", "fingerprint", is_flag=True, help="Show the fingerprints of the keys in FILE.")
@click.option(
    "-E",
    "hash_name",
    type=click.Choice(_HASHES),
    default="sha256",
    show_default=True,
    help="The hash of fingerprints.",
)
@click.option("-y", "show", is_flag=True, help="Print the public half of a private key.")
@click.option("-p", "change", is_flag=True, help="Change the passphrase of a private key.")
@click.option("-c", "rename", is_flag=True, help="Change the comment of a key.")
@click.option(
    "-R",
    "host",
    metavar="HOST",
    help="Remove the keys of a host from known_hosts. [HOST]:PORT for another port than 22.",
)
@click.option("-q", "quiet", is_flag=True, help="Print only questions and errors.")
def command(
    type_: str,
    bits: int | None,
    file: str | None,
    new: str | None,
    old: str | None,
    comment: str | None,
    rounds: int,
    fingerprint: bool,
    hash_name: str,
    show: bool,
    change: bool,
    rename: bool,
    host: str | None,
    quiet: bool,
) -> None:
    """Make a key, or show or change one, as ssh-keygen does.

    What -N, -P and -f do not give is asked for. Passphrases are read from the terminal, from the
    program that SSH_ASKPASS names, or else from standard input.
    """
    if fingerprint + show + change + rename + (host is not None) > 1:
        raise click.UsageError("-l, -y, -p, -c and -R exclude each other: give one of them")

    def inform(text: str) -> None:
        if not quiet:
            click.echo(text)

    try:
        if host is not None:
            _remove_host(Path(file or os.path.expanduser("~/.ssh/known_hosts")), host, inform)
        elif fingerprint or show or change or rename:
            path = _asked_path(file, type_, "in which the key is")
            if fingerprint:
                _show_fingerprints(path, hash_name)
            elif show:
                from nacre.cli.keygen.keyfiles import line

                click.echo(line(_load(path, old, "Enter passphrase: ")[0]))
            elif change:
                _change_passphrase(path, old, new, rounds, inform)
            else:
                _change_comment(path, old, comment, rounds, inform)
        else:
            _generate(type_, bits, file, new, comment, rounds, inform)
    except OSError as error:
        _fail(f"{file or error.filename}: {error.strerror}", FAILURE)
    except NacreError as error:
        _fail(str(error), FAILURE)


def _fail(text: str, status: int = 1) -> NoReturn:
    """End the program: with 1 if the user or the system refused, FAILURE if a key is unusable."""
    click.echo(safe(text, 4096, keep="\n"), err=True)
    sys.exit(status)


# --- questions ---


def _ask(text: str, *, echo: bool = False) -> str:
    """Return the user's answer; end the program if there is none."""
    from nacre.cli.common.prompts import prompt

    answer = asyncio.run(prompt(text, echo))
    if answer is None and not sys.stdin.isatty():
        line = sys.stdin.buffer.readline()
        answer = os.fsdecode(line.rstrip(b"\r\n")) if line else None
    if answer is None:
        _fail(f"no answer to {text.strip()!r}: run this on a terminal, or give -N and -P")
    return answer


def _ask_line(text: str) -> str:
    """Ask on standard output, and return a line of standard input."""
    click.echo(text, nl=False)
    line = sys.stdin.buffer.readline()
    if not line:
        click.echo()
        sys.exit(1)
    return os.fsdecode(line.rstrip(b"\r\n"))


def _asked_path(file: str | None, type_: str, what: str) -> Path:
    if file is None:
        default = Path(os.path.expanduser("~"), ".ssh", _FILES[type_])
        file = _ask_line(f"Enter file {what} ({default}): ") or str(default)
    return Path(file)


def _asked_passphrase(what: str, *, again: bool) -> str:
    """Return a new passphrase that was typed twice.

    :param again: whether to ask again if the two differ, or to end the program.
    """
    while True:
        first = _ask(f"Enter {what} (empty for no passphrase): ")
        if _ask("Enter same passphrase again: ") == first:
            return first
        if not again:
            _fail("Pass phrases do not match.  Try again.")
        click.echo("Passphrases do not match.  Try again.")


# --- actions ---


def _generate(
    type_: str,
    bits: int | None,
    file: str | None,
    new: str | None,
    comment: str | None,
    rounds: int,
    inform: Callable[[str], None],
) -> None:
    from nacre.cli.keygen.keyfiles import public_path, save, save_public
    from nacre.keys import generate

    name, size = _wire_type(type_, bits)
    inform(f"Generating public/private {type_} key pair.")
    if type_ == "rsa1":
        inform(
            "An RSA1 key works with SSH-1 only, which is weak: use it only for hosts without SSH-2."
        )
    path = _asked_path(file, type_, "in which to save the key")
    _make_directory(path.parent, inform)
    _confirm_overwrite(path)
    passphrase = _asked_passphrase("passphrase", again=True) if new is None else new
    about = f"{getpass.getuser()}@{socket.gethostname()}" if comment is None else comment
    key = generate(name, bits=size, comment=about)
    try:
        save(path, key, passphrase, rounds)
        inform(f"Your identification has been saved in {path}")
        save_public(path, key)
    except OSError as error:
        _fail(f'Saving key "{path}" failed: {error.strerror}')
    inform(f"Your public key has been saved in {public_path(path)}")
    inform(f"The key fingerprint is:\n{key.public.fingerprint()} {safe(key.comment)}")


def _wire_type(type_: str, bits: int | None) -> tuple[str, int | None]:
    """Return the type and the size for :func:`nacre.generate`."""
    if type_ == "ecdsa":
        curve = _CURVES.get(bits or 256)
        if curve is None:
            raise KeyFormatError("Invalid ECDSA key length: valid lengths are 256, 384 or 521 bits")
        return f"ecdsa-sha2-{curve}", None
    if type_ == "ed25519":
        return "ssh-ed25519", None  # ssh-keygen ignores -b for it, too
    return {"rsa": "ssh-rsa"}.get(type_, type_), bits


def _make_directory(path: Path, inform: Callable[[str], None]) -> None:
    """Make ``~/.ssh`` if ``path`` is that; other directories must exist."""
    if path == Path(os.path.expanduser("~"), ".ssh") and not path.exists():
        path.mkdir(mode=0o700)
        inform(f"Created directory '{path}'.")


def _confirm_overwrite(path: Path) -> None:
    if path.exists():
        answer = _ask_line(f"{path} already exists.\nOverwrite (y/n)? ")
        if not answer.lower().startswith("y"):
            sys.exit(1)


def _show_fingerprints(path: Path, hash_name: str) -> None:
    from nacre.cli.keygen.keyfiles import keys_in

    keys = [*keys_in(path)]
    if not keys:
        raise KeyFormatError(f"{path} is not a public key file.")
    for key, comment in keys:
        click.echo(_described(key, comment, hash_name))


def _remove_host(path: Path, host: str, inform: Callable[[str], None]) -> None:
    from nacre.cli.keygen.keyfiles import forget_host

    lines = forget_host(path, host)
    if not lines:
        _fail(f"Host {host} not found in {path}", FAILURE)
    for number in lines:
        inform(f"# Host {safe(host)} found: line {number}")
    inform(f"{path} updated.\nOriginal contents retained as {path}.old")


def _described(key: PublicKey, comment: str, hash_name: str) -> str:
    from nacre.client.trust.files import family

    mark = key.fingerprint(hash_name)
    return f"{key.bits} {mark} {safe(comment)} ({family(key.type)})"


def _load(path: Path, passphrase: str | None, question: str) -> tuple[PrivateKey, str]:
    """Return a private key and its passphrase; ask ``question`` if the key needs one."""
    from nacre.cli.keygen.keyfiles import load

    secret = passphrase or ""
    try:
        try:
            return load(path, secret), secret
        except PassphraseRequired:
            if passphrase is not None:
                raise
        secret = _ask(question)
        return load(path, secret), secret
    except NacreError as error:
        _fail(f'Load key "{path}": {error}', FAILURE)


def _change_passphrase(
    path: Path, old: str | None, new: str | None, rounds: int, inform: Callable[[str], None]
) -> None:
    from nacre.cli.keygen.keyfiles import save

    key, _ = _load(path, old, "Enter old passphrase: ")
    inform(f"Key has comment '{safe(key.comment)}'")
    if new is None:
        new = _asked_passphrase("new passphrase", again=False)
    save(path, key, new, rounds)
    inform("Your identification has been saved with the new passphrase.")


def _change_comment(
    path: Path, old: str | None, comment: str | None, rounds: int, inform: Callable[[str], None]
) -> None:
    from nacre.cli.keygen.keyfiles import save, save_public

    key, passphrase = _load(path, old, "Enter passphrase: ")
    inform(f"Old comment: {safe(key.comment)}" if key.comment else "No existing comment")
    key.comment = _ask_line("New comment: ") if comment is None else comment
    save(path, key, passphrase, rounds)
    save_public(path, key)
    inform(f"Comment '{safe(key.comment)}' applied" if key.comment else "Comment was removed")
