"""Answers in JSON: read field by field, and refused as a whole where one field is wrong.

A field that is unknown may be a restriction with a mistake in its name, so it is not passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from nacre.config.values import service
from nacre.daemon.accounts.directories.values import AskDirectory, Asker, FoundUser, PasswordOutcome
from nacre.daemon.store.hours import parse_hours
from nacre.daemon.store.values import (
    AUTH_POLICIES,
    PARTIAL_UPLOADS,
    RECORDS,
    SECOND_FACTORS,
    SERVICES,
    UPLOADS,
    StoredKey,
    StoredUser,
    check_name,
)
from nacre.errors import AccountError, NacreError
from nacre.keys.authorized_keys import parse
from nacre.keys.key_options import parse_options
from nacre.sftp.filesystems.folders import parse_folders, written_folders
from nacre.sftp.filesystems.rules import parse_rules
from nacre.wire.text import safe

_LONGEST = 4096
"""Characters of a text."""

_MOST_GROUPS = 64
_MOST_KEYS = 256
_MOST_SESSIONS = 1_000_000
_LAST = 1 << 40
"""The last time that an answer may give, in seconds since the epoch."""


class AskedDirectory:
    """A directory that answers questions in JSON; see :class:`Directory`.

    :param ask: puts a question to it.
    """

    def __init__(self, ask: AskDirectory) -> None:
        self._ask = ask

    def find(self, asker: Asker) -> FoundUser | None:
        """Return a user, or None.

        :raises AccountError: there is no answer, or it can't be used.
        """
        user = _only(self._ask(asker.question("find")), "user")
        return None if user is None else read_user(asker.name, user)

    def check(self, asker: Asker, password: str) -> PasswordOutcome:
        """Verify a password.

        :raises AccountError: there is no answer, or it can't be used.
        """
        outcome = _only(self._ask(asker.question("password", password=password)), "outcome")
        for known in _OUTCOMES:
            if outcome == known:
                return known
        raise AccountError(f"the outcome in the answer is none of {', '.join(_OUTCOMES)}")


_OUTCOMES: tuple[PasswordOutcome, ...] = ("right", "wrong", "expired")


def _only(answer: object, field: str) -> object:
    if not isinstance(answer, Mapping) or set(answer) != {field}:
        raise AccountError(f"the answer is no object with the field {field} alone")
    return answer[field]


def read_user(name: str, given: object) -> FoundUser:
    """Return the user that an answer describes.

    :raises AccountError: a field is wrong; the message names it.
    """
    if not isinstance(given, Mapping):
        raise AccountError("the user in the answer is no object")
    values = {field: value for field, value in given.items() if value is not None}
    keys: tuple[StoredKey, ...] = ()
    read: dict[str, Any] = {}
    for field, value in values.items():
        if field not in _FIELDS:
            raise AccountError(f"the answer has the field {safe(str(field), 64)}, which is unknown")
        try:
            read[field] = _FIELDS[field](value)
        except (NacreError, ValueError) as error:
            raise AccountError(f"{field} in the answer: {safe(str(error), 200)}") from None
    keys = read.pop("keys", ())
    return FoundUser(user=StoredUser(name=name, **read), keys=keys)


def read_keys(lines: Iterable[str], *, skip: bool = False) -> tuple[StoredKey, ...]:
    """Return the keys of lines of ``authorized_keys``.

    :param skip: leave out lines that can't be read.
    :raises ValueError: a line can't be read.
    """
    found = parse("\n".join(lines).encode("utf-8", "surrogateescape"))
    for number, reason in found.rejected:
        if not skip:
            raise ValueError(f"key {number}: {reason}")
    return tuple(StoredKey(one.key, one.comment, options=one.written) for one in found)


# --- one field ---


def _text(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST or not value.isprintable():
        raise ValueError(f"it is no text of 1 to {_LONGEST} characters that can be printed")
    return value


def _texts(value: object, most: int) -> list[str]:
    if not isinstance(value, list) or len(value) > most:
        raise ValueError(f"it is no list of {most} texts at most")
    return [_text(one) for one in value]


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("it is neither true nor false")
    return value


def _number(most: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
            raise ValueError(f"it is no whole number from 0 to {most}")
        return value

    return read


def _one_of(words: tuple[str, ...]) -> Callable[[object], str]:
    def read(value: object) -> str:
        if value not in words:
            raise ValueError(f"it is none of {', '.join(words)}")
        return str(value)

    return read


def _path(value: object) -> str:
    text = _text(value)
    if not text.startswith("/"):
        raise ValueError("it is no absolute path")
    return text


def _place(value: object) -> str:
    text = _text(value)
    if not text.startswith("/") and "://" not in text and "+/" not in text:
        raise ValueError("it is neither an absolute path nor a URL")
    return text


def _groups(value: object) -> tuple[str, ...]:
    names = _texts(value, _MOST_GROUPS)
    for name in names:
        check_name(name, "group")
    return tuple(dict.fromkeys(names))


def _sources(value: object) -> str:
    text = _text(value)
    quoted = text.replace('"', '\\"')
    parse_options(f'from="{quoted}"', service)
    return text


def _hours(value: object) -> str:
    text = _text(value)
    parse_hours(text)
    return text


_FIELDS: Mapping[str, Callable[[object], Any]] = {
    "groups": _groups,
    "keys": lambda value: read_keys(_texts(value, _MOST_KEYS)),
    "disabled": _flag,
    "auth": _one_of(AUTH_POLICIES),
    "service": _one_of(SERVICES),
    "home": _path,
    "run_as": _text,
    "root": _place,
    "read_only": _flag,
    "folders": lambda value: written_folders(parse_folders(_texts(value, _MOST_GROUPS))),
    "rights": lambda value: str(parse_rules(_texts(value, _MOST_KEYS))),
    "expires": _number(_LAST),
    "sources": _sources,
    "hours": _hours,
    "max_sessions": _number(_MOST_SESSIONS),
    "second_factor": _one_of(SECOND_FACTORS),
    "record": _one_of(RECORDS),
    "uploads": _one_of(UPLOADS),
    "partial_uploads": _one_of(PARTIAL_UPLOADS),
}
"""What an answer may say of a user. Not among it: what reads a file of the server (``file_key``),
what takes a check away (``unsafe_root``), and what is about the store's passwords and certificates.
"""
