"""A host's keys in ``known_hosts`` files, after the host has announced them (UpdateHostKeys)."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TypeAlias

from nacre.errors import KeyFormatError
from nacre.keys.base import PublicKey
from nacre.keys.formats.openssh import Random
from nacre.keys.hosts.known_hosts import KnownHost, KnownHosts, Marker, host_name
from nacre.keys.key import decode_public
from nacre.value import value

Places: TypeAlias = Sequence[tuple[str, int]]
"""The names and ports under which a host's keys are kept: its name, and perhaps its address."""


@value
class HostKeyRotation:
    """What an announcement changes.

    :ivar new: the host's keys that are not on record.
    :ivar old: the keys on record that the host no longer has.
    """

    new: tuple[PublicKey, ...]
    old: tuple[PublicKey, ...]


def plan(
    files: Iterable[KnownHosts], places: Places, shown: PublicKey, keys: Sequence[PublicKey]
) -> HostKeyRotation | None:
    """Return what changes if a host has just these keys; None if nothing may change, or does.

    As in OpenSSH, nothing changes if lines about the host have a marker, a pattern or a list of
    names, or if one of the keys is also on record under another name: a person keeps such lines.

    :param shown: the key with which the host has proved who it is: it must be among its keys, and
        on record.
    """
    known = list(files)
    names = [host_name(*place) for place in places]
    lines = [entry for hosts in known for name in names for entry in hosts.about(name)]
    if any(not _is_simple(entry, names) for entry in lines):
        return None
    recorded = dict.fromkeys(key for key in map(_key, lines) if key is not None)
    if shown not in recorded or shown not in keys:
        return None
    new = tuple(key for key in keys if key not in recorded)
    old = tuple(key for key in recorded if key not in keys)
    for hosts in known:
        for key in (*keys, *old):
            if any(not _is_about(entry, names) for entry in hosts.with_key(key)):
                return None
    return HostKeyRotation(new, old) if new or old else None


def edited(
    text: bytes,
    places: Places,
    keys: Collection[PublicKey],
    *,
    add: bool,
    hashed: bool = False,
    random: Random = os.urandom,
) -> bytes | None:
    """Return a file's text in which a host has no other keys; None if nothing changes.

    All other lines, the order and comments stay.

    :param add: append the keys that are missing.
    :param hashed: hash the names that are added.
    """
    hosts = KnownHosts(text)
    names = [host_name(*place) for place in places]
    lines = {entry.line_number: entry for name in names for entry in hosts.about(name)}
    if any(not _is_simple(entry, names) for entry in lines.values()):
        return None
    gone = {number for number, e in lines.items() if (key := _key(e)) and key not in keys}
    kept = [line for i, line in enumerate(text.split(b"\n"), 1) if i not in gone]
    result = b"\n".join(kept)
    if add:
        for line in _missing(list(lines.values()), places, keys, hashed, random):
            start = b"" if not result or result.endswith(b"\n") else b"\n"
            result += start + line.encode("utf-8", "surrogateescape") + b"\n"
    return None if result == text else result


def _missing(
    lines: Sequence[KnownHost],
    places: Places,
    keys: Iterable[PublicKey],
    hashed: bool,
    random: Random,
) -> Iterator[str]:
    for host, port in places:
        name = host_name(host, port)
        recorded = {entry.blob for entry in lines if entry.matches(name)}
        for key in keys:
            if key.blob not in recorded:
                yield KnownHosts.line_for(host, port, key, hashed=hashed, random=random)


def _is_simple(entry: KnownHost, names: Sequence[str]) -> bool:
    """Return whether a line is one that a program has written: of a name, or name and address."""
    if entry.marker is not Marker.NONE or any(set(host) & set("*?!") for host in entry.hosts):
        return False
    if len(entry.hosts) == 1 or len(names) == 1:
        return len(entry.hosts) <= 2
    return len(entry.hosts) == 2 and all(entry.matches(name) for name in names)


def _is_about(entry: KnownHost, names: Iterable[str]) -> bool:
    return any(entry.matches(name) for name in names)


def _key(entry: KnownHost) -> PublicKey | None:
    """Return the key of a line; None if it can't be used: such a line stays."""
    try:
        return decode_public(entry.blob)
    except KeyFormatError:
        return None
