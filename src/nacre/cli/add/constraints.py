"""What the agent is told to keep to: ``-t``, ``-c``, ``-h`` and ``-H``."""

from __future__ import annotations

import os
from collections.abc import Sequence

from nacre.cli.add.arguments import AddOptions
from nacre.errors import ConfigurationError, KeyFormatError
from nacre.keys.agents.constraints import Constraints
from nacre.keys.agents.destinations import DestinationConstraint, DestinationEnd, DestinationKey
from nacre.keys.hosts.known_hosts import KnownHosts, Marker
from nacre.keys.key import decode_public
from nacre.wire.text import safe

_KNOWN_HOSTS = (
    "~/.ssh/known_hosts",
    "~/.ssh/known_hosts2",
    "/etc/ssh/ssh_known_hosts",
    "/etc/ssh/ssh_known_hosts2",
)


def constraints(options: AddOptions) -> Constraints:
    """Return what the command line asks for.

    :raises ConfigurationError: a destination has a bad form, or no host key of it is known.
    """
    return Constraints(
        lifetime=options.lifetime or None,
        confirm="c" in options,
        destinations=destinations(options.values("h"), options.values("H") or _KNOWN_HOSTS),
    )


def destinations(texts: Sequence[str], files: Sequence[str]) -> tuple[DestinationConstraint, ...]:
    """Return the destinations of ``-h``: ``[user@]host``, or ``host>[user@]host``.

    :param files: the files with the hosts' keys.
    :raises ConfigurationError: one has a bad form, or no host key of it is known.
    """
    if not texts:
        return ()
    known = [KnownHosts(text) for name in files if (text := _content(name)) is not None]
    return tuple(_destination(text, known) for text in texts)


def _destination(text: str, known: Sequence[KnownHosts]) -> DestinationConstraint:
    start, arrow, end = text.rpartition(">")
    if ">" in start or (arrow and "@" in start) or (arrow and not start):
        raise ConfigurationError(
            f"-h {safe(text, 200)}: give [user@]host, or host>[user@]host for a login from there"
        )
    return DestinationConstraint(
        _hop(start, known) if arrow else DestinationEnd(), _hop(end, known)
    )


def _hop(text: str, known: Sequence[KnownHosts]) -> DestinationEnd:
    user, _, host = text.rpartition("@")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    keys = tuple(_keys(host, known))
    if not host or not keys:
        raise ConfigurationError(
            f'No host keys found for destination "{safe(host, 200)}": log in to it once, or name '
            "the file with its keys with -H"
        )
    return DestinationEnd(host, keys, user)


def _keys(host: str, known: Sequence[KnownHosts]) -> list[DestinationKey]:
    found: dict[DestinationKey, None] = {}
    revoked: set[bytes] = set()
    for file in known:
        for entry in file.about(host.lower()):
            if entry.marker is Marker.REVOKED:
                revoked.add(entry.blob)
                continue
            try:
                key = decode_public(entry.blob)
            except KeyFormatError:
                continue
            found[DestinationKey(key, entry.marker is Marker.CERT_AUTHORITY)] = None
    return [one for one in found if one.key.blob not in revoked]


def _content(name: str) -> bytes | None:
    try:
        with open(os.path.expanduser(name), "rb") as file:
            return file.read()
    except OSError:
        return None
