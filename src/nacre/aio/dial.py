"""From a host's name to a connected socket: Happy Eyeballs (RFC 8305)."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterable
from concurrent.futures import Executor
from functools import partial
from itertools import chain, zip_longest
from typing import Any, TypeAlias

from nacre.errors import ConnectFailed
from nacre.wire.text import safe

ATTEMPT_DELAY = 0.25
"""Seconds an attempt has before the next address is tried beside it (RFC 8305 section 5)."""

Address: TypeAlias = tuple[int, Any]
"""A family, and an address of it."""


async def dial(
    host: str, port: int, *, wanted: str = "an SSH server", lookups: Executor | None = None
) -> socket.socket:
    """Return a socket that is connected to ``host``; a cancelled call leaves none open.

    :param wanted: what should run there, for error messages.
    :param lookups: where names are looked up; by default in the loop's threads.
    :raises ConnectFailed: the name has no address, or none of its addresses answers.
    """
    addresses = await resolve(host, port, lookups)
    errors: list[OSError] = []
    if len(addresses) == 1:
        # Nothing to try beside it, so no task for it.
        if (sock := await _connect(addresses[0], errors)) is not None:
            return sock
        raise ConnectFailed(_explain(host, port, wanted, errors)) from errors[0]
    tasks: list[asyncio.Task[socket.socket | None]] = []
    waiting = iter(addresses)
    try:
        while (address := next(waiting, None)) is not None or not all(t.done() for t in tasks):
            if address is not None:
                tasks.append(asyncio.create_task(_connect(address, errors)))
            pending = [task for task in tasks if not task.done()]
            timeout = ATTEMPT_DELAY if len(tasks) < len(addresses) else None
            await asyncio.wait(pending, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if (won := _take_connected(tasks)) is not None:
                return won
    finally:
        for task in tasks:
            task.cancel()
            task.add_done_callback(_close_unused)
    raise ConnectFailed(_explain(host, port, wanted, errors)) from errors[0]


async def look_up(
    host: str, port: int, family: int = socket.AF_UNSPEC, lookups: Executor | None = None
) -> list[Any]:
    """Return what ``getaddrinfo`` says of a host; a literal address takes no thread.

    :raises OSError: the name has no address.
    :raises UnicodeError: it can't be a name.
    """
    # As bytes: to encode a text, Python loads the tables of internationalized names.
    name = host.encode("ascii") if host.isascii() else host
    lookup = partial(socket.getaddrinfo, name, port, family, socket.SOCK_STREAM)
    try:
        return lookup(flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        return await asyncio.get_running_loop().run_in_executor(lookups, lookup)


async def resolve(host: str, port: int, lookups: Executor | None = None) -> list[Address]:
    """Return a name's addresses, the families in turn.

    :raises ConnectFailed: it has none.
    """
    try:
        found = await look_up(host, port, lookups=lookups)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConnectFailed(
            f"can't find the host {safe(host)}: {why}; check its name, and name resolution here"
        ) from error
    return _interleaved((family, address) for family, _, _, _, address in found)


def _interleaved(addresses: Iterable[Address]) -> list[Address]:
    """Alternate between the families, in the order of the system (RFC 8305 section 4)."""
    families: dict[int, list[Address]] = {}
    for address in addresses:
        families.setdefault(address[0], []).append(address)
    rounds = chain.from_iterable(zip_longest(*families.values()))
    return [address for address in rounds if address is not None]


async def _connect(address: Address, errors: list[OSError]) -> socket.socket | None:
    family, target = address
    try:
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, target)
        except BaseException:
            sock.close()
            raise
    except OSError as error:
        errors.append(error)
        return None
    return sock


def _take_connected(tasks: list[asyncio.Task[socket.socket | None]]) -> socket.socket | None:
    for task in tasks:
        if task.done() and (sock := task.result()) is not None:
            tasks.remove(task)
            return sock
    return None


def _close_unused(task: asyncio.Task[socket.socket | None]) -> None:
    if not task.cancelled() and task.exception() is None and (sock := task.result()) is not None:
        sock.close()


def _explain(host: str, port: int, wanted: str, errors: list[OSError]) -> str:
    # asyncio puts a text of its own in place of the system's.
    said = (os.strerror(error.errno) if error.errno else str(error) for error in errors)
    reasons = "; ".join(dict.fromkeys(said))
    if any(isinstance(error, ConnectionRefusedError) for error in errors):
        remedy = f"is {wanted} running there, on this port?"
    else:
        remedy = "check the address, and the network and firewalls on the way"
    return f"can't connect to {safe(host)} port {port}: {reasons}; {remedy}"
