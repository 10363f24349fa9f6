"""The command line of ssh(1), which ``nacre ssh`` and ``nacre trace`` share.

Options are single letters that may be joined (``-vvT``, ``-p2222``). They may stand before and
after the host; the first other word after the host begins the remote command. That is the grammar
of :mod:`getopt`. click has another one, and would take a third of the time to start.
"""

from __future__ import annotations

import getopt
from collections.abc import Callable, Sequence

from nacre.config.destination import check_host, check_user
from nacre.errors import ConfigurationError
from nacre.wire.text import safe

USAGE = """\
usage: {program} [-1246AaCGgknNqstTVvx] [-b ADDRESS] [-c CIPHERS] [-D [BIND:]PORT] [-E LOG]
           [-e CHAR] [-F none] [-i KEY] [-J [user@]host[:port],...]
           [-L [BIND:]PORT:HOST:PORT] [-l USER] [-m MACS] [-o KEY=VALUE] [-p PORT]
           [--profile default|legacy] [-Q LIST] [-R [BIND:]PORT:HOST:PORT]
           [-W HOST:PORT|SOCKET]
           [user@]host|ssh://[user@]host[:port] [command [argument ...]]"""

PROFILE = "profile"
"""The long option of the programs: which algorithms to offer."""

_LETTERS = "1246ab:c:e:fgi:kl:m:no:p:qstvxAB:CD:E:F:GI:J:KL:MNO:P:Q:R:S:TVw:W:XYy"

_ABSENT = {
    "B": "binding to an interface",
    "I": "PKCS#11",
    "K": "GSSAPI",
    "O": "connection sharing",
    "P": "a configuration tag",
    "X": "X11 forwarding",
    "Y": "X11 forwarding",
    "f": "going to the background",
    "w": "tunnel devices",
    "y": "logging to syslog",
}

_WORDS = {
    "A": "ForwardAgent=yes",
    "C": "Compression=yes",
    "M": "ControlMaster=yes",
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
"""Options that stand for a configuration keyword with a value; they override ``-o``."""

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
"""Options whose value is that of a configuration keyword. The first of these and ``-o`` counts."""

_JOINING = (
    "SessionType=none",
    "RequestTTY=no",
    "ExitOnForwardFailure=yes",
    "ClearAllForwardings=yes",
)
"""What ``-W`` implies, unless other options contradict it."""

_QUOTED = frozenset("bil")
_SSH1_CIPHERS = ("3des", "blowfish", "des")
_LEVELS = ("DEBUG1", "DEBUG2", "DEBUG3")


class Arguments:
    """A parsed command line.

    :ivar host: as given, without user and port; empty if there is none.
    :ivar command: the words after the host, joined by spaces; None if there are none.
    :ivar options: ``Keyword=Value`` texts; of one keyword the first counts.
    :ivar log_file: ``-E``: the file to log to, or None for standard error.
    :ivar query: ``-Q``: the list to print.
    :ivar join: ``-W``: the ``HOST:PORT`` to join standard input and output to, or the path of a
        Unix socket.
    :ivar verbosity: how often ``-v`` was given, up to 3.
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
    """Parse a command line.

    :param flags: the long options that the program takes besides ``--profile``, without dashes.
    :raises ConfigurationError: an option is unknown, lacks its value, or is not supported.
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
        found, rest = getopt.getopt(list(words), _LETTERS, [f"{PROFILE}=", *flags])
    except getopt.GetoptError as error:
        raise ConfigurationError(f"{error}") from None
    for dashed, value in found:
        letter = dashed[1]
        if dashed == f"--{PROFILE}":
            arguments.options.append(f"Profile={value}")
        elif dashed.startswith("--"):
            arguments.flags.add(dashed[2:])
        elif letter in _ABSENT:
            raise ConfigurationError(
                f"-{letter}: {_ABSENT[letter]} is not supported by nacre yet: leave it out"
            )
        elif letter in _WORDS:
            strong.append(_WORDS[letter])
        elif letter in _VALUES:
            check_value(letter, value, arguments.options)
            text = quote(value) if letter in _QUOTED else value
            arguments.options.append(f"{_VALUES[letter]}={text}")
        elif letter == "v":
            arguments.verbosity = min(arguments.verbosity + 1, len(_LEVELS))
            strong.insert(0, f"LogLevel={_LEVELS[arguments.verbosity - 1]}")
        elif letter == "t":
            # A second -t forces a terminal, and overrides the first.
            again = "RequestTTY=yes" in strong
            strong.insert(0, "RequestTTY=force" if again else "RequestTTY=yes")
        else:
            _OTHERS[letter](arguments, strong, value)
    return rest


def check_value(letter: str, value: str, options: Sequence[str]) -> None:
    """Check the value of an option of the command line that a configuration may have otherwise.

    :param options: those before it.
    :raises ConfigurationError: ``-l`` names a user that can't be one, or there is a second ``-J``.
    """
    if letter == "l":
        check_user(value)
    elif letter == "J" and any(option.startswith("ProxyJump=") for option in options):
        raise ConfigurationError("-J: give it once, with commas between the jump hosts")


def check_config_file(value: str) -> None:
    """Check the value of ``-F``.

    :raises ConfigurationError: it names a file.
    """
    if value.lower() not in ("none", "/dev/null"):
        raise ConfigurationError(
            f"-F {safe(value)}: nacre does not read configuration files yet; "
            "use -F none, and give options with -o"
        )


def _config_file(arguments: Arguments, strong: list[str], value: str) -> None:
    check_config_file(value)


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
    """Return the ``Keyword=Value`` of ``-c``: the ciphers of SSH-1 have a keyword of their own."""
    return f"{'Cipher' if value.lower() in _SSH1_CIPHERS else 'Ciphers'}={value}"


def quote(value: str) -> str:
    """Return a value in quotation marks, as one word of a configuration."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def split_destination(destination: str) -> tuple[str, list[str]]:
    """Split ``[user@]host`` or ``ssh://[user@]host[:port]``.

    :returns: the host, and ``Keyword=Value`` texts for user and port.
    :raises ConfigurationError: it names no host, or one that begins with ``-``.
    """
    options: list[str] = []
    uri = destination.lower().startswith("ssh://")
    text = destination[6:].rstrip("/") if uri else destination
    user, at, host = text.rpartition("@")
    if uri:
        from urllib.parse import unquote

        user = unquote(user.partition(";")[0])
    if at and user:
        options.append(f"User={quote(check_user(user))}")
    if uri:
        host, port = split_port(host)
        options += [f"Port={port}"] if port else []
    elif host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if not host or host.startswith("-") or (at and not user):
        raise ConfigurationError(f"{safe(destination)!r} names no host: give [user@]host")
    return check_host(host), options


def split_port(host: str) -> tuple[str, str]:
    """Split the ``host[:port]`` of a URI, where an IPv6 address has brackets."""
    if host.startswith("["):
        address, _, rest = host[1:].partition("]")
        return address, rest.removeprefix(":")
    name, _, port = host.partition(":")
    return name, port
