"""Files of directories: secrets that nobody else can read, and settings in TOML."""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from nacre.errors import ConfigurationError

T = TypeVar("T")

_SHORTEST, _LONGEST = 16, 4096
"""Bytes of a secret that signs questions, and of any secret."""

_MOST = 1 << 16
"""Bytes of a file of settings."""


def read_secret(path: str | Path, *, shortest: int = 1) -> str:
    """Return the first line of a file that others can't read. Blocks.

    :raises ConfigurationError: it can't be read or used.
    """
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            text = file.read(_LONGEST + 1)
    except OSError as error:
        raise ConfigurationError(f"can't read {path}: {error.strerror}") from None
    if not stat.S_ISREG(status.st_mode):
        raise ConfigurationError(f"{path} is not a regular file")
    if status.st_uid not in (0, os.geteuid()) or status.st_mode & 0o077:
        raise ConfigurationError(f"others can read the secret in {path}: chmod 600 {path}")
    try:
        line = text.decode().split("\n", 1)[0].rstrip("\r")
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path} is no text") from None
    if len(text) > _LONGEST or len(line) < shortest:
        raise ConfigurationError(
            f"the secret in {path} must have {shortest} to {_LONGEST} characters: make one with "
            f"`(umask 077; openssl rand -hex 32 > {path})`"
        )
    return line


def signing_secret(path: str | Path) -> bytes:
    """Return the secret that questions are signed with. Blocks.

    :raises ConfigurationError: it can't be read, or is too short.
    """
    return read_secret(path, shortest=_SHORTEST).encode()


class Table:
    """The settings of a file of TOML, taken one by one; none may be left at the end.

    :param text: what it is called in messages.
    """

    def __init__(self, text: str, values: Mapping[str, Any]) -> None:
        self._text = text
        self._values = dict(values)

    @classmethod
    def read(cls, path: str) -> Table:
        """Return the settings of a file. Blocks.

        :raises ConfigurationError: it can't be read.
        """
        try:
            with open(path, "rb") as file:
                text = file.read(_MOST + 1).decode()
            if len(text) > _MOST:
                raise ConfigurationError(f"{path} has more than {_MOST} bytes")
            return cls(path, tomllib.loads(text))
        except OSError as error:
            raise ConfigurationError(f"can't read {path}: {error.strerror}") from None
        except ValueError as error:
            raise ConfigurationError(f"{path}: {error}") from None

    def take(self, name: str, kind: type[T], default: T | None = None) -> T:
        """Return a setting; without a default it has to be there.

        :raises ConfigurationError: it is missing, or of another kind.
        """
        value = self._values.pop(name, default)
        if value is None:
            raise ConfigurationError(f"{self._text}: {name} is missing")
        if not isinstance(value, kind):
            raise ConfigurationError(f"{self._text}: {name} is no {kind.__name__}")
        return value

    def texts(self, name: str) -> dict[str, str]:
        """Return a table of texts; an empty one if there is none.

        :raises ConfigurationError: it is of another kind.
        """
        found = self.take(name, dict, {})
        if not all(isinstance(value, str) for value in found.values()):
            raise ConfigurationError(f"{self._text}: {name} has what is no text")
        return found

    def end(self) -> None:
        """Check that every setting was taken.

        :raises ConfigurationError: one is unknown.
        """
        for name in self._values:
            raise ConfigurationError(f"{self._text}: there is no setting {name}")
