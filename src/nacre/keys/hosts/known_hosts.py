"""The format of ``known_hosts``: the keys of each host (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT)."""

from __future__ import annotations

import binascii
import hashlib
import hmac
import os
import re
from base64 import b64decode, b64encode
from binascii import a2b_base64
from collections.abc import Iterable, Iterator
from contextlib import suppress
from enum import Enum
from functools import cached_property

from nacre.crypto.signatures.certified import SUFFIX
from nacre.errors import ConfigurationError, KeyFormatError
from nacre.keys import rsa1_text
from nacre.keys.base import PublicKey
from nacre.keys.files import decode_blob, parse_lines
from nacre.keys.formats.openssh import Random
from nacre.keys.patterns import match_list
from nacre.value import value
from nacre.wire.text import safe

DEFAULT_PORT = 22

HASH_MAGIC = "|1|"
"""What a hashed name begins with."""

SALT_SIZE = 20
"""Bytes: the output size of SHA-1, the least for a key of HMAC (RFC 2104 section 3)."""

_SPECIAL = frozenset(",*?!|@#")


class Marker(Enum):
    """The marker at the beginning of a line."""

    NONE = ""
    REVOKED = "@revoked"
    CERT_AUTHORITY = "@cert-authority"


class Verdict(Enum):
    """The result of looking up a host's key."""

    TRUSTED = "trusted"
    UNKNOWN = "unknown"
    CHANGED = "changed"
    REVOKED = "revoked"


@value
class KnownHost:
    """One line.

    :ivar line_number: counted from 1.
    :ivar marker: the marker at the beginning.
    :ivar hosts: the patterns, or the single hash, as written.
    :ivar key_type: the key's type, which nacre need not support.
    :ivar blob: the key's wire form; :func:`nacre.keys.decode_public` returns the key.
    :ivar comment: the text behind the key.
    """

    line_number: int
    marker: Marker
    hosts: tuple[str, ...]
    key_type: str
    blob: bytes
    comment: str

    def matches(self, name: str) -> bool:
        """Return whether the line is about ``name``, as :func:`host_name` returns it."""
        if self.hosts[0].startswith(HASH_MAGIC):
            return _hash_matches(self.hosts[0], name)
        return match_list(name, (pattern.lower() for pattern in self.hosts)) is True


@value
class Finding:
    """The answer to :meth:`KnownHosts.check`.

    :ivar verdict: the result.
    :ivar entries: the lines it is based on: those with this key or the authority of this
        certificate (TRUSTED, REVOKED), or those with other keys of the host, of the same type
        first (CHANGED); none if UNKNOWN.
    """

    verdict: Verdict
    entries: tuple[KnownHost, ...] = ()

    @property
    def lines(self) -> tuple[int, ...]:
        """The numbers of the lines that the verdict is based on."""
        return tuple(entry.line_number for entry in self.entries)


def host_name(host: str, port: int = DEFAULT_PORT) -> str:
    """Return the name of a host in the file: ``[host]:port`` unless the port is 22."""
    host = host.lower()
    return host if port == DEFAULT_PORT else f"[{host}]:{port}"


