"""The connections of a scan: one for each host and type of key, many at a time."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress

from nacre.aio.dial import DialOptions, HostNotFound, dial
from nacre.cli.keyscan.arguments import TYPES, KeyscanArguments
from nacre.cli.keyscan.targets import ScanTarget
from nacre.client.connect import connect
from nacre.crypto.signatures.certified import certified
from nacre.errors import ConnectFailed, ConnectionLost, HostKeyError, NacreError
from nacre.keys.base import PublicKey
from nacre.keys.hosts.known_hosts import DEFAULT_PORT, KnownHosts, host_name
from nacre.keys.hosts.sshfp import records
from nacre.protocol.events import Event, KexDone, VersionReceived
from nacre.protocol.options import algorithms
from nacre.wire.text import safe

MOST = 64
"""Connections that are open at a time."""


class _Taken(HostKeyError):
    """The host key is there, and the connection has no more use."""


class _Take:
    """Takes the server's host key, and ends the connection before a login."""

    def __init__(self) -> None:
        self.key: PublicKey | None = None

    def algorithms(self, host: str, port: int, offered: tuple[str, ...]) -> tuple[str, ...]:
        """Return ``offered`` unchanged."""
        return offered

    async def check(self, host: str, port: int, address: str, key: PublicKey) -> None:
        """Keep the key.

        :raises HostKeyError: always.
        """
        self.key = key
        raise _Taken("the key is all that was wanted")


class Scan:
    """Prints the host keys of servers.

    :ivar found: whether there was a key.
    """

    def __init__(self, arguments: KeyscanArguments) -> None:
        self.found = False
        self._arguments = arguments
        self._dialing = DialOptions(family=arguments.family, timeout=arguments.timeout)

    async def run(self, targets: Iterable[ScanTarget]) -> None:
        """Scan all hosts. They are taken one by one, because a range may have millions."""
        work = self._work(targets)
        await asyncio.gather(*(self._worker(work) for _ in range(MOST)))

    def _work(self, targets: Iterable[ScanTarget]) -> Iterator[tuple[ScanTarget, str]]:
        for target in targets:
            for type in self._arguments.types:
                yield target, type

    async def _worker(self, work: Iterator[tuple[ScanTarget, str]]) -> None:
        for target, type in work:
            await self._scan(target, type)

    async def _scan(self, target: ScanTarget, type: str) -> None:
        port = self._arguments.port
        for address in target.addresses:
            try:
                async with asyncio.timeout(self._arguments.timeout):
                    sock = await dial(address, port, self._dialing)
            except HostNotFound as error:
                self._complain(f"getaddrinfo {safe(address)}: {error.reason}")
            except (ConnectFailed, TimeoutError):
                continue
            else:
                with sock:
                    key = await self._ask(address, sock.dup(), type)
                if key is not None:
                    self._print(target, key)
                return

    async def _ask(self, address: str, sock: object, type: str) -> PublicKey | None:
        """Return the host key of one type, or None if the server has none."""
        said: list[Event] = []

        def trace(event: Event, now: float) -> None:
            if isinstance(event, VersionReceived):
                said.append(event)
                self._comment(address, event.remote)
            elif isinstance(event, KexDone) and self._arguments.verbose:
                self._complain(f"debug1: {safe(address)}: {event.chosen}")

        names = TYPES[type]
        if self._arguments.certificates:
            names = tuple(map(certified, names))
        trust = _Take()
        try:
            async with connect(
                address,
                self._arguments.port,
                user="keyscan",
                trust=trust,
                keys=[],
                agent=False,
                config=None,
                timeout=self._arguments.timeout,
                algorithms=algorithms(profile="legacy", host_key=names),
                trace=trace,
                sock=sock,  # type: ignore[arg-type]
            ):
                pass
        except _Taken:
            pass
        except ConnectionLost as error:
            if not said:
                self._complain(f"{safe(address)}: Connection closed by remote host")
            self._debug(address, error)
        except NacreError as error:
            self._debug(address, error)
        return trust.key

    # --- what is printed ---

    def _print(self, target: ScanTarget, key: PublicKey) -> None:
        self.found = True
        arguments = self._arguments
        listed = arguments.certificates or (not arguments.hashed and arguments.port == DEFAULT_PORT)
        names = (",".join(target.names),) if listed else target.names
        for name in names:
            if arguments.records:
                with suppress(NacreError):  # a type of key without records
                    for record in records(key, arguments.hash_names):
                        print(record.line(name))
            elif arguments.certificates:
                print(key)
            elif arguments.hashed:
                print(KnownHosts().line_for(name.lower(), arguments.port, key, hashed=True))
            else:
                print(f"{host_name(name.lower(), arguments.port)} {key}")
        sys.stdout.flush()

    def _comment(self, address: str, version: str) -> None:
        if not self._arguments.quiet:
            mark = ";" if self._arguments.records else "#"
            self._complain(f"{mark} {safe(address)}:{self._arguments.port} {version}")

    def _debug(self, address: str, error: NacreError) -> None:
        if self._arguments.verbose:
            self._complain(f"debug1: {safe(address)}: {error}")

    def _complain(self, text: str) -> None:
        print(text, file=sys.stderr)
