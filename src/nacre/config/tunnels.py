"""Forwardings in the notation of ssh(1) and ssh_config(5)."""

from __future__ import annotations

import re

from nacre.config import values
from nacre.config.schema import Kind
from nacre.config.syntax.tokens import expand_variables
from nacre.errors import ConfigurationError
from nacre.value import value

_PART = re.compile(r"(?:\[([^\[\]]*)\]|(/(?:[^:\\]|\\.)*)|([^:\[\]/]*))(:|\Z)")
_SPEC = "[bind_address:]port host:hostport, IPv6 addresses in brackets"


@value
class Forward:
    """A port or Unix socket to listen on, and the destination of the connections it accepts.

    :ivar bind: the address to listen on, "" or ``*`` for all; None if none was given.
    :ivar port: 0 lets the server choose.
    :ivar host: the destination; empty if a SOCKS client names it.
    :ivar host_port: the destination's port.
    :ivar path: the Unix socket to listen on, in place of ``bind`` and ``port``; "" for none.
    :ivar host_path: the Unix socket that is the destination; "" for none.
    """

    bind: str | None
    port: int
    host: str = ""
    host_port: int = 0
    path: str = ""
    host_path: str = ""

    @property
    def dynamic(self) -> bool:
        """Whether a SOCKS client names the destination."""
        return not self.host and not self.host_path

    @property
    def address(self) -> str | None:
        """The address to listen on: "" for all, None if none was given."""
        return "" if self.bind == "*" else self.bind

    @property
    def listen(self) -> str:
        """Where it listens, as ``-G`` prints it."""
        if self.path:
            return self.path
        return str(self.port) if self.bind is None else f"[{self.bind}]:{self.port}"

    @property
    def destination(self) -> str:
        """Where it leads, as ``-G`` prints it."""
        if self.host_path:
            return self.host_path
        return f"[{self.host or 'socks'}]:{self.host_port}"


def local(keyword: str, text: str) -> tuple[Forward, ...]:
    """Parse the value of ``-L``: ``[bind:]port:host:hostport``; a path may be in place of either.

    :raises ConfigurationError: it has another form, or a bad port.
    """
    return (_parse(keyword, expand_variables(text), lowest=1),)


def remote(keyword: str, text: str) -> tuple[Forward, ...]:
    """Parse the value of ``-R``, as :func:`local`; port 0 is allowed, and no destination."""
    text = expand_variables(text)
    parts = _parts(keyword, text)
    if len(parts) < 3 and not any(part.startswith("/") for part in parts):
        return (_listener(keyword, text, lowest=0),)
    return (_parse(keyword, text, lowest=0),)


def dynamic(keyword: str, text: str) -> tuple[Forward, ...]:
    """Parse ``[bind:]port``."""
    return (_listener(keyword, expand_variables(text), lowest=1),)


def place(keyword: str, text: str) -> tuple[str, int]:
    """Parse ``host:port``."""
    parts = _parts(keyword, text)
    if len(parts) != 2 or not parts[0]:
        raise values.bad(keyword, text, "host:port, an IPv6 address in brackets")
    return parts[0], values.port(keyword, parts[1])


def place_or_any(keyword: str, text: str) -> tuple[str, int | None]:
    """Parse ``host:port``, where the port may be ``*``: None is every port then."""
    parts = _parts(keyword, text)
    if len(parts) != 2:
        raise values.bad(keyword, text, "HOST:PORT, an IPv6 address in brackets")
    return parts[0], None if parts[1] == "*" else values.port(keyword, parts[1])


def _parse(keyword: str, text: str, *, lowest: int) -> Forward:
    parts = _parts(keyword, text)
    listen_path = parts[0] if parts[0].startswith("/") else ""
    path = parts[-1] if len(parts) > 1 and parts[-1].startswith("/") else ""
    ports = parts[bool(listen_path) : len(parts) - bool(path)]
    bound = [] if listen_path else ports[: len(ports) - (0 if path else 2)]
    target = [] if path else ports[len(bound) :]
    if len(bound) != (0 if listen_path else min(max(len(bound), 1), 2)) or (
        len(target) != (0 if path else 2) or (target and not target[0])
    ):
        raise values.bad(keyword, text, _SPEC)
    port = values.port(keyword, bound[-1], lowest) if bound else 0
    host, host_port = (target[0], values.port(keyword, target[1])) if target else ("", 0)
    return Forward(_bind(bound[:-1]), port, host, host_port, listen_path, path)


def _listener(keyword: str, text: str, *, lowest: int) -> Forward:
    if text.startswith("/"):
        return Forward(None, 0, path=text)
    parts = _parts(keyword, text)
    if len(parts) > 2:
        raise values.bad(keyword, text, "[bind_address:]port")
    return Forward(_bind(parts[:-1]), values.port(keyword, parts[-1], lowest))


def _bind(parts: list[str]) -> str | None:
    return parts[0] if parts else None


def _parts(keyword: str, text: str) -> list[str]:
    """Split at the colons outside of brackets and paths."""
    found: list[str] = []
    at = 0
    while match := _PART.match(text, at):
        found.append(match[1] or match[2] or match[3] or "")
        at = match.end()
        if not match[4]:
            return found
    raise values.bad(keyword, text, "ports and hosts with colons between them")


# --- the types of the keywords: the place to listen and the destination are two words ---


def _two(keyword: str, found: list[str]) -> str:
    if len(found) < 2:
        raise ConfigurationError(f"{keyword}: the destination is missing; allowed: {_SPEC}")
    if len(found) > 2:
        raise ConfigurationError(f"{keyword}: extra words at the end of the line")
    return ":".join(found)


def _local(keyword: str, found: list[str]) -> tuple[Forward, ...]:
    return local(keyword, _two(keyword, found))


def _remote(keyword: str, found: list[str]) -> tuple[Forward, ...]:
    if len(found) == 1:
        return (_listener(keyword, expand_variables(found[0]), lowest=0),)
    return (_parse(keyword, expand_variables(_two(keyword, found)), lowest=0),)


def _dynamic(keyword: str, found: list[str]) -> tuple[Forward, ...]:
    if len(found) > 1:
        raise ConfigurationError(f"{keyword}: extra words at the end of the line")
    return dynamic(keyword, found[0])


def _shown(forwards: tuple[Forward, ...]) -> list[str]:
    return [f"{forward.listen} {forward.destination}" for forward in forwards]


LOCAL_FORWARD = Kind(_SPEC, _local, _shown)
REMOTE_FORWARD = Kind(f"{_SPEC}; or [bind_address:]port for a SOCKS proxy", _remote, _shown)
DYNAMIC_FORWARD = Kind(
    "[bind_address:]port", _dynamic, lambda forwards: [forward.listen for forward in forwards]
)


def words_of(forward: Forward) -> str:
    """Return a forwarding as the words of its keyword."""
    return forward.listen if forward.dynamic else f"{forward.listen} {forward.destination}"
