"""From a host's name to a connected socket: Happy Eyeballs (RFC 8305)."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from itertools import chain, zip_longest
from typing import Any, Literal, TypeAlias

from nacre.errors import ConnectFailed
from nacre.value import value
from nacre.wire.text import safe

ATTEMPT_DELAY = 0.25
"""Seconds an attempt has before the next address is tried beside it (RFC 8305 section 5)."""

ROUND_DELAY = 1.0
"""Seconds before all addresses are tried again (ConnectionAttempts in ssh_config(5))."""

Address: TypeAlias = tuple[int, Any]
"""A family, and an address of it."""

Family: TypeAlias = Literal["any", "inet", "inet6"]
"""The addresses to use: of both families, or of one (AddressFamily in ssh_config(5))."""

_FAMILIES = {"any": socket.AF_UNSPEC, "inet": socket.AF_INET, "inet6": socket.AF_INET6}

Report: TypeAlias = Callable[[str, OSError | None], None]
"""Gets an address of the host and None when an attempt begins, and its error when it fails."""


@value
class DialOptions:
    """How to reach a host.

    :ivar family: the families of addresses to use.
    :ivar bind: the name or address to connect from, or None. An attempt uses its first address of
        the family of the host's address, and fails if there is none.
    :ivar interface: the name of the network interface to connect from, or None.
    :ivar attempts: how often all addresses of the host are tried.
    :ivar timeout: seconds for each address, or None for as long as the system takes.
    :ivar keepalive: whether TCP itself probes a silent peer.
    :ivar report: called as each attempt begins, and as it fails.
    """

    family: Family = "any"
    bind: str | None = None
    interface: str | None = None
    attempts: int = 1
    timeout: float | None = None
    keepalive: bool = False
    report: Report | None = None


DEFAULT = DialOptions()


class HostNotFound(ConnectFailed):
    """The host's name has no address.

    :ivar reason: the resolver's text.
    """

    def __init__(self, host: str, error: OSError) -> None:
        self.reason = explain(error)
        super().__init__(
            f"can't find the host {safe(host)}: {self.reason}; "
            "check its name, and name resolution here"
        )


class Unreachable(ConnectFailed):
    """No address of the host accepted a connection.

    :ivar failures: the error of each address in the last round, in the order of the failures. A
        :class:`TimeoutError` stands for an address that did not answer, whether the system or
        :attr:`DialOptions.timeout` gave it up; :func:`explain` gives an error's text.
    """

    def __init__(self, host: str, port: int, wanted: str, failures: Sequence[OSError]) -> None:
        self.failures = tuple(failures)
        reasons = "; ".join(dict.fromkeys(map(explain, failures)))
        if any(isinstance(error, ConnectionRefusedError) for error in failures):
            remedy = f"is {wanted} running there, on this port?"
        else:
            remedy = "check the address, and the network and firewalls on the way"
        super().__init__(f"can't connect to {safe(host)} port {port}: {reasons}; {remedy}")


def explain(error: OSError) -> str:
    """Return the system's text for an error: asyncio replaces that of ``connect`` by its own."""
    if isinstance(error, socket.gaierror) or not error.errno:
        return str(error.strerror or error)
    return os.strerror(error.errno)


# --- names ---


Lookups: TypeAlias = Callable[[Callable[[], list[Any]]], Awaitable[list[Any]]]
"""Calls ``getaddrinfo`` in a thread."""


def loops_threads(work: Callable[[], list[Any]]) -> Awaitable[list[Any]]:
    """Work in the threads of the loop."""
    return asyncio.get_running_loop().run_in_executor(None, work)


async def look_up(
    host: str, port: int, family: int = socket.AF_UNSPEC, lookups: Lookups = loops_threads
) -> list[Any]:
    """Return the result of ``getaddrinfo`` for a host; a literal address takes no thread.

    :raises OSError: the name has no address, or it can't be a name.
    """
    try:
        # As bytes: to encode a text, Python loads the tables of internationalized names.
        name = host.encode("ascii") if host.isascii() else host
        lookup = partial(socket.getaddrinfo, name, port, family, socket.SOCK_STREAM)
        try:
            return lookup(flags=socket.AI_NUMERICHOST)
        except socket.gaierror:
            return await lookups(lookup)
    except UnicodeError as error:
        raise socket.gaierror(socket.EAI_NONAME, str(error)) from error


