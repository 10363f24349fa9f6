"""The sockets that a server listens on."""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Self

from nacre.config.server.config import ServerConfig
from nacre.daemon.control.place import listen_at
from nacre.daemon.state import alone, changeable
from nacre.errors import StateError
from nacre.server.listen import BACKLOG, notice_vanished_clients
from nacre.server.peer import address_of

_FAMILIES = {"any": socket.AF_UNSPEC, "inet": socket.AF_INET, "inet6": socket.AF_INET6}

_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
"""The errors of ``::`` where the system has IPv6 switched off."""


@dataclass(frozen=True, slots=True)
class Passed:
    """Sockets from another process.

    :ivar data: what :meth:`ListeningSockets.pack` made.
    :ivar descriptors: those of the sockets.
    """

    data: bytes
    descriptors: list[int]

    def close(self) -> None:
        """Close the descriptors of sockets that nobody wants."""
        for descriptor in self.descriptors:
            os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen.

    :ivar host: "" for all addresses; with ``AF_UNIX`` the path of a socket.
    :ivar port: 0 lets the system choose.
    :ivar family: one of the ``socket.AF_…``.
    :ivar domain: the routing domain, which is the interface of a VRF, or None.
    :ivar told_by: what named the address, for errors.
    """

    host: str
    port: int
    family: int = socket.AF_UNSPEC
    domain: str | None = None
    told_by: str = "--listen"


def configured(config: ServerConfig) -> tuple[Address, ...]:
    """Return the addresses of ListenAddress, Port and AddressFamily."""
    family = _FAMILIES[config.address_family]
    places = config.listen_addresses or (("", None, None),)
    return tuple(
        dict.fromkeys(
            Address(host, number, family, domain, "ListenAddress" if host else "Port")
            for host, port, domain in places
            for number in (config.ports if port is None else (port,))
        )
    )


class ListeningSockets:
    """The sockets of a server, by the address that each was asked for."""

    def __init__(self) -> None:
        self._bound: dict[Address, list[socket.socket]] = {}

    @property
    def all(self) -> list[socket.socket]:
        """The sockets, in the order of their addresses."""
        return [sock for sockets in self._bound.values() for sock in sockets]

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The addresses that they were asked for, in their order."""
        return tuple(self._bound)

    def change(
        self,
        wanted: Sequence[Address],
        *,
        keepalive: bool = True,
        close: Callable[[socket.socket], None] = socket.socket.close,
        report: Callable[[str], None] | None = None,
    ) -> None:
        """Listen on these addresses, and no others; a socket whose address stays is kept.

        :param close: closes a socket that is needed no more.
        :param report: as in sshd, an address that can't be used is no error while there is another
            one; called with the reason. The next call tries again. None makes it an error.
        :raises StateError: an address can't be used; then the old ones are listened on.
        """
        before = self._bound
        new = [address for address in wanted if address not in before]
        gone = [address for address in before if address not in wanted]
        try:
            bound = _bind_all(new)
        except StateError:
            if not gone and report is None:
                raise
            # An address that goes may stand in the way: one host's, and now that of all hosts.
            bound = self._bind_in_place(gone, new, close, report)
        for address in gone:
            _close(before.pop(address, []), close)
        both = {**before, **bound}
        self._bound = {address: both[address] for address in wanted if address in both}
        for sock in self.all:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, keepalive)

    def _bind_in_place(
        self,
        gone: list[Address],
        new: list[Address],
        close: Callable[[socket.socket], None],
        report: Callable[[str], None] | None,
    ) -> dict[Address, list[socket.socket]]:
        for address in gone:
            _close(self._bound.pop(address), close)
        try:
            return _bind_all(new, report, needed=not self._bound)
        except StateError:
            for address in gone:
                with suppress(StateError):
                    self._bound[address] = bind(address)
            raise

    def pack(self) -> tuple[bytes, list[int]]:
        """Return the addresses and the descriptors, for :meth:`adopt` in another process."""
        rows = [(*astuple(address), len(sockets)) for address, sockets in self._bound.items()]
        return json.dumps(rows).encode(), [sock.fileno() for sock in self.all]

    def adopt(
        self, passed: Passed, *, close: Callable[[socket.socket], None] = socket.socket.close
    ) -> None:
        """Listen on the sockets of another process; one whose address stays is kept.

        :param close: closes a socket that is needed no more.
        """
        before, self._bound = self._bound, {}
        sockets = [socket.socket(fileno=descriptor) for descriptor in passed.descriptors]
        for *fields, count in json.loads(passed.data):
            address = Address(*fields)
            received, sockets = sockets[:count], sockets[count:]
            if address in before:
                _close(received)
                received = before.pop(address)
            self._bound[address] = received
        for gone in before.values():
            _close(gone, close)

    def close(self) -> None:
        """Close all sockets."""
        _close(self.all)
        self._bound = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _bind_all(
    addresses: Iterable[Address],
    report: Callable[[str], None] | None = None,
    *,
    needed: bool = True,
) -> dict[Address, list[socket.socket]]:
    """Bind addresses; those that can't be used are reported, where somebody takes reports.

    :param needed: whether it is an error when none can be used.
    """
    bound: dict[Address, list[socket.socket]] = {}
    failed: StateError | None = None
    for address in addresses:
        try:
            bound[address] = bind(address)
        except StateError as error:
            failed = error
            if report is None:
                break
            report(str(error))
    if failed is not None and (report is None or (needed and not bound)):
        for sockets in bound.values():
            _close(sockets)
        raise failed
    return bound


