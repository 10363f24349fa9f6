"""A directory behind HTTP: a POST for each question, with JSON in both directions.

The question is signed: the other end can tell that it is no stranger who has passwords verified.
That the answer comes from there, TLS says; so without TLS it has to be this host.
"""

from __future__ import annotations

import hmac
import json
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from nacre.daemon.accounts.directories.values import MOST, SECONDS
from nacre.errors import AccountError, ConfigurationError

_LOOPBACK = ("127.0.0.1", "::1")
_PORTS = {"http": 80, "https": 443}


class HTTPClient:
    """Posts to one URL. Redirects are not followed, and no proxy is used.

    :param url: ``https://…``, or ``http://`` with an address of the loopback.
    :raises ConfigurationError: it is no such URL.
    """

    def __init__(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise ConfigurationError(f"{url}: {error}") from None
        host = parts.hostname
        if parts.scheme not in _PORTS or not host or parts.username or parts.fragment:
            raise ConfigurationError(f"{url} is no URL of https without a user and a fragment")
        if parts.scheme == "http" and host not in _LOOPBACK:
            raise ConfigurationError(
                f"{url}: passwords do not go over a network without TLS: use https, or http with "
                "127.0.0.1 or [::1] as the host"
            )
        self._host, self._port = host, port or _PORTS[parts.scheme]
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._context = ssl.create_default_context() if parts.scheme == "https" else None

    def send(
        self, body: bytes | None, headers: Mapping[str, str], seconds: float = SECONDS
    ) -> tuple[int, bytes]:
        """Return the status and the body of the answer to a POST. Blocks.

        :param body: None for a GET.
        :param seconds: for all of it.
        :raises AccountError: there is no answer in that time, or it is too long.
        """
        deadline = time.monotonic() + seconds
        connection = self._connection(seconds)
        # The time-out of a socket is for each piece: a server that sends a byte now and then
        # would never run into it.
        watch: threading.Timer | None = None
        try:
            connection.connect()
            left = max(0.0, deadline - time.monotonic())
            watch = threading.Timer(left, _shut, [connection.sock])
            watch.daemon = True
            watch.start()
            method = "GET" if body is None else "POST"
            connection.request(method, self._path, body, dict(headers))
            answer = connection.getresponse()
            content = answer.read(MOST + 1)
        except TimeoutError:
            raise AccountError(f"{self._host} took more than {seconds:g} seconds") from None
        except (OSError, HTTPException, ValueError) as error:
            if time.monotonic() >= deadline:
                raise AccountError(f"{self._host} took more than {seconds:g} seconds") from None
            reason = f"{type(error).__name__}: {error}"
            raise AccountError(f"no answer of {self._host}:{self._port}: {reason}") from None
        finally:
            if watch is not None:
                watch.cancel()
            connection.close()
        if time.monotonic() >= deadline:  # what was cut off then may look complete
            raise AccountError(f"{self._host} took more than {seconds:g} seconds")
        if len(content) > MOST:
            raise AccountError(f"{self._host} sent more than {MOST} bytes")
        return answer.status, content

    def _connection(self, seconds: float) -> HTTPConnection:
        if self._context is None:
            return HTTPConnection(self._host, self._port, timeout=seconds)
        return HTTPSConnection(self._host, self._port, timeout=seconds, context=self._context)


def _shut(sock: socket.socket) -> None:
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


class AskedURL:
    """Puts questions to a URL; see :class:`~.values.AskDirectory`.

    :param secret: what questions are signed with.
    """

    def __init__(self, client: HTTPClient, secret: bytes) -> None:
        self._client = client
        self._secret = secret

    def __call__(self, question: Mapping[str, object]) -> object:
        """Return the answer. Blocks.

        :raises AccountError: there is none, its status is not 200, or it is no JSON.
        """
        body = json.dumps(question).encode()
        now = str(int(time.time()))
        status, content = self._client.send(
            body,
            {
                "Content-Type": "application/json",
                "Nacre-Time": now,
                "Nacre-Signature": signature(self._secret, now, body),
            },
        )
        if status != 200:
            raise AccountError(f"the status of the answer is {status}, and not 200")
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            raise AccountError("the answer is no JSON") from None


def signature(secret: bytes, now: str, body: bytes) -> str:
    """Return the HMAC-SHA-256 of the time, a full stop and the body, in hexadecimal digits."""
    return hmac.digest(secret, now.encode() + b"." + body, "sha256").hex()
