"""New keys (``-t``), and the host keys that are missing (``-A``)."""

from __future__ import annotations

import getpass
import socket
from importlib import import_module
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
from nacre.keys.fingerprint import family, randomart
from nacre.keys.key import KEY_TYPES, SECURITY_KEY_TYPES
from nacre.wire.text import safe

_CURVES = {256: "nistp256", 384: "nistp384", 521: "nistp521"}
_NAMES = {
    "rsa": "ssh-rsa",
    "ecdsa": "ecdsa-sha2-nistp256",
    "ed25519": "ssh-ed25519",
    "ed448": "ssh-ed448",
    "mldsa44-ed25519": "ssh-mldsa44-ed25519@openssh.com",
    "dsa": "ssh-dss",
    "rsa1": "rsa1",
    "rsa-sha2-256": "ssh-rsa",
    "rsa-sha2-512": "ssh-rsa",
}
"""The types on the wire by the names of ``-t``, which may also be one of the former."""

_SIZED = ("ssh-rsa", "ssh-dss", "rsa1")
"""Types whose size -b says; ssh-keygen ignores it for others."""

_TOKENS = ("ecdsa-sk", "ed25519-sk", *SECURITY_KEY_TYPES)
"""Types whose private half is in a security key."""

_HOST_FOLDER = "etc/ssh"

HOST_KEYS = {
    type: Path("/", _HOST_FOLDER, f"ssh_host_{type}_key") for type in ("rsa", "ecdsa", "ed25519")
}
"""The usual files of host keys, by type."""


def run(options: KeygenOptions) -> int:
    """Make a key, or the host keys; return the exit status."""
    if "A" in options:
        return _make_host_keys(options)
    if (options.value("t") or DEFAULT_TYPE).lower() in _TOKENS:
        status: int = import_module("nacre.cli.keygen.tokens").run(options)
        return status
    return _make(options)


def _make(options: KeygenOptions) -> int:
    type = options.value("t") or DEFAULT_TYPE
    name, size = wire_type(type, options.bits)
    options.inform(f"Generating public/private {type} key pair.")
    if name == "rsa1":
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
    public = key.public
    options.inform(
        f"Your public key has been saved in {public_path(path)}\n"
        f"The key fingerprint is:\n{public.fingerprint(options.hash_name)} {safe(key.comment)}\n"
        "The key's randomart image is:\n"
        + randomart(public.blob, f"{family(public.type)} {public.bits}", options.hash_name)
    )
    return 0


def comment_of(options: KeygenOptions) -> str:
    """Return the comment of a new key: that of ``-C``, or user and host."""
    given = options.value("C")
    return f"{getpass.getuser()}@{socket.gethostname()}" if given is None else given


def wire_type(type: str, bits: int | None) -> tuple[str, int | None]:
    """Return the type and the size for :func:`nacre.keys.generate`.

    :param type: the name of ``-t``, in any case.
    :raises ConfigurationError: there is no such type.
    :raises KeyFormatError: there is no such size.
    """
    name = type.lower()
    if name == "ecdsa" and bits is not None:
        if bits not in _CURVES:
            raise KeyFormatError("Invalid ECDSA key length: valid lengths are 256, 384 or 521 bits")
        return f"ecdsa-sha2-{_CURVES[bits]}", None
    name = _NAMES.get(name, name)
    if name not in (*KEY_TYPES, "rsa1"):
        raise ConfigurationError(
            f"unknown key type {safe(type, 64)}: give {', '.join([*_NAMES][:7])}, "
            f"{' or '.join(_TOKENS[:2])}"
        )
    return name, bits if name in _SIZED else None


def _make_directory(path: Path, options: KeygenOptions) -> None:
    """Make ``~/.ssh`` if ``path`` is that; other directories must exist."""
    if path == home_file("") and not path.exists():
        path.mkdir(mode=0o700)
        options.inform(f"Created directory '{path}'.")


def _make_host_keys(options: KeygenOptions) -> int:
    """Make the host keys that are missing, without a passphrase.

    A file without content counts as missing: an installation that was interrupted leaves such.
    """
    prefix = options.file or Path("/")
    paths = {type: prefix / path.relative_to("/") for type, path in HOST_KEYS.items()}
    missing = {
        type: path for type, path in paths.items() if not path.exists() or not path.stat().st_size
    }
    for number, (type, path) in enumerate(missing.items()):
        start = "" if number else "nacre keygen: generating new host keys: "
        print(f"{start}{type.upper()} ", end="", flush=True)
        key = generate(wire_type(type, None)[0], comment=comment_of(options))
        try:
            save(path, key, None, options)
            save_public(path, key)
        except OSError as error:
            print()
            raise ConfigurationError(
                f"Could not save your private key in {path}: {error.strerror}"
            ) from error
    if missing:
        print()
    return 0
