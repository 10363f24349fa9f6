"""The command line of ssh(1), which ``nacre ssh`` and ``nacre trace`` share.

Its grammar is older than click's: options are single letters that may be joined (``-vvT``,
``-p2222``), they may stand before and after the host, and everything from the first word behind
the host on belongs to the other side. So they are taken by :mod:`getopt`, whose grammar it is, and
click, which would also cost a third of the time to start, has no part in it.
"""

from __future__ import annotations

import getopt
from collections.abc import Callable, Sequence

from nacre.errors import ConfigurationError
from nacre.wire.text import safe

USAGE = """\
usage: {program} [-1246AaCGgknNqstTVvx] [-b ADDRESS] [-c CIPHERS] [-D [BIND:]PORT] [-E LOG]
           [-e CHAR] [-F none] [-i KEY] [-L [BIND:]PORT:HOST:PORT] [-l USER] [-m MACS]
           [-o KEY=VALUE] [-p PORT] [-Q LIST] [-R [BIND:]PORT:HOST:PORT] [-W HOST:PORT]
           [user@]host|ssh://[user@]host[:port] [command [argument ...]]"""

_LETTERS = "1246ab:c:e:fgi:kl:m:no:p:qstvxAB:CD:E:F:GI:J:KL:MNO:P:Q:R:S:TVw:W:XYy"

_ABSENT = {
    "B": "binding to an interface",
    "I": "PKCS#11",
    "K": "GSSAPI",
    "M": "connection sharing",
    "O": "connection sharing",
    "P": "tags",
    "X": "X11 forwarding",
    "Y": "X11 forwarding",
    "f": "going to the background",
    "w": "tunnel devices",
    "y": "logging to syslog",
}

_WORDS = {
    "A": "ForwardAgent=yes",
    "C": "Compression=yes",
    "N": "SessionType=none",
    "T": "RequestTTY=no",
    "a": "ForwardAgent=no",
    "g": "GatewayPorts=yes",
    "k": "GSSAPIAuthentication=no",
    "n": "StdinNull=yes",
    "s": "SessionType=subsystem",
    "x": "ForwardX11=no",
    "1": "Protocol=1",
    "2": "Protocol=2",
    "4": "AddressFamily=inet",
    "6": "AddressFamily=inet6",
}
"""Options that are short for a configuration word, and stronger than ``-o``."""

_VALUES = {
    "D": "DynamicForward",
    "J": "ProxyJump",
    "L": "LocalForward",
    "R": "RemoteForward",
    "S": "ControlPath",
    "b": "BindAddress",
    "e": "EscapeChar",
    "i": "IdentityFile",
    "l": "User",
    "m": "MACs",
    "p": "Port",
}
"""Options whose value is a configuration word's; the first of either kind wins."""

_JOINING = (
    "SessionType=none",
    "RequestTTY=no",
    "ExitOnForwardFailure=yes",
    "ClearAllForwardings=yes",
)
"""What ``-W`` implies, where nothing else is said."""

_QUOTED = frozenset("bil")
_SSH1_CIPHERS = ("3des", "blowfish", "des")
_LEVELS = ("DEBUG1", "DEBUG2", "DEBUG3")


class Arguments:
    """What the command line says.

    :ivar host: as given, without user and port.
    :ivar command: the words behind the host, joined by spaces; None when there are none.
    :ivar options: ``Keyword=Value`` texts, strongest first.
    :ivar log_file: where to log in place of standard error.
    :ivar query: what ``-Q`` asks for.
    :ivar join: ``HOST:PORT`` to join standard input and output to (``-W``).
    :ivar verbosity: how often ``-v`` was said, up to 3.
    :ivar show_config: ``-G``.
    :ivar show_version: ``-V``.
    :ivar flags: the long options that were given, without dashes.
    """

    def __init__(self) -> None:
        self.host = ""
        self.command: str | None = None
        self.options: list[str] = []
        self.log_file: str | None = None
        self.query: str | None = None
        self.join: str | None = None
        self.verbosity = 0
        self.show_config = False
        self.show_version = False
        self.flags: set[str] = set()


