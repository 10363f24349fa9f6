"""The lines of a ``known_hosts`` file as ``ssh-keygen -F``, ``-R`` and ``-H`` see them.

They find and change lines as they are written, whether or not the keys in them can be used.
:class:`nacre.keys.hosts.known_hosts.KnownHosts` has what the lines mean.
"""

from __future__ import annotations

import binascii
import os
import re
from base64 import b64decode
from collections.abc import Iterator

from nacre.crypto.signatures.certified import plain
from nacre.keys.formats.openssh import Random
from nacre.keys.hosts.known_hosts import (
    HASH_MAGIC,
    SALT_SIZE,
    Marker,
    hash_name,
    numbered,
    starts_about,
)
from nacre.keys.key import KEY_TYPES
from nacre.keys.patterns import match_list
from nacre.value import value

_BLANKS = " \t"
_BLANK = re.compile(r"[ \t]+")
_HASH_DELIMITER = HASH_MAGIC[0]
_SPECIAL = frozenset("*?!")
_LONGEST_SALT = 1024

_SHORT_NAMES = ("rsa", "dsa", "ecdsa", "ed25519", "ecdsa-sk", "ed25519-sk")
"""Names that OpenSSH takes for types, too, in any case."""

_MOST_DIGITS = 7
"""Of the size of an RSA1 key, which stands in place of a type."""


@value
class HostLine:
    """A line.

    :ivar number: counted from 1.
    :ivar text: the line, without its end.
    :ivar marker: the marker at its beginning.
    :ivar hosts: the patterns or the hash; empty of a comment, and where the marker is not known.
    :ivar key: what follows the hosts; None where no key of a known type can stand.
    """

    number: int
    text: str
    marker: Marker = Marker.NONE
    hosts: str = ""
    key: str | None = None

    @property
    def comment(self) -> bool:
        """Whether it is empty or a comment."""
        return self.text.lstrip(_BLANKS)[:1] in ("", "#")

    @property
    def bad(self) -> bool:
        """Whether it is neither a comment nor the line of a key."""
        return self.key is None and not self.comment

    @property
    def hashed(self) -> bool:
        """Whether a hash is in the place of the hosts."""
        return self.hosts.startswith(_HASH_DELIMITER)

    @property
    def damaged(self) -> bool:
        """Whether the hash in the place of the hosts has no salt."""
        return self.hashed and _salt(self.hosts) is None

    @property
    def has_patterns(self) -> bool:
        """Whether the hosts are patterns, which can't be hashed."""
        return not _SPECIAL.isdisjoint(self.hosts)

    def matches(self, name: str) -> bool:
        """Return whether the line is about a host; the case of letters counts for hashes only."""
        if self.hashed:
            salt = _salt(self.hosts)
            return salt is not None and hash_name(name, salt) == self.hosts
        return match_list(name.lower(), filter(None, self.hosts.lower().split(","))) is True

    def with_hashes(self, random: Random = os.urandom) -> list[str]:
        """Return a line for each host, with its hash in place of its name.

        Lines with a marker, a hash or patterns, and those without a key, stay as they are.

        :param random: returns random bytes, for salts.
        """
        if self.key is None or self.hashed or self.has_patterns or self.marker is not Marker.NONE:
            return [self.text]
        return [
            f"{hash_name(host.lower(), random(SALT_SIZE))} {self.key}"
            for host in self.hosts.split(",")
            if host
        ]


def host_lines(content: bytes) -> Iterator[HostLine]:
    """Yield the lines of a file."""
    text = content.decode("utf-8", "surrogateescape")
    lines = text.removesuffix("\n").split("\n") if text else []
    return (_line(number, line) for number, line in enumerate(lines, 1))


def lines_about(content: bytes, name: str) -> Iterator[HostLine]:
    """Yield the lines of a file that may be about a host, and some others.

    Of a large file it parses these lines only.
    """
    for number, line in numbered(content, starts_about(content, name)):
        yield _line(number, line.decode("utf-8", "surrogateescape"))


def joined(lines: list[str]) -> bytes:
    """Return the content of a file with these lines."""
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")


def _line(number: int, text: str) -> HostLine:
    rest, marker = text.lstrip(_BLANKS), Marker.NONE
    if rest[:1] in ("", "#"):
        return HostLine(number, text)
    if rest.startswith("@"):
        # A tab ends a marker only in a line without spaces.
        word, _, after = rest.partition(" " if " " in rest else "\t")
        try:
            marker = Marker(word)
        except ValueError:
            return HostLine(number, text)
        rest = after.lstrip(_BLANKS)
    hosts, key = _word(rest)
    return HostLine(number, text, marker, hosts, key if _has_type(key) else None)


def _word(text: str) -> tuple[str, str]:
    """Return the first word, and what follows it and its blanks."""
    word, *rest = _BLANK.split(text, 1)
    return word, "".join(rest)


def _has_type(key: str) -> bool:
    """Return whether ``key`` begins with a type of keys, and something follows it."""
    type, after = _word(key)
    known = (
        plain(type) in KEY_TYPES
        or type.lower() in _SHORT_NAMES
        or (type.isdigit() and len(type) <= _MOST_DIGITS)
    )
    return known and after[:1] not in ("", "#")


def _salt(hashed: str) -> bytes | None:
    """Return the salt of a hashed name, or None if it is damaged."""
    salt, bar, _ = hashed.removeprefix(HASH_MAGIC).partition("|")
    if not hashed.startswith(HASH_MAGIC) or not bar or len(salt) > _LONGEST_SALT:
        return None
    try:
        found = b64decode(salt, validate=True)
    except (binascii.Error, ValueError):
        return None
    return found if len(found) == SALT_SIZE else None
