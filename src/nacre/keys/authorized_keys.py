"""The text of ``authorized_keys``: which keys open an account, and what they may do there.

The format and the options are those of sshd(8), AUTHORIZED_KEYS FILE FORMAT. A line with an
option that is not understood is not used: the option may be a restriction.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from nacre.errors import KeyFormatError
from nacre.keys.base import PublicKey
from nacre.keys.files import load_public
from nacre.keys.key_options import NO_OPTIONS, KeyOptions, parse_options
from nacre.keys.rsa1_text import is_line

__all__ = ["AuthorizedKey", "AuthorizedKeys", "parse"]


# How the names of key types begin, and those of no options. An RSA1 key's line begins with digits.
_KEY_TYPES = ("ssh-", "ecdsa-", "sk-")


@dataclass(frozen=True, slots=True)
class AuthorizedKey:
    """One line.

    :ivar key: the public key.
    :ivar options: what the line demands of a login and what it lets it do.
    :ivar comment: what stands behind the key.
    :ivar line_number: counted from 1.
    """

    key: PublicKey
    options: KeyOptions
    comment: str
    line_number: int


@dataclass(slots=True)
class AuthorizedKeys:
    """The lines of an ``authorized_keys`` file; iterating gives the usable ones.

    :ivar entries: the usable lines, in their order.
    :ivar rejected: the others, each its number and what is wrong with it.
    """

    entries: list[AuthorizedKey] = field(default_factory=list)
    rejected: list[tuple[int, str]] = field(default_factory=list)

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

        Lines for certificate authorities are none for a plain key. A condition on what is not
        given, ``address`` or ``now``, does not hold.

        :param address: the client's IP address.
        :param host: the client's host name, where it was looked up.
        :param now: seconds since the epoch.
        """
        for entry in self.entries:
            options = entry.options
            if entry.key != key or options.cert_authority:
                continue
            if options.refusal(address=address, host=host, now=now) is None:
                return entry
        return None


def parse(text: str | bytes) -> AuthorizedKeys:
    """Read a whole file; comments and empty lines are skipped, unusable ones kept apart."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
    found = AuthorizedKeys()
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        try:
            found.entries.append(_parse_line(number, line))
        except KeyFormatError as error:
            found.rejected.append((number, str(error)))
    return found


def _parse_line(number: int, line: str) -> AuthorizedKey:
    options = NO_OPTIONS
    if not line.startswith(_KEY_TYPES) and not is_line(line.split(None, 3)):
        end = _options_end(line)
        options, line = parse_options(line[:end]), line[end:]
    key, comment = load_public(line)
    return AuthorizedKey(key, options, comment, number)


def _options_end(line: str) -> int:
    """Return where the first blank outside of quotes is."""
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