async def resolve(
    host: str, port: int, lookups: Lookups = loops_threads, family: int = socket.AF_UNSPEC
) -> list[Address]:
    """Return a name's addresses, alternating between the families.

    :raises HostNotFound: it has none.
    """
    try:
        found = await look_up(host, port, family, lookups)
    except OSError as error:
        raise HostNotFound(host, error) from error
    return _interleaved((family, address) for family, _, _, _, address in found)


def _interleaved(addresses: Iterable[Address]) -> list[Address]:
    """Alternate between the families, in the order of the system (RFC 8305 section 4)."""
    families: dict[int, list[Address]] = {}
    for address in addresses:
        families.setdefault(address[0], []).append(address)
    rounds = chain.from_iterable(zip_longest(*families.values()))
    return [address for address in rounds if address is not None]


# --- connections ---


async def dial(
    host: str,
    port: int,
    options: DialOptions = DEFAULT,
    *,
    wanted: str = "an SSH server",
    lookups: Lookups = loops_threads,
) -> socket.socket:
    """Return a connected, non-blocking socket; a cancelled call leaves none open.

    :param wanted: what should run there, for error messages.
    :param lookups: where names are looked up; by default in the loop's threads.
    :raises HostNotFound: the name has no address.
    :raises Unreachable: none of its addresses accepted a connection.
    """
    addresses = await resolve(host, port, lookups, _FAMILIES[options.family])
    failures: list[OSError] = []
    for attempt in range(options.attempts):
        if attempt:
            await asyncio.sleep(ROUND_DELAY)
        failures.clear()
        dialer = _Dialer(options, lookups, failures)
        # One address has no rival, so it needs no task.
        one = len(addresses) == 1
        sock = await (dialer.connect(addresses[0]) if one else dialer.race(addresses))
        if sock is not None:
            return sock
    raise Unreachable(host, port, wanted, failures) from failures[0]


class _Dialer:
    """One round through a host's addresses.

    :param failures: gets the error of each address that fails.
    """

    def __init__(self, options: DialOptions, lookups: Lookups, failures: list[OSError]) -> None:
        self._options = options
        self._lookups = lookups
        self._failures = failures

    async def race(self, addresses: Sequence[Address]) -> socket.socket | None:
        """Return the first socket that connects, or None: each attempt gets ATTEMPT_DELAY alone."""
        tasks: list[asyncio.Task[socket.socket | None]] = []
        untried = iter(addresses)
        try:
            while (address := next(untried, None)) is not None or not all(t.done() for t in tasks):
                if address is not None:
                    tasks.append(asyncio.create_task(self.connect(address)))
                pending = [task for task in tasks if not task.done()]
                timeout = ATTEMPT_DELAY if len(tasks) < len(addresses) else None
                await asyncio.wait(pending, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
                if (won := _take_connected(tasks)) is not None:
                    return won
        finally:
            for task in tasks:
                task.cancel()
                task.add_done_callback(_close_unused)
        return None

    async def connect(self, address: Address) -> socket.socket | None:
        """Return a socket that is connected to an address, or None: its error is noted then."""
        family, target = address
        self._report(target[0], None)
        try:
            sock = socket.socket(family, socket.SOCK_STREAM)
            try:
                await self._connect(sock, target)
            except BaseException:
                sock.close()
                raise
        except OSError as error:
            self._failures.append(error)
            self._report(target[0], error)
            return None
        return sock

    def _report(self, address: str, error: OSError | None) -> None:
        if self._options.report is not None:
            self._options.report(address, error)

    async def _connect(self, sock: socket.socket, target: Any) -> None:
        options = self._options
        sock.setblocking(False)
        if options.keepalive:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if options.interface is not None:
            name = os.fsencode(options.interface)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name)
        if options.bind is not None:
            (source, *_) = await look_up(options.bind, 0, sock.family, self._lookups)
            sock.bind(source[4])
        deadline = asyncio.timeout(options.timeout)
        try:
            async with deadline:
                await asyncio.get_running_loop().sock_connect(sock, target)
        except TimeoutError as error:
            if not deadline.expired():
                raise
            raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)) from error


def _take_connected(tasks: list[asyncio.Task[socket.socket | None]]) -> socket.socket | None:
    for task in tasks:
        if task.done() and (sock := task.result()) is not None:
            tasks.remove(task)
            return sock
    return None


def _close_unused(task: asyncio.Task[socket.socket | None]) -> None:
    if not task.cancelled() and task.exception() is None and (sock := task.result()) is not None:
        sock.close()
