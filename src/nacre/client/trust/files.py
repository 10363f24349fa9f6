"""Checks of host keys: against ``known_hosts`` files, to which new keys are added."""

from __future__ import annotations

import asyncio
import ipaddress
import os
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal, TypeAlias, TypedDict

from nacre.errors import (
    ConfigurationError,
    HostKeyChanged,
    HostKeyError,
    HostKeyRevoked,
    HostKeyUnknown,
)
from nacre.keys.base import PublicKey
from nacre.keys.known_hosts import (
    DEFAULT_PORT,
    Finding,
    KnownHost,
    KnownHosts,
    Verdict,
    host_name,
)
from nacre.value import value
from nacre.wire.text import safe

Strict: TypeAlias = Literal["yes", "no", "accept-new", "ask"]

USER_FILES = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")
GLOBAL_FILES = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")

_COMMAND = Path("KnownHostsCommand")
"""Stands for a file where a line is shown that the command printed."""

_RSA_ALGORITHMS = ("rsa-sha2-512", "rsa-sha2-256", "ssh-rsa")
_WORST_FIRST = (Verdict.REVOKED, Verdict.TRUSTED, Verdict.CHANGED, Verdict.UNKNOWN)


@value
class Location:
    """A line of a file, shown as ``file:line``."""

    path: Path
    entry: KnownHost

    def __str__(self) -> str:
        return f"{self.path}:{self.entry.line_number}"


@value
class NewHost:
    """An unknown key, for a human to decide on.

    :ivar name: the host as ``known_hosts`` writes it, made safe to print.
    :ivar address: the address we are connected to; empty where a jump host or a command connects.
    :ivar key: the host's key; its signature was verified.
    :ivar other_types: the lines with keys of other types for the host.
    """

    name: str
    address: str
    key: PublicKey
    other_types: tuple[Location, ...]


Listing: TypeAlias = Callable[[str, str, PublicKey | None], bytes]
"""Returns lines of known hosts; see :class:`KnownHostsFile`."""

Confirm: TypeAlias = Callable[[NewHost], Awaitable[bool]]


def family(key_type: str) -> str:
    """Return the usual name of a key type, such as ``ED25519``."""
    short = {
        "ssh-ed25519": "ED25519",
        "ssh-ed448": "ED448",
        "ssh-rsa": "RSA",
        "ssh-dss": "DSA",
        "rsa1": "RSA1",
    }
    return short.get(key_type, "ECDSA" if key_type.startswith("ecdsa-") else key_type)


class AnyHostKey:
    """Trusts every key: anyone on the network path can read everything, passwords too."""

    def algorithms(self, host: str, port: int, offered: tuple[str, ...]) -> tuple[str, ...]:
        """Return ``offered`` unchanged."""
        return offered

    async def check(self, host: str, port: int, address: str, key: PublicKey) -> None:
        """Trust the key."""


