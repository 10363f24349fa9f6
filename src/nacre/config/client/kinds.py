"""The types of values that only clients have; see :mod:`nacre.config.kinds`."""

from __future__ import annotations

import re

from nacre.config import values
from nacre.config.kinds import TEXT, between, choice, or_none, several, single
from nacre.config.schema import Kind
from nacre.value import replace

_VARIABLE = re.compile(r"[A-Za-z0-9_]+")
_DOMAIN = re.compile(r"[a-z0-9_](?:[a-z0-9_-]|\.(?!\.))*")
_NO_YES_ASK = {"no": "no", "false": "no", "yes": "yes", "true": "yes", "ask": "ask"}
_TRUE_FALSE_SHOWN = {"no": "false", "yes": "true"}


def _escape(keyword: str, value: str) -> bytes | None:
    if value == "none":
        return None
    if len(value) == 1 and "\0" < value <= "\x7f":
        return value.encode()
    if len(value) == 2 and value[0] == "^" and "@" <= value[1] <= "\x7f":
        return bytes((ord(value[1]) & 0x1F,))
    raise values.bad(keyword, value, "one ASCII character, ^ and a letter, or none")


def _escape_shown(found: bytes | None) -> str:
    if found is None:
        return "none"
    return f"\\^{chr(found[0] ^ 0x40)}" if found[0] < 0x20 else found.decode()


def _ssh1_cipher(keyword: str, value: str) -> tuple[str, ...] | None:
    """Parse the cipher of SSH-1, with the names of old versions of ssh(1); others mean nothing."""
    lower = value.lower()
    return (lower,) if lower in ("3des", "blowfish", "des") else None


def _agent(keyword: str, value: str) -> str:
    """Return the socket of an agent; ``$NAME`` must be a name of a variable."""
    if value.startswith("$") and not value.startswith("${") and not _VARIABLE.fullmatch(value[1:]):
        raise values.bad(keyword, value, "a path, or $ and the name of a variable")
    return value


def _forwarded_agent(keyword: str, value: str) -> str | None:
    meaning = {"yes": "SSH_AUTH_SOCK", "true": "SSH_AUTH_SOCK", "no": None, "false": None}
    lower = value.lower()
    return meaning[lower] if lower in meaning else _agent(keyword, value)


def _patterns(keyword: str, found: list[str]) -> tuple[str, ...]:
    for name in found:
        if not name or "=" in name:
            raise values.bad(keyword, name, "patterns of names of variables")
    return tuple(found)


def _forwarded_agent_shown(found: str | None) -> str:
    return {None: "no", "SSH_AUTH_SOCK": "yes"}.get(found) or str(found)


def _persist(keyword: str, value: str) -> int | bool:
    known = values.BOOLEAN.get(value)
    return (values.seconds(keyword, value) or True) if known is None else known


def _persist_shown(found: int | bool) -> str:
    return {True: "yes", False: "no"}[found] if isinstance(found, bool) else str(found)


def _add_to_agent(keyword: str, found: list[str]) -> str:
    first = _NO_YES_ASK.get(found[0].lower(), found[0].lower())
    if len(found) == 1 and first in ("no", "yes", "ask", "confirm"):
        return _TRUE_FALSE_SHOWN.get(first, first)
    if len(found) == 1:
        return str(values.seconds(keyword, first) or "true")
    if len(found) == 2 and first == "confirm":
        return f"confirm {values.seconds(keyword, found[1]) or ''}".rstrip()
    raise values.bad(keyword, " ".join(found), "yes, no, ask, confirm, a time, or confirm TIME")


def _domains(keyword: str, found: list[str]) -> tuple[str, ...]:
    domains = tuple(name.lower() for name in or_none(keyword, found))
    for name in domains:
        if not _DOMAIN.fullmatch(name):
            raise values.bad(keyword, name, "domains such as example.org, or none")
    return tuple(name.removesuffix(".") for name in domains)


