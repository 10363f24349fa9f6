"""New keys (``-t``), and the host keys that are missing (``-A``)."""

from __future__ import annotations

import getpass
import socket
from pathlib import Path

from nacre.cli.keygen.arguments import KeygenOptions, Refused
from nacre.cli.keygen.keyfiles import public_path, save, save_public
from nacre.cli.keygen.questions import (
    DEFAULT_TYPE,
    confirm_overwrite,
    home_file,
    key_file,
    new_passphrase,
)
from nacre.errors import ConfigurationError, KeyFormatError
from nacre.keys import generate
from nacre.wire.text import safe

_CURVES = {256: "nistp256", 384: "nistp384", 521: "nistp521"}
_TYPES = {"rsa": "ssh-rsa", "dsa": "ssh-dss", "ed25519": "ssh-ed25519", "rsa1": "rsa1"}
_NAMES = ("dsa", "ecdsa", "ecdsa-sk", "ed25519", "ed25519-sk", "rsa", "rsa1")
_SIZED = ("rsa", "dsa", "rsa1")
"""Types whose size -b says; ssh-keygen ignores it for others."""


def run(options: KeygenOptions) -> int:
    """Make a key, or the host keys; return the exit status."""
    if (options.value("t") or DEFAULT_TYPE).endswith("-sk"):
        from importlib import import_module

        status: int = import_module("nacre.cli.keygen.tokens").run(options)
        return status
    return _make(options)


def _make(options: KeygenOptions) -> int:
    type = options.value("t") or DEFAULT_TYPE
    name, size = wire_type(type, options.bits)
    options.inform(f"Generating public/private {type} key pair.")
    if type == "rsa1":
        options.inform(
            "An RSA1 key works with SSH-1 only, which is weak: use it only for hosts without SSH-2."
        )
    path = key_file(options, "in which to save the key")
    _make_directory(path.parent, options)
    confirm_overwrite(path)
    given = options.value("N")
    passphrase = new_passphrase("passphrase", again=True) if given is None else given
    key = generate(name, bits=size, comment=comment_of(options))
    try:
        save(path, key, passphrase, options)
        options.inform(f"Your identification has been saved in {path}")
        save_public(path, key)
    except OSError as error:
        raise Refused(f'Saving key "{path}" failed: {error.strerror}') from error
    options.inform(f"Your public key has been saved in {public_path(path)}")
    options.inform(f"The key fingerprint is:\n{key.public.fingerprint()} {safe(key.comment)}")
    return 0


def comment_of(options: KeygenOptions) -> str:
    """Return the comment of a new key: that of ``-C``, or user and host."""
    given = options.value("C")
    return f"{getpass.getuser()}@{socket.gethostname()}" if given is None else given


def wire_type(type: str, bits: int | None) -> tuple[str, int | None]:
    """Return the type and the size for :func:`nacre.keys.generate`.

    :raises ConfigurationError: there is no such type.
    :raises KeyFormatError: there is no such size.
    """
    if type == "ecdsa":
        curve = _CURVES.get(bits or 256)
        if curve is None:
            raise KeyFormatError("Invalid ECDSA key length: valid lengths are 256, 384 or 521 bits")
        return f"ecdsa-sha2-{curve}", None
    if type not in _TYPES:
        raise ConfigurationError(f"unknown key type {safe(type, 64)}: give {', '.join(_NAMES)}")
    return _TYPES[type], bits if type in _SIZED else None


def _make_directory(path: Path, options: KeygenOptions) -> None:
    """Make ``~/.ssh`` if ``path`` is that; other directories must exist."""
    if path == home_file("") and not path.exists():
        path.mkdir(mode=0o700)
        options.inform(f"Created directory '{path}'.")
