"""What a directory is asked, and what it answers.

The answer is what the store has of a user, so everything behind the policy is the same for both.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from nacre.daemon.store.values import StoredKey, StoredUser

VERSION = 1
"""The version of questions and answers in JSON."""

SECONDS = 10.0
"""How long a login waits for an answer."""

MOST = 64 * 1024
"""Bytes of an answer."""

PasswordOutcome: TypeAlias = Literal["right", "wrong", "expired"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Who asks to be a user.

    :ivar name: the user's name; one that the store could have (:func:`check_name`).
    :ivar address: the client's IP address, and ``host`` its name, if that was looked up.
    """

    name: str
    address: str
    host: str | None = None

    def question(self, kind: str, **more: str) -> dict[str, object]:
        """Return a question as an object of JSON."""
        return {
            "version": VERSION,
            "question": kind,
            "name": self.name,
            "address": self.address,
            "host": self.host,
            "time": int(time.time()),
            **more,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundUser:
    """A user of a directory, with the settings that the directory says.

    :ivar user: the name is the one that was asked for; there is no password.
    :ivar keys: the keys that log in.
    """

    user: StoredUser
    keys: tuple[StoredKey, ...] = ()


class Directory(Protocol):
    """Who finds users and verifies passwords. It is called in threads, several at a time.

    Each call has to end by itself soon after :data:`SECONDS`: the login is refused by then, and the
    thread is one of few.
    """

    def find(self, asker: Asker) -> FoundUser | None:
        """Return a user, or None if there is none of this name.

        :raises AccountError: that can't be told; the log has the message, and the login is refused.
        """

    def check(self, asker: Asker, password: str) -> PasswordOutcome:
        """Verify a password, which is not empty. It is also called for users who do not exist.

        :raises AccountError: that can't be told; likewise.
        """


class AskDirectory(Protocol):
    """Puts a question in JSON to somebody."""

    def __call__(self, question: Mapping[str, object], /) -> object:
        """Return the answer. Blocks, for about :data:`SECONDS` at most.

        :raises AccountError: there is none.
        """