def _aliases(keyword: str, found: list[str]) -> tuple[tuple[str, str], ...]:
    pairs = []
    for text in or_none(keyword, found):
        sources, colon, targets = text.partition(":")
        if not (sources and colon and targets):
            raise values.bad(keyword, text, "SOURCES:TARGETS, two lists of patterns, or none")
        pairs.append((sources.lower(), targets.lower()))
    return tuple(pairs)


def _places(keyword: str, found: list[str]) -> tuple[str, ...] | None:
    from nacre.config.tunnels import place_or_any

    match [text.lower() for text in found]:
        case ["any"]:
            return None
        case ["none"]:
            return ()
    for text in found:
        place_or_any(keyword, text)
    return tuple(found)


def _places_shown(found: tuple[str, ...] | None) -> str:
    return "any" if found is None else " ".join(found) or "none"


def _devices(keyword: str, text: str) -> str:
    parts = text.lower().split(":")
    if len(parts) > 2 or not all(part == "any" or part.isdigit() for part in parts):
        raise values.bad(keyword, text, "any, a number, or LOCAL:REMOTE")
    return ":".join((*parts, "any")[:2])


def _jump(keyword: str, found: list[str]) -> str | None:
    from nacre.config.destination import parse_jumps

    text = next(iter(found[0].split(maxsplit=1)), "")
    if text.lower() == "none":
        return "none"
    last = parse_jumps(keyword, text)[-1]
    if set(last.host) <= set("0123456789."):  # as ssh(1) prints an address
        last = replace(last, host=f"[{last.host}]")
    before, comma, _ = text.rpartition(",")
    return f"{before}{comma}{last}"


def _log_verbose(keyword: str, found: list[str]) -> tuple[str, ...]:
    return or_none(keyword, found)[:1]  # ssh(1) uses the first one alone


def _obscure(keyword: str, text: str) -> int:
    """Return milliseconds between packets; 0 for none."""
    known = values.BOOLEAN.get(text)
    if known is not None:
        return 20 if known else 0
    count = text.removeprefix("interval:")
    if count == text:
        raise values.bad(keyword, text, "yes, no, or interval:MILLISECONDS")
    return values.integer(keyword, count, 1, 1000)


def _obscure_shown(found: int) -> str:
    return {0: "no", 20: "yes"}.get(found) or str(found)


PROXY_JUMP = Kind(
    "hosts with commas between them, or none",
    _jump,
    lambda found: None if found == "none" else found,
    raw=True,
)


def _or_none(found: str | None) -> str:
    return found or "none"


