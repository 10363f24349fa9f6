"""The format of ``authorized_keys``: the keys of an account, and what each of them permits.

The format and the options are those of sshd(8), AUTHORIZED_KEYS FILE FORMAT. A line with an unknown
option is not used: the option may be a restriction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property

from nacre.errors import KeyFormatError, UnusableKey
from nacre.keys.base import PublicKey
from nacre.keys.files import load_public, parse_lines
from nacre.keys.key_options import (
    NO_OPTIONS,
    KeyOptions,
    Services,
    no_services,
    options_end,
    parse_options,
)
from nacre.keys.rsa1_text import is_line
from nacre.keys.shown import ShownKey

__all__ = ["AuthorizedKey", "AuthorizedKeys", "parse"]


# Prefixes of key types; no option begins with one. An RSA1 key's line begins with digits.
_KEY_TYPES = ("ssh-", "ecdsa-", "sk-")


@dataclass(frozen=True, slots=True)
class AuthorizedKey:
    """One line.

    :ivar key: the public key.
    :ivar options: the conditions of a login, and what it permits.
    :ivar comment: the text behind the key.
    :ivar line_number: counted from 1.
    :ivar written: the options as they are written.
    """

    key: PublicKey
    options: KeyOptions
    comment: str
    line_number: int
    written: str = ""


class AuthorizedKeys:
    """The lines of an ``authorized_keys`` file; iteration yields the usable ones.

    A search for a key parses only the lines that have its base64: of 5,000 lines, one.
    """

    def __init__(self, text: bytes = b"", services: Services = no_services) -> None:
        self._text = text
        self._services = services

    @cached_property
    def _lines(self) -> tuple[list[AuthorizedKey], list[tuple[int, str]]]:
        return parse_lines(self._text, self._parse_line)

    @property
    def entries(self) -> list[AuthorizedKey]:
        """The usable lines, in order."""
        return self._lines[0]

    @property
    def rejected(self) -> list[tuple[int, str]]:
        """The other lines: their numbers and what is wrong with them."""
        return self._lines[1]

    def __iter__(self) -> Iterator[AuthorizedKey]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def find(
        self,
        key: PublicKey,
        *,
        user: str = "",
        address: str | None = None,
        host: str | None = None,
        now: float | None = None,
    ) -> AuthorizedKey | None:
        """Return the first line for ``key`` whose conditions hold, or None.

        Where ``key`` is a certificate, that is a line with ``cert-authority`` for its authority,
        and the options returned are those of both. The other parameters are those of
        :class:`~nacre.keys.shown.ShownKey`.
        """
        return self.admits(ShownKey(key=key, user=user, address=address, host=host, now=now))

    def admits(
        self, shown: ShownKey, report: Callable[[int, str], None] = lambda number, reason: None
    ) -> AuthorizedKey | None:
        """Return what :meth:`find` does.

        :param report: called with the number of a line that has the key and does not count, and
            with the reason.
        """
        for number, line in self._with(str(shown.listed).split()[-1]):
            try:
                entry = self._parse_line(number, line)
                if entry is not None and shown.fits(entry.key, entry.options):
                    return replace(entry, options=shown.by_line(entry.options))
            except UnusableKey as error:
                report(number, str(error))
        return None

    def rsa1_keys(self, modulus: int) -> Iterator[PublicKey]:
        """Yield the RSA1 keys that may have ``modulus``, by which SSH-1 names a key."""
        for number, line in self._with(str(modulus)):
            with suppress(KeyFormatError):
                entry = self._parse_line(number, line)
                if entry is not None:
                    yield entry.key

    def _with(self, word: str) -> Iterator[tuple[int, bytes]]:
        """Yield the lines that have ``word``, the last part of a key's text."""
        text, part = self._text, word.encode("ascii")
        at = text.find(part)
        while at >= 0:
            start, end = text.rfind(b"\n", 0, at) + 1, text.find(b"\n", at)
            end = len(text) if end < 0 else end
            yield text.count(b"\n", 0, start) + 1, text[start:end]
            at = text.find(part, end)

    def _parse_line(self, number: int, raw: bytes) -> AuthorizedKey | None:
        """Return a line's entry; None if it is empty or a comment.

        :raises KeyFormatError: it can't be used.
        """
        line = raw.decode("utf-8", "surrogateescape").strip()
        if not line or line.startswith("#"):
            return None
        options, written = NO_OPTIONS, ""
        if not line.startswith(_KEY_TYPES) and not is_line(line.split(None, 3)):
            end = options_end(line)
            written, line = line[:end], line[end:]
            options = parse_options(written, self._services)
        key, comment = load_public(line)
        return AuthorizedKey(key, options, comment, number, written)


def parse(text: str | bytes, services: Services = no_services) -> AuthorizedKeys:
    """Take the text of a file. Comments and empty lines are skipped; bad ones are rejected.

    :param services: finds the ports of services, by whose names options may give them.
    """
    data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    return AuthorizedKeys(data, services)