class KnownHosts:
    """The lines of a ``known_hosts`` file.

    A lookup searches the raw text for the name, and parses only the lines where it may stand: of
    50,000 lines, one. The result of each is kept.
    """

    def __init__(self, text: bytes = b"") -> None:
        self._text = text
        self._found: dict[str, tuple[KnownHost, ...]] = {}

    @classmethod
    def parse(cls, text: str | bytes) -> KnownHosts:
        """Take the text of a file. Comments and empty lines are skipped; bad ones are rejected."""
        return cls(text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text)

    @cached_property
    def _lines(self) -> tuple[list[KnownHost], list[tuple[int, str]]]:
        return parse_lines(self._text, _parse_line)

    @property
    def entries(self) -> list[KnownHost]:
        """The lines with a key, in order."""
        return self._lines[0]

    @property
    def rejected(self) -> list[tuple[int, str]]:
        """The malformed lines: their numbers and what is wrong with them."""
        return self._lines[1]

    def lookup(
        self, host: str, port: int = DEFAULT_PORT, address: str | None = None
    ) -> list[KnownHost]:
        """Return the lines about ``host`` at ``port``, and those about ``address`` at ``port``.

        Lines with a marker are included.
        """
        found = list(self.about(host_name(host, port)))
        if address is not None:
            found += self.about(host_name(address, port))
        return list(_in_order(found))

    def about(self, name: str) -> tuple[KnownHost, ...]:
        """Return the lines about ``name``, as :func:`host_name` returns it, in order."""
        if name not in self._found:
            self._found[name] = tuple(self._search(name))
        return self._found[name]

    def _search(self, name: str) -> Iterator[KnownHost]:
        return (
            entry
            for entry in self._parsed(starts_about(self._text, name.lower()))
            if entry.matches(name)
        )

    def _parsed(self, starts: Iterable[int]) -> Iterator[KnownHost]:
        """Yield the entries of the lines that begin at these offsets, in order."""
        for number, line in numbered(self._text, starts):
            with suppress(KeyFormatError):
                entry = _parse_line(number, line)
                if entry is not None:
                    yield entry

    def check(self, host: str, port: int, key: PublicKey, address: str | None = None) -> Finding:
        """Return what the file records about ``key`` for ``host`` at ``port``.

        A key is REVOKED if a line about the host, with or without its port, or about the address
        marks it as revoked. It is TRUSTED if a line has it. Otherwise it is CHANGED if lines have
        other keys, of whatever type (a server can choose which of its keys it shows), and UNKNOWN
        if there are none.

        A certificate is REVOKED if its key or its authority is marked as revoked. It is TRUSTED if
        a line marks its authority as one; whether the certificate is valid for the host is the
        caller's to check. Otherwise it is UNKNOWN.

        :param address: used for revocation only: a line about an address must not make the key of
            another host at that address trusted.
        """
        authority = _authority(key)
        revoked = self._revoked(host, port, {key.plain, authority or key.plain}, address)
        if revoked:
            return Finding(Verdict.REVOKED, _in_order(revoked))
        entries = self.lookup(host, port)
        if authority is not None:
            marked = [e for e in entries if e.marker is Marker.CERT_AUTHORITY]
            trusted = tuple(e for e in marked if e.blob == authority.blob)
            return Finding(Verdict.TRUSTED if trusted else Verdict.UNKNOWN, trusted)
        plain = [e for e in entries if e.marker is Marker.NONE]
        trusted = tuple(e for e in plain if e.blob == key.blob)
        if trusted:
            return Finding(Verdict.TRUSTED, trusted)
        others = [e for e in plain if _same_protocol(e.key_type, key.type) and _is_key(e)]
        others.sort(key=lambda entry: entry.key_type != key.type)
        return Finding(Verdict.CHANGED if others else Verdict.UNKNOWN, tuple(others))

    def _revoked(
        self, host: str, port: int, keys: set[PublicKey], address: str | None
    ) -> list[KnownHost]:
        if Marker.REVOKED.value.encode() not in self._text:
            return []
        places = {(host, port), (host, DEFAULT_PORT)}
        places |= set() if address is None else {(address, port), (address, DEFAULT_PORT)}
        names = [host_name(*place) for place in places]
        blobs = {key.blob for key in keys}
        # Only the lines with these keys are parsed, and those with certificates.
        parts = [*map(_written, keys), SUFFIX.encode()]
        starts = _line_starts(
            self._text, (at for part in parts for at in _offsets(self._text, part))
        )
        return [
            entry
            for entry in self._parsed(starts)
            if entry.marker is Marker.REVOKED
            and _plain_blob(entry) in blobs
            and any(map(entry.matches, names))
        ]

    def key_types(self, host: str, port: int = DEFAULT_PORT) -> tuple[str, ...]:
        """Return the types of the recorded keys of ``host`` at ``port``, in the file's order.

        A client prefers these types, so that the server uses a key that is on record.
        """
        entries = self.lookup(host, port)
        return tuple(dict.fromkeys(e.key_type for e in entries if e.marker is Marker.NONE))

    def has_authority(self, host: str, port: int = DEFAULT_PORT) -> bool:
        """Return whether a line names an authority whose certificates count for the host."""
        return any(e.marker is Marker.CERT_AUTHORITY for e in self.lookup(host, port))

    def with_key(self, key: PublicKey) -> tuple[KnownHost, ...]:
        """Return the lines with ``key`` and without a marker, whichever hosts they are about."""
        starts = _line_starts(self._text, _offsets(self._text, _written(key)))
        found = self._parsed(starts)
        return tuple(e for e in found if e.marker is Marker.NONE and e.blob == key.blob)

    @staticmethod
    def line_for(
        host: str,
        port: int,
        key: PublicKey,
        *,
        hashed: bool = False,
        random: Random = os.urandom,
    ) -> str:
        """Return the line that records ``key`` for ``host``, without a line end.

        :param hashed: write a salted hash in place of the name, as HashKnownHosts does.
        :param random: returns random bytes, for the salt.
        :raises ConfigurationError: the name can't be written in such a line.
        """
        name = host_name(host, port)
        if hashed:
            return f"{hash_name(name, random(SALT_SIZE))} {key}"
        if not host or not host.isprintable() or " " in host or _SPECIAL & set(host):
            raise ConfigurationError(f"{safe(host)!r} can't be written as a name in known_hosts")
        return f"{name} {key}"