class KnownHostsFile:
    """Trusts the keys in ``known_hosts`` files.

    :param paths: the user's files; new keys go into the first. ``~`` is the home directory.
    :param global_paths: files that are only read.
    :param strict: what to do with an unknown key. ``yes`` refuses it; ``accept-new`` accepts and
        adds it; ``ask`` does so if ``confirm`` returns True; ``no`` accepts it, and a changed key
        too.
    :param hashed: hash the names of hosts that are added.
    :param alias: the name to look for in place of the host's; it has no port.
    :param check_address: whether the host's address must have the key too, where the files have one
        for it; the addresses of new hosts are added (CheckHostIP).
    :param trust_loopback: trust every key of a server on this machine
        (NoHostAuthenticationForLocalhost); not with ``alias``.
    :param fingerprint_hash: the hash of the fingerprints that messages show.
    :param command: returns more lines of known hosts. It may block, and gets what they are for
        (``ORDER``, ``HOSTNAME`` or ``ADDRESS``), the name to look for, and the key, unless it is
        not known yet (KnownHostsCommand).
    :param confirm: asked with ``strict="ask"``; without it unknown keys are refused.
    :param notice: gets text for the human, of one or more lines.
    :param alarm: gets the warning of a changed key that ``strict="no"`` accepts; by default
        ``notice`` gets it.
    :ivar mismatch: the error that ``strict="no"`` passed over. No secret may be sent to this host.
    """

    def __init__(
        self,
        paths: Sequence[str | os.PathLike[str]] = USER_FILES,
        *,
        global_paths: Sequence[str | os.PathLike[str]] = GLOBAL_FILES,
        strict: Strict = "yes",
        hashed: bool = False,
        alias: str | None = None,
        check_address: bool = False,
        trust_loopback: bool = False,
        fingerprint_hash: str = "sha256",
        command: Callable[[str, str, PublicKey | None], bytes] | None = None,
        confirm: Confirm | None = None,
        notice: Callable[[str], None] = lambda text: None,
        alarm: Callable[[str], None] | None = None,
    ) -> None:
        self._user = _expand(paths)
        self._all = (*self._user, *_expand(global_paths))
        self._strict = strict
        self._hashed = hashed
        self._alias = alias
        self._check_address = check_address and not alias
        self._trust_loopback = trust_loopback and not alias
        self._hash = fingerprint_hash
        self._command = command
        self._confirm = confirm
        self._notice = notice
        self._alarm = alarm or notice
        self._cache: dict[Path, tuple[tuple[int, int], KnownHosts]] = {}
        self.mismatch: HostKeyError | None = None

    def algorithms(self, host: str, port: int, offered: tuple[str, ...]) -> tuple[str, ...]:
        """Return ``offered``, with the algorithms of the host's known keys first."""
        host, port = self._name(host, port)
        known: set[str] = set()
        for path in self._all:
            known.update(self._load(path).key_types(host, port))
        known.update(self._listed("ORDER", host_name(host, port)).key_types(host, port))
        if "ssh-rsa" in known:
            known.update(_RSA_ALGORITHMS)
        return tuple(sorted(offered, key=lambda name: name not in known))

    async def check(self, host: str, port: int, address: str, key: PublicKey) -> None:
        """Return if ``key`` is trusted for ``host``.

        :raises HostKeyUnknown: no line has it, and it was not accepted.
        :raises HostKeyChanged: a line has another key of this type for the host.
        :raises HostKeyRevoked: a line marks it as revoked.
        """
        key = key.plain
        if self._trust_loopback and _is_loopback(address):
            self._notice("The host key of a server on this machine is not checked.")
            return
        host, port = self._name(host, port)
        verdict, places, others = await asyncio.to_thread(self._find, host, port, address, key)
        name = safe(host_name(host, port))
        if verdict is Verdict.REVOKED:
            raise HostKeyRevoked(
                f"the {family(key.type)} host key of {name} ({self._shown(key)}) is marked as "
                f"revoked in {places[0]}: anyone who has it can impersonate the host; don't "
                "connect",
                **_facts(host, port, key, places[0]),
            )
        if verdict is Verdict.CHANGED:
            self._changed(host, port, places, key)
        elif verdict is Verdict.UNKNOWN:
            await self._unknown(host, port, address, key, others)
        if self._check_address and address and address != host:
            await self._check_the_address(address, port, key, name)

    async def _check_the_address(self, address: str, port: int, key: PublicKey, name: str) -> None:
        """Compare the key with those that the files have for the address."""
        verdict, places, _ = await asyncio.to_thread(
            self._find, address, port, address, key, "ADDRESS"
        )
        if verdict is Verdict.CHANGED:
            if self._strict in ("yes", "ask"):
                self._changed(address, port, places, key)
            self._alarm(
                f"Warning: the {family(key.type)} host key for '{name}' differs from the key for "
                f"the address '{address}' in {', '.join(map(str, places))}"
            )
        elif verdict is Verdict.UNKNOWN and self._strict != "yes":
            await self._keep(address, port, key, host_name(address, port))

    @property
    def waits(self) -> bool:
        """Whether :meth:`algorithms` may block for long: it runs a command."""
        return self._command is not None

    def _shown(self, key: PublicKey) -> str:
        return key.fingerprint(self._hash)

    def _listed(self, purpose: str, name: str, key: PublicKey | None = None) -> KnownHosts:
        """Return what the command lists."""
        if self._command is None:
            return KnownHosts()
        return KnownHosts.parse(self._command(purpose, name, key))

    def _name(self, host: str, port: int) -> tuple[str, int]:
        return (self._alias, DEFAULT_PORT) if self._alias else (host, port)

    def _load(self, path: Path) -> KnownHosts:
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

    def _find(
        self, host: str, port: int, address: str, key: PublicKey, purpose: str = "HOSTNAME"
    ) -> tuple[Verdict, list[Location], list[Location]]:
        sources = [(path, self._load(path)) for path in self._all]
        sources.append((_COMMAND, self._listed(purpose, host_name(host, port), key)))
        found = [(path, hosts.check(host, port, key, address)) for path, hosts in sources]
        verdicts = {finding.verdict for _, finding in found} | {Verdict.UNKNOWN}
        verdict = next(verdict for verdict in _WORST_FIRST if verdict in verdicts)
        entries = [(path, f.entries) for path, f in found if f.verdict is verdict]
        others = [(path, f.other_types) for path, f in found]
        return verdict, _places(entries), _places(others)

    def _changed(self, host: str, port: int, places: list[Location], key: PublicKey) -> None:
        name, place = safe(host_name(host, port)), places[0]
        error = HostKeyChanged(
            f"the {family(key.type)} host key of {name} has changed: someone may be listening in, "
            f"or the host was installed anew. It shows {self._shown(key)}, and is known by "
            f"another key in {', '.join(map(str, places))}. When its owner confirms the new "
            f'fingerprint, remove the old key: nacre keygen -f "{place.path}" -R "{name}" '
            f'(or ssh-keygen -f "{place.path}" -R "{name}")',
            **_facts(host, port, key, place),
        )
        if self._strict != "no":
            raise error
        self.mismatch = error
        self._alarm(f"WARNING: {error}")

    async def _unknown(
        self, host: str, port: int, address: str, key: PublicKey, others: list[Location]
    ) -> None:
        name = safe(host_name(host, port))
        file = self._user[0] if self._user else None
        if self._strict == "yes" or (self._strict == "ask" and self._confirm is None):
            shown = file or "~/.ssh/known_hosts"
            raise HostKeyUnknown(
                f"no {family(key.type)} host key is known for {name}; it shows "
                f"{self._shown(key)}. "
                f"When its owner confirms that, add it: nacre ssh -p {port} "
                f'-o UserKnownHostsFile="{shown}" {safe(host)} asks and adds it '
                f"(or ssh-keyscan -p {port} {safe(host)} >> {shown}); "
                'KnownHostsFile(strict="accept-new") adds the keys of new hosts unasked',
                **_facts(host, port, key, file),
            )
        if self._strict == "ask" and self._confirm is not None:
            question = NewHost(name, safe(address), key, tuple(others))
            if not await self._confirm(question):
                raise HostKeyUnknown(
                    f"the host key of {name} ({self._shown(key)}) was not accepted; "
                    "StrictHostKeyChecking=accept-new accepts keys of new hosts unasked",
                    **_facts(host, port, key, file),
                )
        await self._keep(host, port, key, name)

    async def _keep(self, host: str, port: int, key: PublicKey, name: str) -> None:
        try:
            if not self._user:
                raise ConfigurationError("there is no file for it")
            line = KnownHosts.line_for(host, port, key, hashed=self._hashed)
            await asyncio.to_thread(_append, self._user[0], line, host, port, key)
        except (OSError, ConfigurationError) as error:
            self._notice(f"Failed to add the host to the list of known hosts: {error}")
        else:
            self._notice(
                f"Warning: Permanently added '{name}' ({family(key.type)}) "
                "to the list of known hosts."
            )