def parse(words: Sequence[str], flags: Sequence[str] = ()) -> Arguments:
    """Take a command line apart.

    :param flags: long options that there are, without dashes; ssh(1) has none.
    :raises ConfigurationError: an option is unknown, lacks its value, or has no feature here.
    """
    arguments = Arguments()
    strong: list[str] = []
    rest = _take_options(words, flags, arguments, strong)
    if rest:
        destination, *rest = rest
        rest = _take_options(rest, flags, arguments, strong)
        arguments.command = " ".join(rest) if rest else None
        host, options = split_destination(destination)
        arguments.host = host
        arguments.options += options
    arguments.options[:0] = strong
    if arguments.join is not None:
        arguments.options += _JOINING
    return arguments


def _take_options(
    words: Sequence[str], flags: Sequence[str], arguments: Arguments, strong: list[str]
) -> list[str]:
    try:
        found, rest = getopt.getopt(list(words), _LETTERS, list(flags))
    except getopt.GetoptError as error:
        raise ConfigurationError(f"{error}") from None
    for dashed, value in found:
        letter = dashed[1]
        if dashed.startswith("--"):
            arguments.flags.add(dashed[2:])
        elif letter in _ABSENT:
            raise ConfigurationError(f"-{letter}: {_ABSENT[letter]} is not supported by nacre yet")
        elif letter in _WORDS:
            strong.append(_WORDS[letter])
        elif letter in _VALUES:
            text = quote(value) if letter in _QUOTED else value
            arguments.options.append(f"{_VALUES[letter]}={text}")
        elif letter == "v":
            arguments.verbosity = min(arguments.verbosity + 1, len(_LEVELS))
            strong.insert(0, f"LogLevel={_LEVELS[arguments.verbosity - 1]}")
        elif letter == "t":
            # Once more is force, and stronger than what came before.
            again = "RequestTTY=yes" in strong
            strong.insert(0, "RequestTTY=force" if again else "RequestTTY=yes")
        else:
            _OTHERS[letter](arguments, strong, value)
    return rest


def _config_file(arguments: Arguments, strong: list[str], value: str) -> None:
    if value.lower() != "none" and value != "/dev/null":
        raise ConfigurationError(
            f"-F {safe(value)}: configuration files are not read by nacre yet; "
            "say -F none, and give options with -o"
        )


def _quiet(arguments: Arguments, strong: list[str], value: str) -> None:
    strong.insert(0, "LogLevel=QUIET")


def _setting(name: str, value: object = None) -> Callable[[Arguments, list[str], str], None]:
    def apply(arguments: Arguments, strong: list[str], given: str) -> None:
        setattr(arguments, name, given if value is None else value)

    return apply


def _option(arguments: Arguments, strong: list[str], value: str) -> None:
    arguments.options.append(value)


def _cipher(arguments: Arguments, strong: list[str], value: str) -> None:
    arguments.options.append(cipher_word(value))


_OTHERS: dict[str, Callable[[Arguments, list[str], str], None]] = {
    "E": _setting("log_file"),
    "F": _config_file,
    "G": _setting("show_config", True),
    "Q": _setting("query"),
    "V": _setting("show_version", True),
    "W": _setting("join"),
    "c": _cipher,
    "o": _option,
    "q": _quiet,
}


def cipher_word(value: str) -> str:
    """Return the configuration's word for ``-c``: SSH-1 has ciphers, and a word, of its own."""
    return f"{'Cipher' if value.lower() in _SSH1_CIPHERS else 'Ciphers'}={value}"


def quote(value: str) -> str:
    """Return a value as one word of a configuration."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def split_destination(destination: str) -> tuple[str, list[str]]:
    """Return the host of ``[user@]host`` or ``ssh://[user@]host[:port]``, and options for the rest.

    :raises ConfigurationError: it names no host, or one that begins with ``-``.
    """
    options: list[str] = []
    uri = destination.lower().startswith("ssh://")
    text = destination[6:].rstrip("/") if uri else destination
    user, at, host = text.rpartition("@")
    if uri:
        from urllib.parse import unquote

        user = unquote(user.partition(";")[0])
    if at:
        options.append(f"User={quote(user)}")
    if uri:
        host, port = _split_port(host)
        options += [f"Port={port}"] if port else []
    elif host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if not host or host.startswith("-") or (at and not user):
        raise ConfigurationError(f"{safe(destination)!r} names no host")
    return host, options


def _split_port(host: str) -> tuple[str, str]:
    if host.startswith("["):
        address, _, rest = host[1:].partition("]")
        return address, rest.removeprefix(":")
    name, _, port = host.partition(":")
    return name, port
