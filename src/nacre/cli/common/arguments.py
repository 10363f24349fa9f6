"""The command line of ssh(1), which ``nacre ssh`` and ``nacre trace`` share.

Options are single letters that may be joined (``-vvT``, ``-p2222``). They may stand before and
after the host; the first other word after the host begins the remote command. That is the grammar
of :mod:`getopt`. click has another one, and would take a third of the time to start.
"""

from __future__ import annotations

import getopt
from collections.abc import Callable, Sequence

from nacre.config.destination import check_host, check_user
from nacre.config.syntax.lexer import quote
from nacre.errors import ConfigurationError
from nacre.wire.text import safe

PROFILE = "profile"
"""The long option of the programs: which algorithms to offer."""

HELP = "help"
"""The long option that prints the options; ``-h`` is the same."""

ABSENT = {
    "I": "PKCS#11",
}
"""Options that are refused, whatever the tables below say, and what nacre lacks for them."""

WORDS = {
    "A": ("ForwardAgent=yes",),
    "C": ("Compression=yes",),
    "K": ("GSSAPIAuthentication=yes", "GSSAPIDelegateCredentials=yes"),
    "N": ("SessionType=none",),
    "T": ("RequestTTY=no",),
    "X": ("ForwardX11=yes",),
    "Y": ("ForwardX11=yes", "ForwardX11Trusted=yes"),
    "a": ("ForwardAgent=no",),
    "f": ("ForkAfterAuthentication=yes", "StdinNull=yes"),
    "g": ("GatewayPorts=yes",),
    "k": ("GSSAPIDelegateCredentials=no",),
    "n": ("StdinNull=yes",),
    "q": ("LogLevel=QUIET",),
    "s": ("SessionType=subsystem",),
    "x": ("ForwardX11=no",),
    "1": ("Protocol=1",),
    "2": ("Protocol=2",),
    "4": ("AddressFamily=inet",),
    "6": ("AddressFamily=inet6",),
}
"""Options that stand for configuration keywords with a value. They override ``-o``, and the last
one of a keyword counts."""

