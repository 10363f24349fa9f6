"""Key files of every format. Takes and returns the content of a file; opens none."""

from __future__ import annotations

import binascii
import os
from base64 import b64decode
from collections.abc import Callable
from typing import TypeVar

from nacre.errors import KeyFormatError
from nacre.keys import openssh, rsa1_text
from nacre.keys.base import PrivateKey, PublicKey
from nacre.keys.key import decode_public
from nacre.keys.openssh import Random

Entry = TypeVar("Entry")

MAXIMUM_SIZE = 256 * 1024
"""Bytes that a key file may have; an RSA key of 16384 bits takes 13 KiB."""


_PRIVATE = b"PRIVATE KEY"
_PUTTY = b"PuTTY-User-Key-File"

_FOREIGN = {
    _PUTTY: "a key in PuTTY's format: convert it with `puttygen KEY -O private-openssh-new`",
    b"BEGIN SSH2 ENCRYPTED PRIVATE KEY": "a key in ssh.com's format: convert it with "
    "`ssh-keygen -i -f KEY`",
    b"BEGIN SSH2 PUBLIC KEY": "a public key in the format of RFC 4716: convert it with "
    "`ssh-keygen -i -f KEY`",
    b"BEGIN PUBLIC KEY": "a public key in PKCS#8: convert it with `ssh-keygen -i -m PKCS8 -f KEY`",
    b"BEGIN RSA PUBLIC KEY": "a public key in PKCS#1: convert it with "
    "`ssh-keygen -i -m PEM -f KEY`",
    b"BEGIN CERTIFICATE": "an X.509 certificate, which SSH does not use: give the key itself",
}
"""Formats that are not read: what identifies a file, and what it is."""


def load_private(data: bytes | str, passphrase: bytes | str | None = None) -> PrivateKey:
    """Return the private key in the content of a key file.

    The format is OpenSSH's, PEM (PKCS#1, SEC 1, DSA or PKCS#8), or SSH-1's format 1.1; the key may
    be encrypted in each.

    :param passphrase: a str is encoded as UTF-8; not used if the key is not encrypted.
    :raises KeyFormatError: there is no key, a damaged one, or one in another format.
    :raises PassphraseRequired: the key is encrypted, and the passphrase is missing or wrong.
    """
    text, secret = _encoded(data), None if passphrase is None else _encoded(passphrase)
    if len(text) > MAXIMUM_SIZE:
        raise KeyFormatError(
            f"{len(text)} bytes are too many for a private key; at most {MAXIMUM_SIZE} are read"
        )
    if text.startswith(rsa1_text.BEGIN):
        from nacre.keys import rsa1

        return rsa1.decode(text, secret)
    if openssh.BEGIN in text:
        return openssh.decode(text, secret)
    if b"-----BEGIN " in text and _PRIVATE in text:
        from nacre.keys import pem  # loads decoders of many formats

        return pem.decode(text, secret)
    _refuse_foreign(text)
    raise KeyFormatError("not a private key file: no BEGIN line of a private key")


def is_private(text: bytes) -> bool:
    """Return whether the content of a key file is a private key, in any format."""
    return _PRIVATE in text or text.startswith((rsa1_text.BEGIN, _PUTTY))


def _refuse_foreign(text: bytes) -> None:
    """Check that ``text`` is in no format that another program has to convert.

    :raises KeyFormatError: it is.
    """
    for begin, what in _FOREIGN.items():
        if begin in text:
            raise KeyFormatError(f"this is {what}")


def public_half(text: bytes) -> PublicKey | None:
    """Return the public key in a private file, if it can be read without the passphrase, or None.

    :raises KeyFormatError: the file is damaged.
    """
    if text.startswith(rsa1_text.BEGIN):
        from nacre.keys import rsa1

        return rsa1.public_half(text)
    return openssh.public_half(text) if openssh.BEGIN in text else None


def load_public(line: bytes | str) -> tuple[PublicKey, str]:
    """Return the public key in ``line``, ``type base64 comment``, and its comment.

    An RSA1 key's line is ``bits exponent modulus comment``. Both are the form of ``.pub`` files,
    and of lines in ``authorized_keys`` without options.

    :raises KeyFormatError: the line holds no public key.
    """
    if isinstance(line, bytes):
        _refuse_foreign(line)
        line = line.decode("utf-8", "surrogateescape")
    words = line.strip().split(None, 3)
    if rsa1_text.is_line(words):
        from nacre.keys import rsa1

        return rsa1.parse_words(words), words[3] if len(words) > 3 else ""
    words = line.strip().split(None, 2)
    if len(words) < 2:
        raise KeyFormatError("not a public key: expected a type and base64")
    comment = words[2] if len(words) > 2 else ""
    key = decode_public(decode_blob(words[0], words[1]))
    return key, comment


def decode_blob(type: str, base64: str) -> bytes:
    """Return the blob in ``base64``, after checking that it begins with the name ``type``.

    :raises KeyFormatError: it is not base64, or the blob is of another type.
    """
    try:
        blob = b64decode(base64, validate=True)
    except (binascii.Error, ValueError):
        # Neither word is repeated: they may be lines of a private key without its BEGIN line.
        raise KeyFormatError("the public key is damaged: behind its type is no base64") from None
    name = type.encode("utf-8", "surrogateescape")
    if blob[: len(name) + 4] != len(name).to_bytes(4, "big") + name:
        raise KeyFormatError("the public key is damaged: its type and its base64 do not match")
    return blob


def dump_private(
    key: PrivateKey,
    passphrase: bytes | str | None = None,
    *,
    rounds: int = 16,
    random: Random = os.urandom,
) -> bytes:
    """Return the content of a file with ``key``, in OpenSSH's format. Only its owner may read it.

    For an RSA1 key the format is SSH-1's 1.1.

    :param passphrase: a str is encoded as UTF-8; None or an empty one leaves the key unencrypted.
    :param rounds: rounds of bcrypt; see :func:`nacre.keys.openssh.encode`.
    :param random: returns random bytes, for salts.
    """
    secret = None if passphrase is None else _encoded(passphrase)
    if key.public.type == rsa1_text.RSA1:
        from nacre.keys import rsa1

        assert isinstance(key, rsa1.RSA1PrivateKey)
        return rsa1.encode(key, secret, random)
    return openssh.encode(key, secret, rounds=rounds, random=random)


def _encoded(text: bytes | str) -> bytes:
    return text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text


def parse_lines(
    text: bytes, parse: Callable[[int, bytes], Entry | None]
) -> tuple[list[Entry], list[tuple[int, str]]]:
    """Return the entries of a file, and the malformed lines: their numbers and what is wrong.

    :param parse: takes a line with its number, and returns None for one without an entry.
    """
    entries: list[Entry] = []
    rejected: list[tuple[int, str]] = []
    for number, line in enumerate(text.split(b"\n"), 1):
        try:
            if (entry := parse(number, line)) is not None:
                entries.append(entry)
        except KeyFormatError as error:
            rejected.append((number, str(error)))
    return entries, rejected
