"""Key files as ssh-keygen(1) keeps them: a private one of mode 0600, and ``.pub`` beside it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from pathlib import Path

from nacre.cli.keygen.arguments import KeygenOptions
from nacre.client.hostfile import replace, update
from nacre.client.userkeys import check_private
from nacre.errors import KeyFormatError, PassphraseRequired
from nacre.keys import (
    PrivateKey,
    PublicKey,
    authorized_keys,
    decode_public,
    dump_private,
    load_private,
    load_public,
)
from nacre.keys.files import MAXIMUM_SIZE, PrivateKeyFormat, is_private, public_half
from nacre.keys.known_hosts import KnownHost, KnownHosts
from nacre.keys.openssh import DEFAULT_CIPHER

PUBLIC_MODE = 0o644
NO_COMMENT = "no comment"

_FORMATS: dict[str, PrivateKeyFormat] = {"RFC4716": "openssh", "PKCS8": "pkcs8", "PEM": "pem"}
"""For each format of ``-m`` the one of private keys; the first stands for OpenSSH's own."""

_WITH_PEM = ("ssh-rsa", "ecdsa-sha2-", "ssh-dss")
"""Families that ssh-keygen writes in PEM and PKCS#8; for others it ignores ``-m``."""


def public_path(path: Path) -> Path:
    """Return the file of the public half of ``path``."""
    return path.with_name(f"{path.name}.pub")


def read(path: Path) -> bytes:
    """Return the content of a key file; ``-`` is standard input.

    :raises OSError: it can't be read.
    :raises KeyFormatError: it is too large.
    """
    with nullcontext(sys.stdin.buffer) if str(path) == "-" else path.open("rb") as file:
        text: bytes = file.read(MAXIMUM_SIZE + 1)
    if len(text) > MAXIMUM_SIZE:
        raise KeyFormatError(f"larger than {MAXIMUM_SIZE} bytes: this is not a key file")
    return text


def load(path: Path, passphrase: str | None = None) -> PrivateKey:
    """Return the private key in a file; without a comment it gets that of the ``.pub`` file.

    :raises OSError: the file can't be read.
    :raises UnusableKey: other users may read it, or it has no private key of a supported type.
    :raises PassphraseRequired: it is encrypted and the passphrase is missing or wrong.
    """
    text = read(path)
    if is_private(text):
        check_private(path)
    key = load_private(text, passphrase)
    key.comment = key.comment or _comment(path, key.public)
    return key


def _comment(path: Path, key: PublicKey) -> str:
    """Return the comment in ``path.pub``, or "" if that file is of another key."""
    with suppress(OSError, KeyFormatError):
        beside, comment = load_public(read(public_path(path)))
        return comment if beside == key else ""
    return ""


def save(path: Path, key: PrivateKey, passphrase: str | None, options: KeygenOptions) -> None:
    """Write a private key, mode 0600, atomically: on an error the former file stays.

    The format is that of ``-m``, which ssh-keygen heeds for families that it has it for, with the
    cipher of ``-Z`` and the rounds of ``-a``.

    :raises OSError: the file can't be written.
    :raises UnusableKey: the format has no such key.
    """
    format = _FORMATS[(options.value("m") or "RFC4716").upper()]
    content = dump_private(
        key,
        passphrase,
        format=format if key.public.type.startswith(_WITH_PEM) else "openssh",
        cipher=options.value("Z") or DEFAULT_CIPHER,
        rounds=options.rounds,
    )
    replace(path, content, 0o600)


def save_public(path: Path, key: PrivateKey) -> None:
    """Write the public half of a key to ``path.pub``.

    :raises OSError: the file can't be written.
    """
    replace(public_path(path), f"{line(key)}\n".encode("utf-8", "surrogateescape"), PUBLIC_MODE)


def line(key: PrivateKey) -> str:
    """Return the line of a ``.pub`` file."""
    # A line end in the comment would start another key.
    return " ".join([str(key.public), *key.comment.split()])


def forget_host(path: Path, host: str) -> tuple[int, ...]:
    """Remove the keys of a host from a ``known_hosts`` file, and keep the former one as ``.old``.

    :param host: as the file writes it: ``host``, or ``[host]:port``.
    :returns: the numbers of the lines that are gone; the file is untouched if there are none.
    :raises OSError: the file can't be read or written.
    """
    gone: tuple[KnownHost, ...] = ()

    def edit(text: bytes) -> bytes:
        nonlocal gone
        after, gone = KnownHosts.parse(text).without(host.lower())
        return after

    path.stat()
    update(path, edit, backup=path.with_name(f"{path.name}.old"))
    return tuple(entry.line_number for entry in gone)


def keys_in(path: Path) -> Iterator[tuple[PublicKey, str]]:
    """Yield the public keys of a file and their comments.

    The file is a private key, or has the lines of a ``.pub`` file, of ``authorized_keys`` or of
    ``known_hosts``. In the last, the hosts count as the comment. A private key needs no passphrase
    if its format keeps the public half readable, or if there is a ``.pub`` file.

    :raises OSError: the file can't be read.
    :raises KeyFormatError: it has a damaged private key.
    :raises PassphraseRequired: the public half is encrypted too.
    """
    text = read(path)
    if is_private(text):
        yield _shown(path, text)
        return
    for one in text.split(b"\n"):
        yield from _key_in(one)


def _shown(path: Path, text: bytes) -> tuple[PublicKey, str]:
    try:
        key = load_private(text)
    except PassphraseRequired:
        public = public_half(text)
        if public is None:
            return load_public(read(public_path(path)))
        return public, _comment(path, public) or NO_COMMENT
    return key.public, key.comment or _comment(path, key.public) or NO_COMMENT


def _key_in(text: bytes) -> Iterator[tuple[PublicKey, str]]:
    for entry in authorized_keys.parse(text):
        yield entry.key, entry.comment or NO_COMMENT
        return
    for known in KnownHosts.parse(text).entries:
        with suppress(KeyFormatError):
            yield decode_public(known.blob), ",".join(known.hosts)