VALUES = {
    "B": "BindInterface",
    "D": "DynamicForward",
    "I": "PKCS11Provider",
    "J": "ProxyJump",
    "L": "LocalForward",
    "P": "Tag",
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

_QUOTED = frozenset("bilBIPS")
_SSH1_CIPHERS = ("3des", "blowfish", "des")
_LEVELS = ("DEBUG1", "DEBUG2", "DEBUG3")


class Arguments:
    """A parsed command line.

    :ivar host: as given, without user and port; empty if there is none.
    :ivar command: the words after the host, joined by spaces; None if there are none.
    :ivar options: ``Keyword=Value`` texts; of one keyword the first counts.
    :ivar config_file: ``-F``: the only configuration file to read, or ``none`` for no file at all;
        None for the user's and the system's.
    :ivar control: ``-O``: the command for the process that shares its connection.
    :ivar log_file: ``-E``: the file to log to, or None for standard error.
    :ivar query: ``-Q``: the list to print.
    :ivar join: ``-W``: the ``HOST:PORT`` to join standard input and output to, or the path of a
        Unix socket.
    :ivar verbosity: how often ``-v`` was given, up to 3.
    :ivar show_config: ``-G``.
    :ivar show_help: ``--help`` or ``-h``.
    :ivar show_version: ``-V``.
    :ivar syslog: ``-y``: log to syslog.
    :ivar flags: the long options that were given, without dashes.
    :ivar values: the values of those that have one.
    """

    def __init__(self) -> None:
        self.host = ""
        self.command: str | None = None
        self.options: list[str] = []
        self.config_file: str | None = None
        self.control: str | None = None
        self.log_file: str | None = None
        self.query: str | None = None
        self.join: str | None = None
        self.verbosity = 0
        self.show_config = False
        self.show_help = False
        self.show_version = False
        self.syslog = False
        self.flags: set[str] = set()
        self.values: dict[str, str] = {}


def parse(words: Sequence[str], flags: Sequence[str] = ()) -> Arguments:
    """Parse a command line.

    :param flags: the long options that the program takes besides ``--profile`` and ``--help``,
        without dashes; ``=`` ends those that have a value.
    :raises ConfigurationError: an option is unknown, lacks its value, or is not supported.
    """
    arguments = Arguments()
    strong: list[str] = []
    rest = _take_options(words, flags, arguments, strong)
    if rest:
        destination, *rest = rest
        # Its user and port precede those of options behind it, as the first of a keyword counts.
        arguments.host, options = split_destination(destination)
        arguments.options += options
        rest = _take_options(rest, flags, arguments, strong)
        arguments.command = " ".join(rest) if rest else None
    arguments.options[:0] = strong
    if arguments.join is not None and arguments.control is not None:
        raise ConfigurationError("Cannot specify multiplexing command with -W: leave one out")
    if arguments.join is not None:
        arguments.options += _JOINING
    return arguments


def getopt_or_refuse(
    words: Sequence[str], letters: str, flags: Sequence[str] = ()
) -> tuple[list[tuple[str, str]], list[str]]:
    """Split words into options and the rest, by :mod:`getopt`.

    :param flags: the long options besides ``--profile`` and ``--help``, without dashes.
    :raises ConfigurationError: an option is unknown or lacks its value.
    """
    try:
        return getopt.getopt(list(words), letters, [f"{PROFILE}=", HELP, *flags])
    except getopt.GetoptError as error:
        raise ConfigurationError(f"{safe(error.msg)}: --help lists the options") from None


def _take_options(
    words: Sequence[str], flags: Sequence[str], arguments: Arguments, strong: list[str]
) -> list[str]:
    found, rest = getopt_or_refuse(words, LETTERS, flags)
    for dashed, value in found:
        letter = dashed[1]
        if dashed == f"--{PROFILE}":
            arguments.options.append(checked(dashed, "Profile", value))
        elif dashed == f"--{HELP}":
            arguments.show_help = True
        elif dashed.startswith("--"):
            arguments.flags.add(dashed[2:])
            if value:
                arguments.values[dashed[2:]] = value
        elif letter in ABSENT:
            raise ConfigurationError(
                f"-{letter}: nacre does not support {ABSENT[letter]} yet: leave it out"
            )
        elif letter in WORDS:
            strong[:0] = WORDS[letter]
        elif letter in VALUES:
            check_value(letter, value, arguments.options)
            if letter in "DLR":
                value = _forward(letter, value)
            elif letter in _QUOTED:
                value = quote(value)
            else:
                checked(dashed, VALUES[letter], value)
            arguments.options.append(f"{VALUES[letter]}={value}")
        else:
            (_SWITCHES.get(letter) or _OTHERS[letter])(arguments, strong, value)
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


def _forward(letter: str, value: str) -> str:
    """Return the value of -L, -R or -D in the form of its keyword."""
    from nacre.config import tunnels

    parsers = {"D": tunnels.dynamic, "L": tunnels.local, "R": tunnels.remote}
    return tunnels.words_of(parsers[letter](f"-{letter}", value)[0])


Action = Callable[[Arguments, list[str], str], None]
"""Gets what is parsed so far, the keywords that override ``-o``, and the option's value."""


def _setting(name: str, value: object = None) -> Action:
    def apply(arguments: Arguments, strong: list[str], given: str) -> None:
        setattr(arguments, name, given if value is None else value)

    return apply


def _twice(keyword: str, once: str, again: str) -> Action:
    """Return the action of an option that means more when it is repeated."""

    def apply(arguments: Arguments, strong: list[str], value: str) -> None:
        present = next((text for text in strong if text.startswith(f"{keyword}=")), "")
        strong.insert(0, f"{keyword}={again if present == f'{keyword}={once}' else once}")

    return apply


def _verbose(arguments: Arguments, strong: list[str], value: str) -> None:
    arguments.verbosity = min(arguments.verbosity + 1, len(_LEVELS))
    strong.insert(0, f"LogLevel={_LEVELS[arguments.verbosity - 1]}")


def _option(arguments: Arguments, strong: list[str], value: str) -> None:
    arguments.options.append(value)


def _cipher(arguments: Arguments, strong: list[str], value: str) -> None:
    arguments.options.append(cipher_word(value))


def _tunnel(arguments: Arguments, strong: list[str], value: str) -> None:
    arguments.options += ("Tunnel=yes", f"TunnelDevice={value}")


_SWITCHES: dict[str, Action] = {
    "G": _setting("show_config", True),
    "M": _twice("ControlMaster", "yes", "ask"),
    "V": _setting("show_version", True),
    "h": _setting("show_help", True),
    "t": _twice("RequestTTY", "yes", "force"),
    "v": _verbose,
    "y": _setting("syslog", True),
}
"""Other options without a value."""

_OTHERS: dict[str, Action] = {
    "E": _setting("log_file"),
    "F": _setting("config_file"),
    "O": _setting("control"),
    "Q": _setting("query"),
    "W": _setting("join"),
    "c": _cipher,
    "o": _option,
    "w": _tunnel,
}
"""Other options with a value."""

LETTERS = "".join([*WORDS, *_SWITCHES, *(f"{letter}:" for letter in (*VALUES, *_OTHERS))])
"""All options, in the form of :mod:`getopt`."""


def cipher_word(value: str) -> str:
    """Return the ``Keyword=Value`` of ``-c``: the ciphers of SSH-1 have a keyword of their own."""
    return checked("-c", "Cipher" if value.lower() in _SSH1_CIPHERS else "Ciphers", value)


def checked(option: str, keyword: str, value: str) -> str:
    """Return the ``Keyword=Value`` of an option.

    :raises ConfigurationError: the value is bad; the message names the option.
    """
    from nacre.config.client.words import SCHEMA

    SCHEMA[keyword].kind.parse(option, [value])
    return f"{keyword}={value}"


def split_destination(destination: str) -> tuple[str, list[str]]:
    """Split ``[user@]host`` or ``ssh://[user@]host[:port]``.

    :returns: the host, and ``Keyword=Value`` texts for user and port.
    :raises ConfigurationError: it names no host, or one that is not possible; or a URI has a path.
    """
    options: list[str] = []
    uri = destination.lower().startswith("ssh://")
    text = destination[6:].rstrip("/") if uri else destination
    user, at, host = text.rpartition("@")
    if uri:
        from urllib.parse import unquote

        if "@" in user or "/" in host:
            raise ConfigurationError(
                f"{safe(destination)!r} is no ssh:// URI: write %40 for an @ in the user's name, "
                "and no path"
            )
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
