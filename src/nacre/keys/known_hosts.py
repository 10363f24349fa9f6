"""The format of ``known_hosts``: the keys of each host (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT)."""

from __future__ import annotations

import binascii
import hashlib
import hmac
import os
from base64 import b64decode, b64encode
from enum import Enum

from nacre.errors import ConfigurationError, KeyFormatError
from nacre.keys import rsa1_text
from nacre.keys.base import PublicKey
from nacre.keys.files import decode_blob
from nacre.keys.openssh import Random
from nacre.keys.patterns import match_list
from nacre.value import value
from nacre.wire.text import safe

DEFAULT_PORT = 22

_HASH_MAGIC = "|1|"
_SALT = 20  # bytes: the output size of SHA-1, the least for a key of HMAC (RFC 2104 section 3)
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
        if self.hosts[0].startswith(_HASH_MAGIC):
            return _hash_matches(self.hosts[0], name)
        return match_list(name, (pattern.lower() for pattern in self.hosts)) is True


@value
class Finding:
    """The answer to :meth:`KnownHosts.check`.

    :ivar verdict: the result.
    :ivar entries: the lines it is based on: those with this key (TRUSTED, REVOKED), or those with
        another key of its type (CHANGED); none if UNKNOWN.
    :ivar other_types: lines with the host's keys of other types. With UNKNOWN they mean that the
        host is known, but not by a key of this type: warn the user.
    """

    verdict: Verdict
    entries: tuple[KnownHost, ...] = ()
    other_types: tuple[KnownHost, ...] = ()

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

    :ivar entries: the lines with a key, in order.
    :ivar rejected: the malformed lines: their numbers and what is wrong with them.
    """

    def __init__(
        self, entries: list[KnownHost] | None = None, rejected: list[tuple[int, str]] | None = None
    ) -> None:
        self.entries = entries or []
        self.rejected = rejected or []

    @classmethod
    def parse(cls, text: str | bytes) -> KnownHosts:
        """Parse the text of a file. Comments and empty lines are skipped; bad ones are rejected."""
        if isinstance(text, bytes):
            text = text.decode("utf-8", "surrogateescape")
        known = cls()
        for number, line in enumerate(text.split("\n"), 1):
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            try:
                known.entries.append(_parse_line(number, line))
            except KeyFormatError as error:
                known.rejected.append((number, str(error)))
        return known

    def lookup(
        self, host: str, port: int = DEFAULT_PORT, address: str | None = None
    ) -> list[KnownHost]:
        """Return the lines about ``host`` at ``port``, and those about ``address`` at ``port``.

        Lines with a marker are included.
        """
        names = {host_name(host, port)}
        if address is not None:
            names.add(host_name(address, port))
        return [entry for entry in self.entries if any(map(entry.matches, names))]

    def check(self, host: str, port: int, key: PublicKey, address: str | None = None) -> Finding:
        """Return what the file records about ``key`` for ``host`` at ``port``.

        The key is REVOKED if a line about the host, with or without its port, or about the address
        marks it as revoked. It is TRUSTED if a line has it. Otherwise it is CHANGED if lines have
        other keys of its type, and UNKNOWN if none does. As in OpenSSH, a host without a line for
        its port is TRUSTED if a line without a port has this key.

        :param address: used for revocation only: a line about an address must not make the key of
            another host at that address trusted.
        """
        entries = self.lookup(host, port)
        portless = entries if port == DEFAULT_PORT else self.lookup(host)
        concerned = [*entries, *portless]
        if address is not None:
            concerned += [*self.lookup(address, port), *self.lookup(address)]
        revoked = [e for e in concerned if e.marker is Marker.REVOKED and e.blob == key.blob]
        if revoked:
            return Finding(Verdict.REVOKED, _in_order(revoked))
        plain = [e for e in entries if e.marker is Marker.NONE]
        same_type = tuple(e for e in plain if e.key_type == key.type)
        others = tuple(e for e in plain if e.key_type != key.type)
        trusted = tuple(e for e in same_type if e.blob == key.blob)
        if not plain:
            trusted = tuple(e for e in portless if e.marker is Marker.NONE and e.blob == key.blob)
        if trusted:
            return Finding(Verdict.TRUSTED, trusted, others)
        if same_type:
            return Finding(Verdict.CHANGED, same_type, others)
        return Finding(Verdict.UNKNOWN, (), others)

    def key_types(self, host: str, port: int = DEFAULT_PORT) -> tuple[str, ...]:
        """Return the types of the recorded keys of ``host``, in the file's order.

        A client prefers these types, so that the server uses a key that is on record.
        """
        entries = self.lookup(host, port)
        if port != DEFAULT_PORT and not any(e.marker is Marker.NONE for e in entries):
            entries = self.lookup(host)
        return tuple(dict.fromkeys(e.key_type for e in entries if e.marker is Marker.NONE))

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
            return f"{_hash(name, random(_SALT))} {key}"
        if not host or not host.isprintable() or " " in host or _SPECIAL & set(host):
            raise ConfigurationError(f"{safe(host)!r} can't be written as a name in known_hosts")
        return f"{name} {key}"


def _in_order(entries: list[KnownHost]) -> tuple[KnownHost, ...]:
    return tuple(sorted(set(entries), key=lambda entry: entry.line_number))


def _parse_line(number: int, line: str) -> KnownHost:
    marker = Marker.NONE
    if line.startswith("@"):
        word, *rest = line.split(None, 1)
        line = "".join(rest)
        try:
            marker = Marker(word)
        except ValueError:
            raise KeyFormatError(f"{safe(word, 32)} is not a known marker") from None
    words = line.split(None, 4)
    rsa1_key = None
    if rsa1_text.is_line(words[1:]):
        from nacre.keys import rsa1

        rsa1_key = rsa1.parse_words(words[1:])
    if rsa1_key is None:
        words = line.split(None, 3)
    if len(words) < 3:
        raise KeyFormatError("a line must have hosts, a key type and base64")
    hosts = (words[0],) if words[0].startswith(_HASH_MAGIC) else tuple(words[0].split(","))
    if hosts[0].startswith(_HASH_MAGIC):
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
    salt, _, digest = word.removeprefix(_HASH_MAGIC).partition("|")
    try:
        data = b64decode(salt, validate=True), b64decode(digest, validate=True)
    except (binascii.Error, ValueError):
        data = b"", b""
    if not data[0] or len(data[1]) != hashlib.sha1().digest_size:
        raise KeyFormatError("the hashed host name is damaged")
    return data


def _hash(name: str, salt: bytes) -> str:
    digest = hmac.digest(salt, name.encode("utf-8", "surrogateescape"), "sha1")
    return f"{_HASH_MAGIC}{b64encode(salt).decode()}|{b64encode(digest).decode()}"


def _hash_matches(word: str, name: str) -> bool:
    salt, digest = _split_hash(word)
    return hmac.compare_digest(
        hmac.digest(salt, name.encode("utf-8", "surrogateescape"), "sha1"), digest
    )