def _close(
    sockets: Iterable[socket.socket], close: Callable[[socket.socket], None] = socket.socket.close
) -> None:
    for sock in sockets:
        close(sock)


def bind(address: Address, *, keepalive: bool = True) -> list[socket.socket]:
    """Return a listening socket for each address that the host has.

    :param keepalive: have the system find out that a client has vanished.
    :raises StateError: the address can't be used; the message says why and what to do.
    """
    if address.family == socket.AF_UNIX:
        return [_bind_path(address)]
    sockets: list[socket.socket] = []
    unusable: OSError | None = None
    try:
        found = socket.getaddrinfo(
            address.host or None,
            address.port,
            family=address.family,
            type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE,
        )
        for family, where in dict.fromkeys((one[0], one[4]) for one in found):
            if family == socket.AF_INET6 and not socket.has_ipv6:
                continue
            try:
                sockets.append(_listen(family, where, address.domain))
            except OSError as error:
                if address.host or error.errno not in _NOT_HERE:
                    raise
                unusable = error
                continue
            if keepalive:
                notice_vanished_clients(sockets[-1])
        if unusable is not None and not sockets:
            raise unusable
    except OSError as error:
        _close(sockets)
        raise _cannot_listen(address, error) from error
    return sockets


def _bind_path(address: Address) -> socket.socket:
    """Return a Unix socket that listens, for the server's account alone.

    :raises StateError: it can't be made, or others could put their own in its place.
    """
    parent = Path(address.host).parent
    try:
        if (fault := changeable(parent)) is not None:
            raise StateError(
                f"can't listen on {address.host}: {fault}: give a path with {address.told_by} in "
                "one that only root and the server's account can write to"
            )
        with alone(parent):
            return listen_at(address.host, BACKLOG)
    except OSError as error:
        raise _cannot_listen(address, error) from error


def _listen(family: int, where: tuple[object, ...], domain: str | None) -> socket.socket:
    if domain is None:
        return socket.create_server(where, family=family, backlog=BACKLOG)
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, domain.encode())
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(where)
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def _cannot_listen(address: Address, error: OSError) -> StateError:
    option = address.told_by
    where, remedy = show(address.host, address.port), f"give another address with {option}"
    if address.family == socket.AF_UNIX:
        remedy = f"give another path with {option}"
    elif error.errno == errno.EADDRINUSE:
        remedy = f"another program uses it; give another port with {option}, or 0 for a free one"
    elif error.errno == errno.EACCES:
        remedy = f"only root may use ports below 1024; give another port with {option}"
    elif error.errno == errno.ENODEV and address.domain is not None:
        remedy = f"there is no routing domain {address.domain}; name another with {option}"
    # strerror() of the error would repeat the address; errors of name lookups are negative.
    number = error.errno or 0
    reason = os.strerror(number) if number > 0 else error.strerror or str(error)
    return StateError(f"can't listen on {where}: {reason}: {remedy}")


def show(host: str, port: int) -> str:
    """Return ``ADDR:PORT``, an IPv6 address in brackets; of a Unix socket the path."""
    if host.startswith("/"):
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def place(sock: socket.socket) -> str:
    """Return the address and port of a socket, or the path."""
    return show(*address_of(sock.getsockname()))


def report_listening(
    log: Callable[[Mapping[str, object]], None], sockets: Iterable[socket.socket]
) -> None:
    """Log the address of each socket."""
    for sock in sockets:
        log({"event": "listening", "address": place(sock)})


def announce(sockets: Iterable[socket.socket]) -> None:
    """Print the address of each socket on standard error: the server is ready."""
    for sock in sockets:
        print(f"listening on {place(sock)}", file=sys.stderr, flush=True)
