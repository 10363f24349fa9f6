"""The types of values that only servers have; see :mod:`nacre.config.kinds`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from nacre.config import values
from nacre.config.kinds import choice, several, single
from nacre.config.schema import Kind, Shown
from nacre.config.server.penalties import PenaltyRules, penalties, penalties_shown
from nacre.config.syntax.lexer import words
from nacre.config.syntax.match import parse_networks
from nacre.errors import ConfigurationError, KeyFormatError

if TYPE_CHECKING:
    from nacre.keys.key_options import HostPort

MOST = 100_000_000

_METHODS = (
    *("none", "publickey", "password", "keyboard-interactive", "hostbased"),
    *("gssapi-with-mic", "gssapi-keyex"),
)


def _or_none(found: object) -> str:
    return "none" if found is None else str(found)


def absolute(name: str) -> str:
    """Return the name of a file as it is used: ``~`` replaced, and relative to this directory."""
    return os.path.join(os.getcwd(), os.path.expanduser(name))


def _home_path(keyword: str, text: str) -> str | None:
    return None if text.lower() == "none" else os.path.expanduser(text)


def _library(keyword: str, text: str) -> str:
    return text if text.lower() in ("internal", "none") else absolute(text)


def _exact(names: tuple[str, ...]) -> Kind:
    """Return the type of one of a few words, in lower case only."""

    def take(keyword: str, text: str) -> str:
        if text not in names:
            raise values.bad(keyword, text, ", ".join(names))
        return text

    return single(", ".join(names), take)


def _agent(keyword: str, text: str) -> str | None:
    return text if text == "SSH_AUTH_SOCK" else _path(keyword, text)


def _path(keyword: str, text: str) -> str | None:
    return None if text.lower() == "none" else absolute(text)


def _file(keyword: str, text: str) -> Path | None:
    return None if text.lower() == "none" else Path(absolute(text))


def _gathered_path(keyword: str, text: str) -> tuple[str, ...]:
    return () if text.lower() == "none" else (absolute(text),)


def _optional(keyword: str, text: str) -> str | None:
    return None if text.lower() == "none" else text


def _raw(keyword: str, found: list[str]) -> str | None:
    return None if found[0].lower() == "none" else found[0]


def _program(keyword: str, found: list[str]) -> str | None:
    """Parse a command: the rest of the line, which begins with an absolute path; or none."""
    if found[0].lower() == "none":
        return None
    if not words(found[0])[0].startswith("/"):
        raise values.bad(keyword, found[0], "a command with an absolute path, or none")
    return found[0]


def _all_words(keyword: str, found: list[str]) -> tuple[str, ...]:
    if not all(found):
        raise ConfigurationError(f"{keyword}: a value is empty")
    return tuple(found)


def _variables(keyword: str, found: list[str]) -> tuple[str, ...]:
    if any("=" in name for name in found):
        raise values.bad(keyword, " ".join(found), "patterns for names of variables, without =")
    return _all_words(keyword, found)


def _users(keyword: str, found: list[str]) -> tuple[str, ...]:
    for pattern in _all_words(keyword, found):
        _, at, host = pattern.rpartition("@")
        if at:
            parse_networks(keyword, host)
    return tuple(found)


def _key_files(keyword: str, found: list[str]) -> tuple[str, ...]:
    return () if [name.lower() for name in found] == ["none"] else _all_words(keyword, found)


def _methods(keyword: str, found: list[str]) -> tuple[tuple[str, ...], ...]:
    """Parse lists of methods, one for each word; ``any`` alone is no list."""
    if found == ["any"]:
        return ()
    lists = tuple(tuple(text.split(",")) for text in found)
    for name in (name for one in lists for name in one):
        if name == "any":
            raise ConfigurationError(f"{keyword}: any can't stand beside other methods")
        if name.partition(":")[0] not in _METHODS:
            raise values.bad(keyword, name, f"any, or lists of {', '.join(_METHODS)}")
    return lists


def _methods_shown(found: tuple[tuple[str, ...], ...]) -> str:
    return " ".join(",".join(names) for names in found) or "any"


class Permitted(NamedTuple):
    """A place of PermitOpen or PermitListen.

    :ivar text: how it was written, which ``sshd -T`` shows.
    """

    place: HostPort
    text: str


def _places(default_host: str | None) -> Callable[[str, list[str]], tuple[Permitted, ...] | None]:
    """Return a parser of ``any`` (None), ``none`` (empty), or hosts with ports, which may be ``*``.

    :param default_host: the host of a port alone, or None if a host is required.
    """
    shown = "host:port" if default_host is None else "port or host:port"
    allowed = f"any, none, or {shown}, once or more"

    def place(keyword: str, text: str) -> Permitted:
        from nacre.keys.key_options import host_port

        whole = text if default_host is None or ":" in text else f"{default_host}:{text}"
        try:
            return Permitted(host_port(whole, None, values.service, delimiters=":"), whole)
        except KeyFormatError:
            raise values.bad(keyword, text, allowed) from None

    def take(keyword: str, found: list[str]) -> tuple[Permitted, ...] | None:
        lower = [text.lower() for text in found]
        if lower in (["any"], ["none"]):
            return None if lower == ["any"] else ()
        return tuple(place(keyword, text) for text in found)

    return take


def _places_shown(found: tuple[Permitted, ...] | None) -> str:
    if not found:
        return "any" if found is None else "none"
    return " ".join(one.text for one in found)


def _max_startups(keyword: str, value: str) -> str:
    parts = value.split(":")
    allowed = "a number, or start:rate:full such as 10:30:100"
    if len(parts) not in (1, 3):
        raise values.bad(keyword, value, allowed)
    numbers = [values.integer(keyword, part, 1, MOST) for part in parts]
    if len(numbers) == 3 and (numbers[1] > 100 or numbers[0] > numbers[2]):
        raise values.bad(keyword, value, allowed)
    return ":".join(map(str, numbers))


def _max_startups_shown(found: str) -> str:
    return found if ":" in found else f"{found}:30:{found}"


def _block_size(keyword: str, value: str) -> tuple[int, int]:
    first, _, second = value.partition(":")
    return (
        values.integer(keyword, first, 0, 32),
        values.integer(keyword, second or "0", 0, 128),
    )


def _ports(keyword: str, text: str) -> tuple[int, ...]:
    return (values.port(keyword, text),)


def _listen(keyword: str, found: list[str]) -> tuple[tuple[str, int | None, str | None], ...]:
    """Parse ``HOST``, ``HOST:PORT``, ``[HOST]:PORT`` or an IPv6 address, perhaps with a domain."""
    allowed = "HOST, HOST:PORT, [IPV6] or [IPV6]:PORT, perhaps with `rdomain NAME` behind it"
    domain = None
    if len(found) == 3 and found[1].lower() == "rdomain":
        domain = found[2]
    elif len(found) != 1:
        raise values.bad(keyword, " ".join(found), allowed)
    text = found[0]
    bracket, _, rest = text[1:].partition("]") if text.startswith("[") else ("", "", text)
    if text.startswith("["):
        host, colon, port = bracket, rest[:1], rest[1:]
        if colon not in ("", ":") or not host or "]" not in text:
            raise values.bad(keyword, text, allowed)
    elif text.count(":") > 1:
        host, colon, port = text, "", ""
    else:
        host, colon, port = text.partition(":")
    if not host or "/" in host or (colon and not port):
        raise values.bad(keyword, text, allowed)
    return ((host, values.port(keyword, port) if colon else None, domain),)


def _listen_shown(found: Iterable[tuple[str, int | None, str | None]]) -> Shown:
    return [
        f"{f'[{host}]' if ':' in host else host}{'' if port is None else f':{port}'}"
        f"{'' if domain is None else f' rdomain {domain}'}"
        for host, port, domain in found
    ]


def _subsystem(keyword: str, found: list[str]) -> tuple[tuple[str, str], ...]:
    name, *rest = found
    if not name or not rest or rest == [""]:
        raise ConfigurationError(f"{keyword}: give {keyword} NAME COMMAND")
    return ((name, " ".join(_quoted(word) for word in rest)),)


def _quoted(word: str) -> str:
    """Return a word as it stands in a command line: with quotation marks if it has blanks."""
    escaped = re.sub(r"([\\\x22'])", r"\\\1", word)
    return f'"{escaped}"' if re.search(r"[ \t\r\n]", word) else escaped


def _subsystem_shown(found: Iterable[tuple[str, str]] | None) -> Shown:
    return [f"{name} {command}" for name, command in found or ()]


def _exempt(keyword: str, text: str) -> tuple[str, ...]:
    if text.lower() == "none":
        return ()
    parse_networks(keyword, text)
    return tuple(text.split(","))


def _penalties(keyword: str, found: list[str]) -> tuple[str, ...]:
    penalties(keyword, found)
    return tuple(word.lower() if ":" not in word else word for word in found)


def joined_penalties(found: Sequence[str]) -> PenaltyRules | None:
    """Return what the words of all lines say: of those with the same name the first counts."""
    named = [word for word in found if ":" in word]
    return penalties("PerSourcePenalties", named or list(found[:1]))


def _key_demands(keyword: str, found: list[str]) -> tuple[str, ...]:
    known = ("touch-required", "verify-required")
    lower = [word.lower() for word in found]
    for word in lower:
        if word not in (*known, "none"):
            raise values.bad(keyword, word, f"none, or {', '.join(known)}")
    return tuple(word for word in known if word in lower)


def _no_domains(keyword: str, found: list[str]) -> Any:
    raise ConfigurationError(
        f"{keyword}: this system can't move a session to a routing domain; give "
        "ListenAddress ADDRESS rdomain NAME for connections of one"
    )


def _or_infinite(keyword: str, text: str) -> int | None:
    return None if text.lower() == "none" else values.integer(keyword, text, 0, MOST)


def _unused(keyword: str, text: str) -> int | None:
    return (None if text.lower() == "none" else values.seconds(keyword, text)) or None


_FORWARDING = {
    "yes": frozenset({"local", "remote"}),
    "all": frozenset({"local", "remote"}),
    "no": frozenset[str](),
    "local": frozenset({"local"}),
    "remote": frozenset({"remote"}),
}
_COMPRESSIONS = {
    # As in OpenSSH since 7.4: no compression before authentication, with either value.
    "yes": "none,zlib@openssh.com",
    "delayed": "none,zlib@openssh.com",
    "no": "none",
}

_HASHES = {name: name.upper() for name in ("md5", "sha1", "sha256", "sha384", "sha512")}

SWITCH = choice({"yes": True, "no": False})
UNSHOWN_SWITCH = choice({"yes": True, "no": False}, {None: None})
"""A switch of newer versions of OpenSSH: sshd -T does not print it while it is not set."""

PORTS = single("a port, 1 to 65535", _ports, lambda found: [str(port) for port in found])
LISTEN_ADDRESSES = several(
    "HOST, HOST:PORT, [IPV6] or [IPV6]:PORT, perhaps with rdomain NAME", _listen, _listen_shown
)
ADDRESS_FAMILY = choice({name: name for name in ("any", "inet", "inet6")})
PERMIT_ROOT_LOGIN = choice(
    {
        "yes": "yes",
        "no": "no",
        "prohibit-password": "prohibit-password",
        "without-password": "prohibit-password",
        "forced-commands-only": "forced-commands-only",
    },
    {"prohibit-password": "without-password"},
)
IGNORE_RHOSTS = choice({name: name for name in ("yes", "no", "shosts-only")})
COMPRESSION = choice(_COMPRESSIONS, {None: "yes"})
GATEWAY_PORTS = choice({name: name for name in ("no", "yes", "clientspecified")})
FORWARDING = choice(_FORWARDING)
PERMIT_TUNNEL = _exact(("no", "yes", "point-to-point", "ethernet"))
FINGERPRINT_HASH = choice(_HASHES, {name: name for name in _HASHES.values()})
SYSLOG_FACILITY = choice(
    {name.lower(): name for name in values.FACILITIES},
    {name: name for name in values.FACILITIES},
)
PATH = single("a file, or none", _path, _or_none)
AGENT = single("a socket, SSH_AUTH_SOCK, or none", _agent, _or_none)
FILE = single("a file, or none", _file, _or_none)
GATHERED_PATHS = single("a file", _gathered_path, list)
HOME_PATH = single("a file, or none", _home_path, _or_none)
LIBRARY = single("a library, internal, or none", _library)
PATTERNS = several("one or more patterns", _all_words)
ANYTHING = several("any words", lambda _, found: tuple(found), lambda _: None)
OPTIONAL = single("one word, or none", _optional, _or_none)
OPTIONAL_TEXT = Kind("the rest of the line, or none", _raw, _or_none, raw=True)
PROGRAM = Kind("a command with an absolute path, or none", _program, _or_none, raw=True)
USERS = several("patterns USER or USER@HOST, once or more", _users, list)
GROUPS = several("patterns, once or more", _all_words, list)
VARIABLES = several("patterns for names of variables, once or more", _variables, list)
KEY_FILES = several("files, or none", _key_files, lambda found: " ".join(found) or "none")
METHODS = several("any, or lists of methods with commas", _methods, _methods_shown)
SUBSYSTEM = several("a name and a command", _subsystem, _subsystem_shown)
PERMIT_OPEN = several("any, none, or HOST:PORT, once or more", _places(None), _places_shown)
PERMIT_LISTEN = several(
    "any, none, or PORT or HOST:PORT, once or more", _places("*"), _places_shown
)
MAX_STARTUPS = single("a number, or START:RATE:FULL", _max_startups, _max_startups_shown)
PER_SOURCE_MAX_STARTUPS = single("a number, or none", _or_infinite, _or_none)
NET_BLOCK_SIZE = single(
    "bits of IPv4, or bits of IPv4 and IPv6 such as 32:128",
    _block_size,
    lambda found: f"{found[0]}:{found[1]}",
)
PENALTIES = several("yes, no, or NAME:VALUE, once or more", _penalties, penalties_shown)
EXEMPT = single(
    "addresses and networks with commas, or none",
    _exempt,
    lambda found: ",".join(found) or "none",
)
CHANNEL_TIMEOUT = several(
    "TYPE=TIME, once or more, or none", values.channel_timeouts, values.channel_timeouts_shown
)
UNUSED_TIMEOUT = single("a time such as 90, 90s or 1h30m, or none", _unused, _or_none)
IP_QOS = several("one or two classes, numbers, or none", values.ip_qos, values.ip_qos_shown)
REKEY_LIMIT = several(
    "a size or default, perhaps with a time or none",
    values.rekey_limit,
    values.rekey_limit_shown,
)
PUBKEY_AUTH_OPTIONS = several(
    "none, touch-required or verify-required",
    _key_demands,
    lambda found: " ".join(found) or "none",
)
RDOMAIN = several("a routing domain", _no_domains)
PROTOCOL = single("2, 2,1 or 1", values.protocols, lambda found: ",".join(map(str, found)))
