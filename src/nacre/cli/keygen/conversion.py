"""Keys in the formats of other programs: exported (``-e``), imported (``-i``, ``-X``)."""

from __future__ import annotations

import getpass
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nacre.cli.keygen.arguments import KeygenOptions
from nacre.cli.keygen.keyfiles import public_path, read
from nacre.cli.keygen.questions import key_file, load_asking
from nacre.errors import KeyFormatError, UnusableKey
from nacre.keys import PublicKey, dump_private, dump_public, load_private, load_public
from nacre.keys.files import PublicKeyFormat, is_private, public_half
from nacre.keys.fingerprint import family
from nacre.keys.formats.armor import blocks, cleaned
from nacre.wire.text import safe

_FORMS: dict[str, tuple[PublicKeyFormat, str]] = {
    "RFC4716": ("rfc4716", "SSH2 PUBLIC KEY"),
    "PKCS8": ("pkcs8", "PUBLIC KEY"),
    "PEM": ("pem", "RSA PUBLIC KEY"),
}
"""For each format of ``-m`` its name in :func:`nacre.dump_public`, and the label of its files."""

_SSHCOM = "SSH2 ENCRYPTED PRIVATE KEY"
_COMMENT = 60
"""Characters of the comment of an exported key: the header must fit a line of 72."""


def run(options: KeygenOptions) -> int:
    """Convert a key; return the exit status."""
    path = key_file(options, "in which the key is")
    format = (options.value("m") or "RFC4716").upper()
    made = _exported(path, format, options) if "e" in options else _imported(path, format, options)
    sys.stdout.write(made.decode("utf-8", "surrogateescape"))
    return 0


def _exported(path: Path, format: str, options: KeygenOptions) -> bytes:
    """Return a public key in another format; of a certificate only RFC 4716 has all."""
    key = _public_key(path, options)
    form = _FORMS[format][0]
    if form != "rfc4716":
        return dump_public(key.plain, format=form)
    user = f"{getpass.getuser()}@{socket.gethostname()}"
    about = f"{key.bits}-bit {family(key.type)}, converted by {user} from OpenSSH"
    return dump_public(key, about[:_COMMENT], format=form)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Name the file in errors about its content."""
    try:
        yield
    except UnusableKey as error:
        raise type(error)(f"{path}: {error}") from None


def _public_key(path: Path, options: KeygenOptions) -> PublicKey:
    """Return the key in a file, without its passphrase if the public half is to be had."""
    text = read(path)
    with _naming(path):
        if not is_private(text):
            return load_public(text)[0]
        half = public_half(text)
    beside = public_path(path)
    if half is None and beside.exists():
        with _naming(beside):
            half = load_public(read(beside))[0]
    return load_asking(path, options.value("P"))[0].public if half is None else half


def _imported(path: Path, format: str, options: KeygenOptions) -> bytes:
    """Return OpenSSH's form of a public key, without a comment, or a private key in PEM."""
    text = read(path)
    label = _FORMS[format][1]
    with _naming(path):
        found = [block.label for block in blocks(cleaned(text))]
        if format == "RFC4716" and _SSHCOM in found:
            return dump_private(load_private(text, options.value("P")), format="pem")
        if label not in found:
            raise KeyFormatError(f"not a key in the format {format}{_instead(found)}")
        return dump_public(load_public(text)[0])


def _instead(found: list[str]) -> str:
    """Return what a file has that is in another format than the one asked for."""
    for format, (_, label) in _FORMS.items():
        if label in found:
            return f": give -m {format}"
    return f": it has {safe(found[0])}" if found else ": it has no BEGIN line of one"
