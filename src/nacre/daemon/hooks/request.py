"""Tells a hook by HTTP: a signed POST of JSON, over a connection of its own.

Only what that needs of HTTP/1.1 (RFC 9112) is here: the answer's status and headers are read, up to
a bound, and its body is not. Redirects are not followed, and no proxy is asked.
"""

from __future__ import annotations

import asyncio
import hmac
import ssl
import time
from contextlib import suppress
from datetime import UTC, datetime
from email.message import Message as Headers
from email.parser import BytesHeaderParser
from email.utils import parsedate_to_datetime
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from nacre.daemon.hooks.deliveries import DeliveryFailed, DeliveryRefused, ToldEvent
from nacre.daemon.hooks.values import HookPlan
from nacre.errors import ConfigurationError
from nacre.limits import KIB

LONGEST_HEAD = 16 * KIB
"""Bytes of an answer's status line and headers."""

_MOST_INTERIM = 8
"""Interim answers (1xx) in front of the final one."""

_RETRIED = {408, 429}
"""Statuses of the client's faults that may go away."""

_LOCAL = {"localhost", "127.0.0.1", "::1"}
_PORTS = {"http": 80, "https": 443}
_NO_TARGET = {"#", " ", "\t", "\r", "\n"}


class _Answer(NamedTuple):
    status: int
    headers: Headers[str, str]


def check_url(text: str) -> SplitResult:
    """Return the parts of a URL that a hook may have.

    :raises ConfigurationError: it may not have this one.
    """
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise ConfigurationError(f"{text!r} is no URL") from None
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ConfigurationError(f"{text!r} is no URL of https")
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError("a URL of a hook has no password: its requests are signed")
    if not text.isascii() or any(one in text for one in _NO_TARGET):
        raise ConfigurationError(f"{text!r} has characters that must be escaped in a URL")
    if parts.scheme == "http" and parts.hostname not in _LOCAL:
        raise ConfigurationError(
            "over http anybody on the way can read the events: use https, or http to localhost"
        )
    return parts


def signature(secret: bytes, timestamp: str, body: bytes) -> str:
    """Return the value of ``Nacre-Signature``: HMAC-SHA256 (RFC 2104) over ``timestamp.body``."""
    return f"v1={hmac.digest(secret, timestamp.encode() + b'.' + body, sha256).hex()}"


class HTTPDelivery:
    """Sends a request for each event."""

    def __init__(self) -> None:
        # To load the system's authorities takes long: the context, and of which authorities it is.
        self._trust: tuple[str, ssl.SSLContext] | None = None

    async def deliver(self, plan: HookPlan, event: ToldEvent) -> str:
        """Send the request, and read how it was answered."""
        parts = check_url(plan.target)
        try:
            context = self._context(plan) if parts.scheme == "https" else None
            answer = await _exchange(parts, context, _request(plan, parts, event))
        except ssl.SSLError as error:
            raise DeliveryFailed(f"TLS: {error.reason or error}") from error
        except OSError as error:
            raise DeliveryFailed(f"no connection: {error.strerror or error}") from error
        _judge(answer)
        return ""

    def _context(self, plan: HookPlan) -> ssl.SSLContext:
        if self._trust is None or self._trust[0] != plan.authorities:
            made = ssl.create_default_context(cadata=plan.authorities or None)
            self._trust = plan.authorities, made
        return self._trust[1]

    async def close(self) -> None:
        """End nothing: a connection ends with its event."""


def _judge(answer: _Answer) -> None:
    status = answer.status
    if 200 <= status < 300:
        return
    if 400 <= status < 500 and status not in _RETRIED:
        raise DeliveryRefused(f"HTTP status {status}")
    raise DeliveryFailed(f"HTTP status {status}", _retry_after(answer.headers))


def _retry_after(headers: Headers[str, str]) -> float:
    """Return the seconds of Retry-After (RFC 9110 section 10.2.3); 0 without one."""
    text = (headers.get("Retry-After") or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    with suppress(ValueError, TypeError):
        at = parsedate_to_datetime(text)
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return max(0.0, (at - datetime.now(UTC)).total_seconds())
    return 0.0


def _request(plan: HookPlan, parts: SplitResult, event: ToldEvent) -> bytes:
    timestamp = str(int(time.time()))
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    port = "" if parts.port in (None, _PORTS[parts.scheme]) else f":{parts.port}"
    query = f"?{parts.query}" if parts.query else ""
    lines = (
        f"POST {parts.path or '/'}{query} HTTP/1.1",
        f"Host: {host}{port}",
        "User-Agent: nacre",
        "Content-Type: application/json",
        f"Content-Length: {len(event.body)}",
        "Connection: close",
        f"Nacre-Id: {event.told['id']}",
        f"Nacre-Event: {event.told['event']}",
        f"Nacre-Timestamp: {timestamp}",
        f"Nacre-Signature: {signature(plan.secret, timestamp, event.body)}",
    )
    return "".join(f"{line}\r\n" for line in lines).encode("ascii") + b"\r\n" + event.body


async def _exchange(parts: SplitResult, context: ssl.SSLContext | None, request: bytes) -> _Answer:
    reader, writer = await asyncio.open_connection(
        parts.hostname, parts.port or _PORTS[parts.scheme], ssl=context, limit=LONGEST_HEAD
    )
    try:
        # The answer may come, and be an error, before all was read.
        sending = asyncio.create_task(_send(writer, request))
        try:
            return await _answer(reader)
        finally:
            sending.cancel()
    finally:
        writer.transport.abort()


async def _send(writer: asyncio.StreamWriter, request: bytes) -> None:
    writer.write(request)
    with suppress(OSError):
        await writer.drain()


async def _answer(reader: asyncio.StreamReader) -> _Answer:
    for _ in range(_MOST_INTERIM):
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            raise DeliveryFailed("the connection was closed without an answer") from None
        except asyncio.LimitOverrunError:
            raise DeliveryFailed("the headers of the answer are too long") from None
        line, _, rest = head.partition(b"\r\n")
        words = line.split(b" ", 2)
        if not words[0].startswith(b"HTTP/1.") or len(words) < 2 or len(words[1]) != 3:
            raise DeliveryFailed("the answer is not HTTP")
        if not words[1].isdigit():
            raise DeliveryFailed("the answer is not HTTP")
        if words[1][:1] != b"1":
            return _Answer(int(words[1]), BytesHeaderParser().parsebytes(rest))
    raise DeliveryFailed("there are too many interim answers")
