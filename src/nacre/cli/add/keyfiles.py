"""The files that ``nacre add`` is given: the usual ones, and their public halves."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from nacre.cli.add.arguments import AddOptions, AddRefused
from nacre.errors import KeyFormatError, PassphraseRequired, UnusableKey
from nacre.keys import PublicKey, load_private, load_public
from nacre.keys.files import MAXIMUM_SIZE, is_private, public_half

STANDARD_INPUT = Path("-")

_USUAL = ("id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk", "id_dsa")


def chosen(options: AddOptions) -> list[Path]:
    """Return the files of the command line; without any, the usual ones that are there.

    :raises AddRefused: there is none.
    """
    if options.files:
        return [Path(name) for name in options.files]
    directory = Path(os.path.expanduser("~"), ".ssh")
    found = [directory / name for name in _USUAL if (directory / name).exists()]
    if not found:
        raise AddRefused(f"{directory} has no key file: name one")
    return found


def content(path: Path) -> bytes:
    """Return the content of a key file.

    :raises UnusableKey: it can't be read, or is too large.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MAXIMUM_SIZE + 1)
    except OSError as error:
        raise UnusableKey(error.strerror or str(error)) from None
    if len(text) > MAXIMUM_SIZE:
        raise KeyFormatError("it is too large for a key file")
    return text


def public_key(path: Path) -> tuple[PublicKey, str]:
    """Return the public half of a key file, or of the ``.pub`` file beside it, and the comment.

    :raises UnusableKey: neither has one that can be read without a passphrase.
    """
    text = None
    with suppress(UnusableKey):
        text = content(path)
    if text is not None and not is_private(text):
        return load_public(text)
    with suppress(UnusableKey):
        return load_public(content(path.with_name(f"{path.name}.pub")))
    if text is None:
        text = content(path)  # which says why it can't be read
    try:
        key = load_private(text)
    except PassphraseRequired:
        if (public := public_half(text)) is not None:
            return public, ""
        raise
    return key.public, key.comment
