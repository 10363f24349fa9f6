"""Serves the console until the process is told to end."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from uvicorn.server import ServerState

from nacre.cli.api.http import (
    PATIENCE,
    Patient,
    config_of,
    drop_all,
    protocols,
    tls_context,
)
from nacre.cli.api.sessions.origins import WrongOrigin, rp_id_of
from nacre.console.app import console_app
from nacre.console.connecting import api_at
from nacre.daemon.processes.limits import allow_descriptors
from nacre.errors import ConfigurationError, StateError
from nacre.server.admission.networks import NetworkSet

_LONGEST_KEY = 256
_BACKLOG = 128

MOST_CONNECTIONS = 1024
"""Browsers' connections at once; each open page that follows something has one. It costs 64 KB
(``python -m bench.console``)."""

_END = 5.0
"""Seconds that what answers a request has to end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleSettings:
    """What the console is told.

    :ivar place: the address and the port to listen on.
    :ivar api: the URL of the API, or the path of its Unix socket.
    :ivar authority: the file with the certificates that the API's TLS is trusted by, or None.
    :ivar key: the key of the API; empty for none.
    :ivar certificate: the file of the certificate for HTTPS; None for HTTP. ``certificate_key`` is
        that of its private key.
    :ivar ssh: the address and the port of the SSH server; None for those that the API names.
    :ivar proxies: reverse proxies, which are believed, and have HTTPS for the console.
    :ivar origin: that of the pages in browsers; None for what the address says.
    """

    place: tuple[str, int]
    api: str
    authority: str | None
    key: str
    certificate: Path | None
    certificate_key: Path | None
    proxies: NetworkSet
    ssh: tuple[str, int] | None = None
    origin: str | None = None

    def check(self) -> None:
        """Refuse to let passwords pass over a network in the clear.

        :raises ConfigurationError: the settings would.
        """
        host, clear = self.place[0], self.certificate is None
        if clear and not _is_loopback(host):
            raise ConfigurationError(
                f"--listen {host} can be reached from elsewhere, where passwords need HTTPS: give "
                "--cert and --cert-key, or an address of the loopback with a reverse proxy in front"
            )
        if "://" in self.api:
            try:
                scheme, name = urlsplit(self.api).scheme, urlsplit(self.api).hostname or ""
            except ValueError:
                scheme, name = "", ""
            if scheme not in ("http", "https") or not name:
                raise ConfigurationError(f"--api {self.api} is neither http:// nor https://")
            if scheme == "http" and not _is_loopback(name):
                raise ConfigurationError(f"--api {self.api} is not of this host: give https://")
        if (self.certificate is None) != (self.certificate_key is None):
            raise ConfigurationError("--cert and --cert-key go together")
        if self.origin is not None:
            try:
                rp_id_of(self.origin)
            except WrongOrigin as error:
                raise ConfigurationError(f"--origin {self.origin}: {error}") from None

    def pages_origin(self) -> str:
        """Return the origin of the pages; empty where browsers permit no security keys, or where
        only the one who runs a reverse proxy knows it."""
        if self.origin is not None:
            return self.origin
        host, port = self.place
        scheme, usual = ("http", 80) if self.certificate is None else ("https", 443)
        if self.proxies or not port:
            return ""
        name = "localhost" if _is_loopback(host) else host
        found = f"{scheme}://{name}" + ("" if port == usual else f":{port}")
        try:
            rp_id_of(found)
        except WrongOrigin:
            return ""
        return found


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def read_key(path: Path) -> str:
    """Return the key that a file has.

    :raises StateError: it can't be read, or others can read it.
    """
    try:
        with path.open("rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise StateError(f"others can read or change {path}: run chmod 600 {path}")
            return file.read(_LONGEST_KEY).decode("ascii", "replace").strip()
    except OSError as error:
        raise StateError(f"can't read {path}: {error.strerror}") from error


def serve(settings: ConsoleSettings, tell: Callable[[str], object]) -> None:
    """Serve until SIGINT or SIGTERM.

    :param tell: is told the URL.
    :raises ConfigurationError, StateError: that is not possible.
    """
    settings.check()
    allow_descriptors()
    asyncio.run(_serve(settings, tell))


async def _serve(settings: ConsoleSettings, tell: Callable[[str], object]) -> None:
    loop = asyncio.get_running_loop()
    tls = None
    if settings.certificate is not None:
        try:
            tls = tls_context(str(settings.certificate), str(settings.certificate_key))
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"the certificate can't be used: {error}") from error
    over = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, over.set)
    api = api_at(settings.api, settings.key, settings.authority)
    secure = tls is not None or bool(settings.proxies)
    console = console_app(
        api,
        secure=secure,
        proxies=settings.proxies,
        ssh=settings.ssh,
        origin=settings.pages_origin(),
    )
    app = Patient(console)
    patience, state = None if tls is None else PATIENCE, ServerState()
    try:
        server = await loop.create_server(
            protocols(config_of(app), state=state, most=MOST_CONNECTIONS),
            *settings.place,
            ssl=tls,
            ssl_handshake_timeout=patience,
            backlog=_BACKLOG,
        )
    except OSError as error:
        raise StateError(f"can't listen on {settings.place[0]}: {error}") from error
    tell(_url(server.sockets[0], tls is not None))
    try:
        await over.wait()
    finally:
        server.close()
        await drop_all(state, _END)
        with suppress(TimeoutError):
            async with asyncio.timeout(_END):
                await console.close()
        await api.close()


def _url(sock: socket.socket, secure: bool) -> str:
    host, port = sock.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if secure else 'http'}://{shown}:{port}/"