def _written(key: PublicKey) -> bytes:
    """Return what every line with this key has, but for the end, which may vary.

    It is base64, or the modulus of an RSA1 key.
    """
    return str(key).rpartition(" ")[2][:-4].encode("ascii")


def starts_about(text: bytes, name: str) -> set[int]:
    """Return the offsets of all lines that may be about ``name``, and of some others.

    The case of letters counts for hashed names alone.
    """
    if not name.isascii():
        # Upper and lower case of other letters are a matter of str.
        return {0, *(end + 1 for end in _offsets(text, b"\n"))}
    written = name.encode("ascii")
    lower, plain = text.lower(), written.lower()
    found = [_offsets(lower, plain + end) for end in (b" ", b"\t", b",")]
    found += [_in_names(text, special) for special in (b"*", b"?", b"!")]
    found.append(_hashed(text, written))
    return _line_starts(text, (at for offsets in found for at in offsets))


def numbered(text: bytes, starts: Iterable[int]) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that begin at these offsets, in order, with their numbers from 1 on."""
    number, counted = 1, 0
    for start in sorted(starts):
        number += text.count(b"\n", counted, start)
        counted = start
        end = text.find(b"\n", start)
        yield number, text[start:] if end < 0 else text[start:end]


def _line_starts(text: bytes, offsets: Iterable[int]) -> set[int]:
    return {text.rfind(b"\n", 0, at) + 1 for at in offsets}


def _offsets(text: bytes, part: bytes) -> Iterator[int]:
    """Yield an offset of ``part`` in each line that has it."""
    at = text.find(part)
    while at >= 0:
        yield at
        end = text.find(b"\n", at)
        at = text.find(part, end + 1) if end >= 0 else -1


def _in_names(text: bytes, part: bytes) -> Iterator[int]:
    """Yield the offsets of those lines only where ``part`` may be in the names, not behind them."""
    for at in _offsets(text, part):
        start = text.rfind(b"\n", 0, at) + 1
        if text[start : start + 1] in (b"@", b" ", b"\t") or text.find(b" ", start, at) < 0:
            yield at


# One group: a list of bytes costs the collector nothing, and there may be 50,000 of them.
_HASHED = re.compile(rb"\|1\|([A-Za-z0-9+/=]+\|[A-Za-z0-9+/=]+)")


def _hashed(text: bytes, name: bytes) -> Iterator[int]:
    """Yield the offsets of all hashes of ``name``, of some twice."""
    for one in _HASHED.findall(text):
        salt, _, digest = one.partition(b"|")
        try:
            if hmac.digest(a2b_base64(salt), name, "sha1") == a2b_base64(digest):
                yield from _offsets(text, b"|1|" + one)
        except binascii.Error:
            continue


def _authority(key: PublicKey) -> PublicKey | None:
    """Return the authority of a certificate; None for a plain key."""
    if key.plain is key:
        return None
    from nacre.keys.certificate import Certificate

    assert isinstance(key, Certificate)
    return key.authority


def _same_protocol(one: str, other: str) -> bool:
    """Return whether keys of both types are for the same version of SSH."""
    return (one == rsa1_text.RSA1) == (other == rsa1_text.RSA1)


def _plain_blob(entry: KnownHost) -> bytes:
    """Return the key of a line: of a certificate, whatever else it says, the certified one."""
    if not entry.key_type.endswith(SUFFIX):
        return entry.blob
    from nacre.keys.key import decode_public

    with suppress(KeyFormatError):
        return decode_public(entry.blob).plain.blob
    return entry.blob


def _is_key(entry: KnownHost) -> bool:
    """Return whether a line has a key that this side could use: others say nothing of the host."""
    from nacre.keys.key import decode_public

    if entry.key_type == rsa1_text.RSA1:
        return True
    try:
        decode_public(entry.blob)
    except KeyFormatError:
        return False
    return True


def _in_order(entries: Iterable[KnownHost]) -> tuple[KnownHost, ...]:
    return tuple(sorted(dict.fromkeys(entries), key=lambda entry: entry.line_number))


_BLANKS = " \t"
_BLANK = re.compile(r"[ \t]+")


def _parse_line(number: int, raw: bytes) -> KnownHost | None:
    """Return a line's entry; None if it is empty or a comment.

    :raises KeyFormatError: it is malformed.
    """
    line = raw.decode("utf-8", "surrogateescape").strip(_BLANKS + "\r")
    if not line or line.startswith("#"):
        return None
    marker = Marker.NONE
    if line.startswith("@"):
        word, *rest = _BLANK.split(line, 1)
        line = "".join(rest)
        try:
            marker = Marker(word)
        except ValueError:
            raise KeyFormatError(f"{safe(word, 32)} is not a known marker") from None
    words = _BLANK.split(line, 4)
    rsa1_key = None
    if rsa1_text.is_line(words[1:]):
        from nacre.keys.families import rsa1

        rsa1_key = rsa1.parse_words(words[1:])
    if rsa1_key is None:
        words = _BLANK.split(line, 3)
    if len(words) < 3:
        raise KeyFormatError("a line must have hosts, a key type and base64")
    hosts = (words[0],) if words[0].startswith(HASH_MAGIC) else tuple(words[0].split(","))
    if hosts[0].startswith(HASH_MAGIC):
        _split_hash(hosts[0])
    comment_at = 3 if rsa1_key is None else 4
    return KnownHost(
        line_number=number,
        marker=marker,
        hosts=hosts,
        key_type=words[1] if rsa1_key is None else rsa1_key.type,
        blob=decode_blob(words[1], words[2]) if rsa1_key is None else rsa1_key.blob,
        comment=words[comment_at] if len(words) > comment_at else "",
    )


def _split_hash(word: str) -> tuple[bytes, bytes]:
    salt, _, digest = word.removeprefix(HASH_MAGIC).partition("|")
    try:
        data = b64decode(salt, validate=True), b64decode(digest, validate=True)
    except (binascii.Error, ValueError):
        data = b"", b""
    if not data[0] or len(data[1]) != hashlib.sha1().digest_size:
        raise KeyFormatError("the hashed host name is damaged")
    return data


def hash_name(name: str, salt: bytes) -> str:
    """Return the word that stands for a name: a hash with its salt, of :data:`SALT_SIZE` bytes."""
    digest = hmac.digest(salt, name.encode("utf-8", "surrogateescape"), "sha1")
    return f"{HASH_MAGIC}{b64encode(salt).decode()}|{b64encode(digest).decode()}"


def _hash_matches(word: str, name: str) -> bool:
    salt, digest = _split_hash(word)
    return hmac.compare_digest(
        hmac.digest(salt, name.encode("utf-8", "surrogateescape"), "sha1"), digest
    )
