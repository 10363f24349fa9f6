"""Key files of every format. Takes and returns the content of a file; opens none."""

from __future__ import annotations

import binascii
import os
from collections.abc import Callable
from typing import Literal, TypeAlias, TypeVar, get_args

from nacre.errors import KeyFormatError
from nacre.keys import rsa1_text
from nacre.keys.base import PrivateKey, PublicKey
from nacre.keys.formats import openssh
from nacre.keys.formats.armor import KeyBlock, ascii_of, blocks, cleaned
from nacre.keys.formats.openssh import Random
from nacre.keys.key import decode_public
from nacre.wire.text import safe

Entry = TypeVar("Entry")

MAXIMUM_SIZE = 256 * 1024
"""Bytes that a key file may have; an RSA key of 16384 bits takes 13 KiB."""

PrivateKeyFormat: TypeAlias = Literal["openssh", "pem", "pkcs8", "ppk2", "ppk3"]
"""The formats of private keys that are written."""

PublicKeyFormat: TypeAlias = Literal["openssh", "rfc4716", "pem", "pkcs8"]
"""The formats of public keys that are written."""

_PUTTY = b"PuTTY-User-Key-File-"
_X509 = ("CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE")
_PRINT = "print its public half with `ssh-keygen -y -f KEY`, or give the file KEY.pub"


