"""The files that hooks need: the key of a signature, and certificates of authorities."""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from nacre.errors import StateError
from nacre.limits import KIB

SHORTEST = 16
"""Bytes of a key."""

_LONGEST_KEY = 4 * KIB
_LONGEST_AUTHORITIES = 1024 * KIB


def read_secret(path: str) -> bytes:
    """Return the key of a file, without blanks and line breaks around it.

    :raises StateError: it can't be read, others may read it, or it is too short.
    """
    data = _read(path, _LONGEST_KEY, private=True).strip()
    if len(data) < SHORTEST:
        raise StateError(f"{path} has a key of {len(data)} bytes: it needs {SHORTEST} at least")
    return data


def make_secret(path: Path) -> None:
    """Make a file of mode 0600 with a new key, unless there is a file.

    :raises StateError: it can't be made.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return
    except OSError as error:
        raise StateError(f"can't make {path}: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_hex(32).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        with suppress(OSError):
            path.unlink()
        raise StateError(f"can't make {path}: {error.strerror}") from error


def read_authorities(path: str) -> str:
    """Return the certificates of a file in PEM form.

    :raises StateError: it can't be read, or has none.
    """
    text = _read(path, _LONGEST_AUTHORITIES, private=False).decode("ascii", "replace")
    if "-----BEGIN CERTIFICATE-----" not in text:
        raise StateError(f"{path} has no certificate in PEM form")
    return text


def _read(path: str, most: int, *, private: bool) -> bytes:
    try:
        # Without waiting for the other end of a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise StateError(f"{path} is no file")
            if private and status.st_mode & 0o077:
                raise StateError(f"others may read {path}: chmod 600 {path}")
            data = file.read(most + 1)
    except OSError as error:
        raise StateError(f"can't read {path}: {error.strerror}") from error
    if len(data) > most:
        raise StateError(f"{path} is longer than {most} bytes")
    return data
