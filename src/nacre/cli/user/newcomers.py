"""The users that ``nacre user add`` adds: their passwords and keys from a file of lines.

::

    # chpasswd(8) has lines of the first kind too
    alice:her password
    bob ssh-ed25519 AAAA... laptop
    carol
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import click

from nacre.crypto.password import hash_password
from nacre.daemon.store.passwords import unfit
from nacre.daemon.store.values import StoredKey, User, check_name
from nacre.errors import UserStoreError
from nacre.keys.authorized_keys import AuthorizedKey, parse
from nacre.limits import DEFAULT_LIMITS


@dataclass(slots=True)
class Newcomer:
    """A user to add."""

    password: bytes | None = None
    keys: list[StoredKey] = field(default_factory=list)


def read_newcomers(file: str) -> dict[str, Newcomer]:
    """Return the users of a file, by name; ``-`` is standard input.

    A line is ``NAME:PASSWORD``, ``NAME KEY`` with a line of ``authorized_keys``, or ``NAME`` alone.
    Several lines of one name add up. Empty lines and those that begin with ``#`` are ignored.

    :raises UserStoreError: the file can't be read, or a line is none of these.
    """
    try:
        with click.open_file(file, "rb") as stream:
            lines = stream.read().splitlines()
    except OSError as error:
        raise UserStoreError(f"can't read {file}: {error.strerror}") from error
    found: dict[str, Newcomer] = {}
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.startswith(b"#"):
            try:
                _take(line, found)
            except UserStoreError as error:
                raise UserStoreError(f"{file}, line {number}: {error}") from None
    if not found:
        raise UserStoreError(f"{file} has no users: write a line NAME:PASSWORD for each")
    return found


def _take(line: bytes, found: dict[str, Newcomer]) -> None:
    before, colon, password = line.partition(b":")
    words = before.split(None, 1)
    if not words:
        raise UserStoreError("no name before the colon")
    name = words[0].decode("utf-8", "surrogateescape")
    check_name(name)
    user = found.setdefault(name, Newcomer())
    if len(words) > 1:
        user.keys += _keys(line.split(None, 1)[1])
    elif colon:
        if user.password is not None:
            raise UserStoreError(f"a second password for {name}")
        user.password = checked(password)


def _keys(text: bytes) -> list[StoredKey]:
    lines = parse(text)
    for _, reason in lines.rejected:
        raise UserStoreError(reason)
    if not lines.entries:
        raise UserStoreError("neither NAME:PASSWORD nor NAME KEY")
    return [stored(entry) for entry in lines]


def stored(entry: AuthorizedKey) -> StoredKey:
    """Return a key for the store, with the options of its line."""
    return StoredKey(entry.key, entry.comment, options=entry.written)


def checked(password: bytes) -> bytes:
    """Return a password that a login can send.

    :raises UserStoreError: it is empty, or longer than a server takes.
    """
    if not password:
        raise UserStoreError("the password is empty: give another one")
    if len(password) > DEFAULT_LIMITS.password:
        raise UserStoreError(
            f"the password has {len(password)} bytes, and no login takes more than "
            f"{DEFAULT_LIMITS.password}: give a shorter one"
        )
    return password


def check_fit(user: User, password: bytes | None, known: Iterable[str] = ()) -> None:
    """Check that the settings of a user permit a password, if there is one.

    :param known: hashes of passwords that it may not be.
    :raises UserStoreError: they do not.
    """
    reason = None if password is None else unfit(user, password, known)
    if reason is not None:
        raise UserStoreError(f"{user.name}: {reason}")


def hashes(passwords: Sequence[bytes | None]) -> Iterable[str | None]:
    """Return the hash of each password, in order; as many at a time as there are processors."""

    def one(password: bytes | None) -> str | None:
        return None if password is None else hash_password(password, os.urandom)

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return list(threads.map(one, passwords))