def load_private(data: bytes | str, passphrase: bytes | str | None = None) -> PrivateKey:
    """Return the private key in the content of a key file.

    The format is OpenSSH's, PEM (PKCS#1, SEC 1, DSA or PKCS#8), PuTTY's (version 2 or 3),
    SSH.COM's, or SSH-1's format 1.1; the key may be encrypted in each. Of several keys in PEM the
    first private one is returned.

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
        from nacre.keys.families import rsa1

        return rsa1.decode(text, secret)
    text = cleaned(text)
    if _PUTTY in text:
        from nacre.keys.formats import putty

        return putty.decode(text, secret)
    block = _private_block(text)
    if block is None:
        raise _no_private_key(text)
    if block.label == openssh.LABEL:
        return openssh.decode(block.data(), secret)
    # Each loads decoders of several families.
    from nacre.keys.formats import pem, sshcom

    if block.label == sshcom.LABEL:
        return sshcom.decode(block, secret)
    if block.label in pem.PRIVATE_LABELS:
        return pem.decode(block, secret)
    raise KeyFormatError(f"a private key in a format that is not read: BEGIN {block.label}")


def _private_block(text: bytes) -> KeyBlock | None:
    return next((block for block in blocks(text) if block.private), None)


def _no_private_key(text: bytes) -> KeyFormatError:
    """Return the error for a text without a private key, which says what it has instead."""
    try:
        key, _ = load_public(text)
    except KeyFormatError:
        if any(block.label in _X509 for block in blocks(text)):
            return KeyFormatError(_X509_CERTIFICATE)
        if not text.strip():
            return KeyFormatError("the file is empty: it has no private key")
        return KeyFormatError("not a private key file: no BEGIN line of a private key")
    kind = "public key" if key.plain is key else "certificate"
    return KeyFormatError(
        f"this is a {kind}, and a private key is needed: give the private key's file, which "
        f"usually has the same name without {'.pub' if kind == 'public key' else '-cert.pub'}"
    )


_X509_CERTIFICATE = "this is an X.509 certificate, which SSH does not use: give the key itself"


def is_private(text: bytes) -> bool:
    """Return whether the content of a key file is a private key, in any format."""
    text = ascii_of(text)
    return text.startswith(rsa1_text.BEGIN) or b"PRIVATE KEY" in text or _PUTTY in text


def public_half(text: bytes) -> PublicKey | None:
    """Return the public key in a private file, if it can be read without the passphrase, or None.

    :raises KeyFormatError: the file is damaged.
    """
    if text.startswith(rsa1_text.BEGIN):
        from nacre.keys.families import rsa1

        return rsa1.public_half(text)
    text = cleaned(text)
    if _PUTTY in text:
        from nacre.keys.formats import putty

        return putty.public_half(text)
    block = _private_block(text)
    if block is None or block.label != openssh.LABEL:
        return None
    return openssh.public_half(block.data())


def load_public(data: bytes | str) -> tuple[PublicKey, str]:
    """Return the public key in the content of a file, or in a line, and its comment.

    The format is OpenSSH's line ``type base64 comment``, as in ``.pub`` files and in
    ``authorized_keys`` without options; SSH-1's line ``bits exponent modulus comment``; RFC 4716;
    or PEM (PKCS#8 or PKCS#1), which has no comment. The first key counts; empty lines, and lines
    that begin with ``#``, are passed over.

    :raises KeyFormatError: there is no public key, or a damaged one.
    """
    if len(data) > MAXIMUM_SIZE:
        raise KeyFormatError(
            f"{len(data)} bytes are too many for a public key; at most {MAXIMUM_SIZE} are read"
        )
    text = cleaned(data).decode("utf-8", "surrogateescape") if isinstance(data, bytes) else data
    if "BEGIN " in text or _PUTTY.decode() in text:
        return _load_block(_encoded(text))
    lines = (line.strip() for line in text.split("\n"))
    line = next((line for line in lines if line and not line.startswith("#")), "")
    words = line.split(None, 3)
    if rsa1_text.is_line(words):
        from nacre.keys.families import rsa1

        return rsa1.parse_words(words), words[3] if len(words) > 3 else ""
    words = line.split(None, 2)
    if len(words) < 2:
        raise KeyFormatError("not a public key: expected a type and base64")
    comment = words[2] if len(words) > 2 else ""
    key = decode_public(decode_blob(words[0], words[1]))
    return key, comment


def _load_block(text: bytes) -> tuple[PublicKey, str]:
    """Return the public key in RFC 4716 or in PEM, and its comment."""
    from nacre.keys.formats import pem, rfc4716

    for block in blocks(text):
        if block.label == rfc4716.LABEL:
            return rfc4716.decode(block)
        if block.label in pem.PUBLIC_LABELS:
            return pem.decode_public(block), ""
    if is_private(text):
        raise KeyFormatError(f"this is a private key, and a public one is needed: {_PRINT}")
    if any(block.label in _X509 for block in blocks(text)):
        raise KeyFormatError(_X509_CERTIFICATE)
    raise KeyFormatError("not a public key: no BEGIN line of a public key")


def decode_blob(type: str, base64: str) -> bytes:
    """Return the blob in ``base64``, after checking that it begins with the name ``type``.

    :raises KeyFormatError: it is not base64, or the blob is of another type.
    """
    try:
        blob = binascii.a2b_base64(base64, strict_mode=True)
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
    format: PrivateKeyFormat = "openssh",
    cipher: str = openssh.DEFAULT_CIPHER,
    rounds: int = 16,
    random: Random = os.urandom,
) -> bytes:
    """Return the content of a file with ``key``. Only its owner may read it.

    For an RSA1 key the format is SSH-1's 1.1, whatever ``format`` says.

    :param passphrase: a str is encoded as UTF-8; None or an empty one leaves the key unencrypted.
    :param format: ``openssh``; ``pem``, which is PKCS#1 for RSA and SEC 1 for ECDSA; ``pkcs8``;
        ``ppk2`` or ``ppk3``, PuTTY's. Only ``openssh`` and ``ppk3`` protect a weak passphrase, by
        bcrypt and Argon2id.
    :param cipher: the cipher of ``openssh``; see :func:`nacre.keys.formats.openssh.encode`.
    :param rounds: rounds of bcrypt; see :func:`nacre.keys.formats.openssh.encode`.
    :param random: returns random bytes, for salts; ``pkcs8`` takes the
        system's.
    :raises KeyFormatError: the format has no keys of this type.
    """
    secret = None if passphrase is None else _encoded(passphrase)
    if key.public.type == rsa1_text.RSA1:
        from nacre.keys.families import rsa1

        assert isinstance(key, rsa1.RSA1PrivateKey)
        return rsa1.encode(key, secret, random)
    match format:
        case "openssh":
            return openssh.encode(key, secret, cipher=cipher, rounds=rounds, random=random)
        case "pem" | "pkcs8":
            from nacre.keys.formats import pem

            return pem.encode(key, format, secret, random)
        case "ppk2" | "ppk3":
            from nacre.keys.formats import putty

            return putty.encode(key, secret, version=int(format[-1]), random=random)
        case _:
            raise _no_format(format, PrivateKeyFormat)


def dump_public(key: PublicKey, comment: str = "", *, format: PublicKeyFormat = "openssh") -> bytes:
    """Return the content of a file with a public key or a certificate.

    :param format: ``openssh``, the line of ``.pub`` files and ``authorized_keys``; ``rfc4716``;
        ``pkcs8``; or ``pem``, which is PKCS#1 for RSA and PKCS#8 for others. Those in PEM have no
        comment.
    :raises KeyFormatError: the format has no keys of this type.
    """
    match format:
        case "openssh":
            # A line end in the comment would start another key.
            line = " ".join([str(key), *comment.split()])
            return f"{line}\n".encode("utf-8", "surrogateescape")
        case "rfc4716":
            from nacre.keys.formats import rfc4716

            return rfc4716.encode(key, comment)
        case "pem" | "pkcs8":
            from nacre.keys.formats import pem

            return pem.encode_public(key, format)
        case _:
            raise _no_format(format, PublicKeyFormat)


def _no_format(format: str, forms: object) -> KeyFormatError:
    names = ", ".join(get_args(forms))
    return KeyFormatError(f"no format is named {safe(format)}: give one of {names}")


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