class _Facts(TypedDict):
    """The attributes of a :class:`HostKeyError`."""

    host: str
    port: int
    key: PublicKey
    file: str | None
    line: int | None


def _facts(host: str, port: int, key: PublicKey, place: Location | Path | None) -> _Facts:
    line = place.entry.line_number if isinstance(place, Location) else None
    path = place.path if isinstance(place, Location) else place
    return _Facts(
        host=host, port=port, key=key, file=None if path is None else str(path), line=line
    )


def _expand(paths: Iterable[str | os.PathLike[str]]) -> tuple[Path, ...]:
    return tuple(Path(os.path.expanduser(path)) for path in paths)


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _places(found: Iterable[tuple[Path, tuple[KnownHost, ...]]]) -> list[Location]:
    return [Location(path, entry) for path, entries in found for entry in entries]


def _append(path: Path, line: str, host: str, port: int, key: PublicKey) -> None:
    """Add a line, unless another process has added the key in the meantime."""

    def edit(text: bytes) -> bytes | None:
        found: Finding = KnownHosts.parse(text).check(host, port, key)
        if found.verdict is Verdict.TRUSTED:
            return None
        start = b"" if not text or text.endswith(b"\n") else b"\n"
        return text + start + line.encode("utf-8", "surrogateescape") + b"\n"

    from nacre.client.hostfile import update  # most logins add no line

    update(path, edit)
