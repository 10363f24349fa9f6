"""Key files as ssh-keygen(1) keeps them: a private one of mode 0600, and ``.pub`` beside it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

from nacre.cli.keygen.arguments import KeygenOptions
from nacre.client.trust.hostfile import replace
from nacre.errors import KeyFormatError, PassphraseRequired
from nacre.keys import PrivateKey, PublicKey, dump_private, load_private, load_public
from nacre.keys.files import (
    MAXIMUM_SIZE,
    PrivateKeyFormat,
    decode_blob,
    is_private,
    public_half,
)
from nacre.keys.formats import openssh
from nacre.keys.formats.openssh import DEFAULT_CIPHER
from nacre.keys.key import decode_public

PUBLIC_MODE = 0o644
NO_COMMENT = "no comment"

_FORMATS: dict[str, PrivateKeyFormat] = {"RFC4716": "openssh", "PKCS8": "pkcs8", "PEM": "pem"}
"""For each format of ``-m`` the one of private keys; the first stands for OpenSSH's own."""

_WITH_PEM = ("ssh-rsa", "ecdsa-sha2-", "ssh-dss")
"""Families that ssh-keygen writes in PEM and PKCS#8; for others it ignores ``-m``."""
MOST_LINES = 256 * 1024 * 1024
"""Bytes that a list of keys may have, such as ``known_hosts``."""


def public_path(path: Path) -> Path:
    """Return the file of the public half of ``path``."""
    return path.with_name(f"{path.name}.pub")


def read(path: Path, most: int = MAXIMUM_SIZE) -> bytes:
    """Return the content of a key file; ``-`` is standard input.

    :param most: bytes that it may have.
    :raises OSError: it can't be read.
    :raises KeyFormatError: it is too large.
    """
    with nullcontext(sys.stdin.buffer) if str(path) == "-" else path.open("rb") as file:
        text: bytes = file.read(most + 1)
    if len(text) > most:
        raise KeyFormatError(f"larger than {most} bytes: this is not a key file")
    return text


def load(path: Path, passphrase: str | None = None) -> PrivateKey:
    """Return the private key in a file.

    :raises OSError: the file can't be read.
    :raises UnusableKey: other users may read it, or it has no private key of a supported type.
    :raises PassphraseRequired: it is encrypted and the passphrase is missing or wrong.
    """
    text = read(path)
    if is_private(text):
        from nacre.client.userkeys import check_private  # loads asyncio

        check_private(path)
    return load_private(text, passphrase)


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
    return f"{key.public} {' '.join(key.comment.splitlines())}".rstrip()


def keys_in(path: Path) -> Iterator[tuple[PublicKey, str]]:
    """Yield the public keys of a file and their comments, as ``ssh-keygen -l`` lists them.

    The file is a private key, or has the lines of a ``.pub`` file, of ``authorized_keys`` or of
    ``known_hosts``. Without a comment, the options or the hosts before the key count as one. A
    private key needs no passphrase if its format keeps the public half readable, or if there is a
    ``.pub`` file.

    :raises OSError: the file can't be read.
    :raises KeyFormatError: it has a damaged private key.
    :raises PassphraseRequired: the public half is encrypted too.
    """
    text = read(path, MOST_LINES)
    if is_private(text):
        yield _shown(path, text)
        return
    for one in text.split(b"\n"):
        one = one.lstrip(_BLANKS)
        if one and not one.startswith(b"#") and (found := _key_in(one)) is not None:
            yield found


def _shown(path: Path, text: bytes) -> tuple[PublicKey, str]:
    """Return the public half of a private key, with the comment of the ``.pub`` file or its own."""
    beside = next(keys_in(public_path(path)), None) if public_path(path).exists() else None
    if beside is not None and beside[1] == NO_COMMENT:
        beside = beside[0], str(public_path(path))
    try:
        key = load_private(text)
    except PassphraseRequired:
        public = public_half(text)
        if public is None:
            if beside is None:
                raise
            return beside
        own = NO_COMMENT
    else:
        # OpenSSH's format has a place for a comment; it may be empty.
        in_openssh = openssh.LABEL.encode() in text
        public, own = key.public, key.comment or ("" if in_openssh else NO_COMMENT)
    # The public half of another key tells nothing.
    return beside if beside is not None and beside[0] == public else (public, own)


_BLANKS = b" \t"
_OPTIONS = re.compile(rb'(?:\\"|"(?:\\"|[^"])*(?:"|$)|[^" \t]++)++[ \t]*+')
"""What stands before a key: options or hosts. A blank in quotes does not end it."""

_KEY = re.compile(rb"([^ \t]++)[ \t]++(AAAA[^ \t\r]*+)[ \t\r]*+")
"""A type and base64, which begins with the length of the type's name."""

_RSA1 = re.compile(rb"\d++[ \t]++\d++[ \t]++\d++[ \t]*+")
"""A key of SSH-1: bits, exponent, modulus."""


def _key_in(text: bytes) -> tuple[PublicKey, str] | None:
    """Return the key of a line, if it has one: at its beginning, or behind options or hosts."""
    before = b""
    found = key_at(text)
    if found is None:
        options = _OPTIONS.match(text)
        start = options.end() if options is not None else 0
        found = key_at(text, start)
        if found is None:
            return None
        before = text[:start].rstrip(_BLANKS)
    key, after = found
    comment = before if not after or after.startswith(b"#") else after
    return key, comment.decode("utf-8", "surrogateescape") if comment else NO_COMMENT


def key_at(text: bytes, start: int = 0) -> tuple[PublicKey, bytes] | None:
    """Return the key that begins at ``start`` of a line, and what follows it; None without one."""
    try:
        if found := _KEY.match(text, start):
            type, base64 = found[1].decode("ascii", "replace"), found[2].decode("ascii", "replace")
            return decode_public(decode_blob(type, base64)), text[found.end() :]
        if found := _RSA1.match(text, start):
            return load_public(found[0])[0], text[found.end() :]
    except KeyFormatError:
        pass
    return None
