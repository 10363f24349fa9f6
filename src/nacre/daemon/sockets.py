"""The sockets that a server listens on."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Iterable

from nacre.errors import StateError
from nacre.server.listen import BACKLOG, notice_vanished_clients


def bind(host: str, port: int, *, keepalive: bool = True) -> list[socket.socket]:
    """Return a listening socket for each address that ``host`` has.

    :param host: "" for all addresses.
    :param port: 0 lets the system choose.
    :param keepalive: have the system find out that a client has vanished.
    :raises StateError: the address can't be used; the message says why and what to do.
    """
    sockets: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, where in dict.fromkeys((one[0], one[4]) for one in found):
            if family == socket.AF_INET6 and not socket.has_ipv6:
                continue
            sockets.append(socket.create_server(where, family=family, backlog=BACKLOG))
            if keepalive:
                notice_vanished_clients(sockets[-1])
    except OSError as error:
        for sock in sockets:
            sock.close()
        raise _cannot_listen(host, port, error) from error
    return sockets


def _cannot_listen(host: str, port: int, error: OSError) -> StateError:
    where, remedy = show(host, port), "give another address with --listen"
    if error.errno == errno.EADDRINUSE:
        remedy = "another program uses it; give another port with --listen, or 0 for a free one"
    elif error.errno == errno.EACCES:
        remedy = "only root may use ports below 1024; give another port with --listen"
    # strerror() of the error would repeat the address; errors of name lookups are negative.
    number = error.errno or 0
    reason = os.strerror(number) if number > 0 else error.strerror
    return StateError(f"can't listen on {where}: {reason}: {remedy}")


def show(host: str, port: int) -> str:
    """Return ``ADDR:PORT``, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def announce(sockets: Iterable[socket.socket]) -> None:
    """Print the address of each socket on standard error: the server is ready."""
    for sock in sockets:
        host, port = sock.getsockname()[:2]
        print(f"listening on {show(host, port)}", file=sys.stderr, flush=True)
