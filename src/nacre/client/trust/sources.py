"""The lines of known hosts: of files, and those that a command prints."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeAlias

from nacre.errors import ConfigurationError
from nacre.keys.base import PublicKey
from nacre.keys.hosts.known_hosts import (
    DEFAULT_PORT,
    Finding,
    KnownHost,
    KnownHosts,
    Verdict,
    host_name,
)
from nacre.value import value

Listing: TypeAlias = Callable[[str, str, PublicKey | None], bytes]
"""Returns lines of known hosts; see :class:`~nacre.KnownHostsFile`."""

_COMMAND = Path("KnownHostsCommand")
"""Stands for a file where a line is shown that the command printed."""

_WORST_FIRST = (Verdict.REVOKED, Verdict.TRUSTED, Verdict.CHANGED, Verdict.UNKNOWN)


@value
class Location:
    """A line of a file, shown as ``file:line``."""

    path: Path
    entry: KnownHost

    def __str__(self) -> str:
        return f"{self.path}:{self.entry.line_number}"


def expand(paths: Iterable[str | os.PathLike[str]]) -> tuple[Path, ...]:
    """Return paths with ``~`` replaced by the home directory."""
    return tuple(Path(os.path.expanduser(path)) for path in paths)


class Sources:
    """All lines of known hosts. Its methods block: they read files, and may run a command.

    :ivar user: the user's files; new keys go into the first.
    """

    def __init__(
        self, user: Sequence[Path], others: Sequence[Path], command: Listing | None
    ) -> None:
        self.user = tuple(user)
        self._all = (*self.user, *others)
        self._command = command
        self._cache: dict[Path, tuple[tuple[int, int], KnownHosts]] = {}

    @property
    def waits(self) -> bool:
        """Whether the methods may block for long: there is a command."""
        return self._command is not None

    def load(self, path: Path) -> KnownHosts:
        """Return the lines of a file; none if there is no such file.

        :raises ConfigurationError: it can't be read.
        """
        try:
            stat = path.stat()
            signature = (stat.st_mtime_ns, stat.st_size)
            if path not in self._cache or self._cache[path][0] != signature:
                self._cache[path] = (signature, KnownHosts.parse(path.read_bytes()))
        except FileNotFoundError:
            return KnownHosts()
        except OSError as error:
            # A file that can't be read may revoke the key, so it can't be ignored.
            raise ConfigurationError(f"can't read {path}: {error.strerror}") from error
        return self._cache[path][1]

    def known(self, host: str, port: int) -> tuple[set[str], bool]:
        """Return the types of the keys on record for a host, and whether it has an authority."""
        hosts = [self.load(path) for path in self._all]
        hosts.append(self._listed("ORDER", host_name(host, port)))
        types = {name for one in hosts for name in one.key_types(host, port)}
        return types, any(one.has_authority(host, port) for one in hosts)

    def find(
        self, host: str, port: int, address: str, key: PublicKey, purpose: str = "HOSTNAME"
    ) -> tuple[Verdict, list[Location]]:
        """Return what the lines record about a key, and which lines these are.

        As in OpenSSH, a host without a line for its port is TRUSTED if a line without a port has
        this key.

        :param purpose: what the command is to be told.
        """
        sources = [(path, self.load(path)) for path in self._all]
        listed = self._listed(purpose, host_name(host, port), key)
        found = _worst(
            [
                (path, hosts.check(host, port, key, address))
                for path, hosts in [*sources, (_COMMAND, listed)]
            ]
        )
        if found[0] is Verdict.UNKNOWN and port != DEFAULT_PORT:
            elsewhere = _worst(
                [(path, hosts.check(host, DEFAULT_PORT, key)) for path, hosts in sources]
            )
            return elsewhere if elsewhere[0] is Verdict.TRUSTED else found
        return found

    def with_key(self, key: PublicKey) -> list[Location]:
        """Return the lines of files that have a key, whichever hosts they are about."""
        return [Location(path, e) for path in self._all for e in self.load(path).with_key(key)]

    def _listed(self, purpose: str, name: str, key: PublicKey | None = None) -> KnownHosts:
        """Return what the command lists."""
        if self._command is None:
            return KnownHosts()
        return KnownHosts.parse(self._command(purpose, name, key))


def _worst(found: Sequence[tuple[Path, Finding]]) -> tuple[Verdict, list[Location]]:
    verdicts = {finding.verdict for _, finding in found} | {Verdict.UNKNOWN}
    verdict = next(verdict for verdict in _WORST_FIRST if verdict in verdicts)
    counted = [(path, finding.entries) for path, finding in found if finding.verdict is verdict]
    return verdict, [Location(path, entry) for path, entries in counted for entry in entries]