PORT = single("a port, 1 to 65535", values.port, plain=between(1, 65535))
ADDRESS_FAMILY = choice({"any": "any", "inet": "inet", "inet6": "inet6"})
CANONICALIZE_HOSTNAME = choice(
    {**dict.fromkeys(("no", "false"), "no"), **dict.fromkeys(("yes", "true"), "yes")}
    | {"always": "always"},
    _TRUE_FALSE_SHOWN,
)
CONTROL_MASTER = choice(
    {"no": "false", "false": "false", "yes": "true", "true": "true"}
    | {"ask": "ask", "auto": "auto", "autoask": "autoask"},
    {name: name for name in ("false", "true", "ask", "auto", "autoask")},
)
_HASHES = {name.lower(): name for name in ("MD5", "SHA1", "SHA256", "SHA384", "SHA512")}
FINGERPRINT_HASH = choice(_HASHES, {name: name for name in _HASHES.values()})
PUBKEY_AUTHENTICATION = choice(
    # Numbers, which are as true as True: only -G tells them apart.
    {"no": False, "false": False, "yes": True, "true": True} | {"unbound": 2, "host-bound": 3},
    {True: "true", False: "false", 2: "unbound", 3: "host-bound"},
)
REQUEST_TTY = choice(
    {"auto": "auto", "no": "no", "false": "no", "yes": "yes", "true": "yes"} | {"force": "force"},
    _TRUE_FALSE_SHOWN,
)
SESSION_TYPE = choice({name: name for name in ("default", "none", "subsystem")})
STRICT_HOST_KEY_CHECKING = choice(
    {"yes": "yes", "true": "yes", "no": "no", "false": "no", "off": "no"}
    | {"accept-new": "accept-new", "ask": "ask"},
    _TRUE_FALSE_SHOWN,
)
TUNNEL = choice(
    {"no": "false", "false": "false", "yes": "point-to-point", "true": "point-to-point"}
    | {"point-to-point": "point-to-point", "ethernet": "ethernet"},
    {"false": "false", "point-to-point": "point-to-point", "ethernet": "ethernet"},
)
VERIFY_HOST_KEY_DNS = choice(_NO_YES_ASK, _TRUE_FALSE_SHOWN)
UPDATE_HOST_KEYS = choice(_NO_YES_ASK, _TRUE_FALSE_SHOWN)
FORWARD_X11_TIMEOUT = single(
    "a time, or none",
    lambda k, v: 1200 if v == "none" else values.seconds(k, v),
)
SERVER_ALIVE_INTERVAL = single(
    "a time such as 90, 90s or 1h30m, or none",
    lambda k, v: 0 if v == "none" else values.seconds(k, v),
)
HOST_KEY_ALIAS = single("one name", lambda _, text: text.lower())
IDENTITY_AGENT = single("none, a path, or $NAME", _agent)
SECURITY_KEY_PROVIDER = single(
    "internal, a path, or none",
    lambda _, text: text,
    lambda found: None if found == "none" else found,
)
VERSION_ADDENDUM = replace(TEXT, show=lambda found: found or "")
COMPRESSION = choice({"yes": True, "no": False})
SEND_ENV = several("patterns of variables", _patterns, tuple)
OBSCURE_KEYSTROKE_TIMING = single("yes, no, or interval:MILLISECONDS", _obscure, _obscure_shown)
CANONICAL_DOMAINS = several("domains, or none", _domains, lambda found: " ".join(found) or "none")
LOG_VERBOSE = several("patterns, or none", _log_verbose, lambda found: ",".join(found) or "none")
CHANNEL_TIMEOUT = several(
    "TYPE=TIME, or none", values.channel_timeouts, values.channel_timeouts_shown
)
PERMIT_REMOTE_OPEN = several("any, none, or HOST:PORT, once or more", _places, _places_shown)
ADD_KEYS_TO_AGENT = several("yes, no, ask, confirm, a time, or confirm TIME", _add_to_agent, str)
FORWARD_AGENT = single("yes, no, a path, or $NAME", _forwarded_agent, _forwarded_agent_shown)
TUNNEL_DEVICE = single("any, a number, or LOCAL:REMOTE", _devices)
CANONICALIZE_PERMITTED_CNAMES = several(
    "SOURCES:TARGETS, or none",
    _aliases,
    lambda found: " ".join(":".join(pair) for pair in found) or "none",
)
CONTROL_PERSIST = single("yes, no, or a time", _persist, _persist_shown)
ESCAPE_CHAR = single("one ASCII character, ^ and a letter, or none", _escape, _escape_shown)
IP_QOS = several("one or two classes, numbers, or none", values.ip_qos, values.ip_qos_shown)
REKEY_LIMIT = several(
    "a size or default, perhaps with a time or none",
    values.rekey_limit,
    values.rekey_limit_shown,
)
SYSLOG_FACILITY = choice(
    {name.lower(): name for name in values.FACILITIES},
    {name: name for name in values.FACILITIES},
)
WARN_WEAK_CRYPTO = choice({**values.BOOLEAN, "no-pq-kex": False})
PROTOCOL = single("2, 2,1 or 1", values.protocols, lambda v: ",".join(map(str, v)))
CIPHER = single("3des, blowfish or des", _ssh1_cipher, _or_none)
PROFILE = choice({"default": "default", "legacy": "legacy"})
