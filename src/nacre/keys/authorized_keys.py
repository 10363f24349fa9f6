"""The format of ``authorized_keys``: the keys of an account, and what each of them permits.

The format and the options are those of sshd(8), AUTHORIZED_KEYS FILE FORMAT. A line with an unknown
option is not used: the option may be a restriction.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

from nacre.errors import KeyFormatError
from nacre.keys.base import PublicKey
from nacre.keys.files import load_public, parse_lines
from nacre.keys.key_options import NO_OPTIONS, KeyOptions, parse_options
from nacre.keys.rsa1_text import is_line

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
    """

    key: PublicKey
    options: KeyOptions
    comment: str
    line_number: int


class AuthorizedKeys:
    """The lines of an ``authorized_keys`` file; iteration yields the usable ones.

    A search for a key parses only the lines that have its base64: of 5,000 lines, one.
    """

    def __init__(self, text: bytes = b"") -> None:
        self._text = text

    @cached_property
    def _lines(self) -> tuple[list[AuthorizedKey], list[tuple[int, str]]]:
        return parse_lines(self._text, _parse_line)

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
        address: str | None = None,
        host: str | None = None,
        now: float | None = None,
    ) -> AuthorizedKey | None:
        """Return the first line for ``key`` whose conditions hold, or None.

        Lines for certificate authorities do not count. A condition on ``address`` or ``now`` does
        not hold if that argument is None.

        :param address: the client's IP address.
        :param host: the client's host name, if it was looked up.
        :param now: seconds since the epoch.
        """
        for entry in self._with(str(key).split()[-1]):
            options = entry.options
            if entry.key != key or options.cert_authority:
                continue
            if options.refusal(address=address, host=host, now=now) is None:
                return entry
        return None

    def rsa1_keys(self, modulus: int) -> Iterator[PublicKey]:
        """Yield the RSA1 keys that may have ``modulus``, by which SSH-1 names a key."""
        for entry in self._with(str(modulus)):
            yield entry.key

    def _with(self, word: str) -> Iterator[AuthorizedKey]:
        """Yield the usable lines that have ``word``, the last part of a key's text."""
        text, part = self._text, word.encode("ascii")
        at = text.find(part)
        while at >= 0:
            start, end = text.rfind(b"\n", 0, at) + 1, text.find(b"\n", at)
            end = len(text) if end < 0 else end
            with suppress(KeyFormatError):
                entry = _parse_line(text.count(b"\n", 0, start) + 1, text[start:end])
                if entry is not None:
                    yield entry
            at = text.find(part, end)


def parse(text: str | bytes) -> AuthorizedKeys:
    """Take the text of a file. Comments and empty lines are skipped; bad ones are rejected."""
    return AuthorizedKeys(
        text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    )


def _parse_line(number: int, raw: bytes) -> AuthorizedKey | None:
    """Return a line's entry; None if it is empty or a comment.

    :raises KeyFormatError: it can't be used.
    """
    line = raw.decode("utf-8", "surrogateescape").strip()
    if not line or line.startswith("#"):
        return None
    options = NO_OPTIONS
    if not line.startswith(_KEY_TYPES) and not is_line(line.split(None, 3)):
        end = _options_end(line)
        options, line = parse_options(line[:end]), line[end:]
    key, comment = load_public(line)
    return AuthorizedKey(key, options, comment, number)


def _options_end(line: str) -> int:
    """Return the position of the first blank outside quotes."""
    quoted = False
    i = 0
    while i < len(line):
        if line[i] == "\\" and line[i + 1 : i + 2] == '"':
            i += 1
        elif line[i] == '"':
            quoted = not quoted
        elif line[i] in " \t" and not quoted:
            break
        i += 1
    return i
