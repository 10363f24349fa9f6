"""The format of ``authorized_keys``: the keys of an account, and what each of them permits.

The format and the options are those of sshd(8), AUTHORIZED_KEYS FILE FORMAT. A line with an unknown
option is not used: the option may be a restriction.
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


@dataclass(slots=True)
class AuthorizedKeys:
    """The lines of an ``authorized_keys`` file; iteration yields the usable ones.

    :ivar entries: the usable lines, in order.
    :ivar rejected: the other lines: their numbers and what is wrong with them.
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

        Lines for certificate authorities do not count. A condition on ``address`` or ``now`` does
        not hold if that argument is None.

        :param address: the client's IP address.
        :param host: the client's host name, if it was looked up.
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
    """Parse the text of a file. Comments and empty lines are skipped; bad ones are rejected."""
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
