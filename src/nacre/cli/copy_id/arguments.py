"""The command line of ssh-copy-id(1)."""

from __future__ import annotations

from collections.abc import Sequence

from nacre.cli.common.arguments import HELP, PROFILE, checked, getopt_or_refuse, split_destination
from nacre.config.syntax.lexer import quote
from nacre.errors import ConfigurationError
from nacre.wire.text import safe

LETTERS = "F:fhi:no:p:st:x"

_FLAGS = {"f": "forced", "n": "dry_run", "s": "by_sftp", "x": "verbose"}
_TEXTS = {"F": "config_file", "i": "identity", "t": "target"}


class CopyIdArguments:
    """A parsed command line.

    :ivar host: the host; ``destination``: the word that named it.
    :ivar options: ``Keyword=Value`` texts; of one keyword the first counts.
    :ivar config_file: ``-F``: the only configuration file to read, or None.
    :ivar identity: ``-i``: the file of the key; empty for the newest default one, None for the
        keys of the agent, or that file.
    :ivar target: ``-t``: the file of keys on the host, relative to the home directory.
    :ivar forced: ``-f``: do not try which keys log in already, and need no private key.
    :ivar dry_run: ``-n``: change nothing; ``by_sftp``: ``-s``: run no command on the host;
        ``verbose``: ``-x``; ``show_help``: ``-h``.
    """

    def __init__(self) -> None:
        self.host = ""
        self.destination = ""
        self.options: list[str] = []
        self.config_file: str | None = None
        self.identity: str | None = None
        self.target: str | None = None
        self.forced = False
        self.dry_run = False
        self.by_sftp = False
        self.verbose = False
        self.show_help = False


def parse_arguments(words: Sequence[str]) -> CopyIdArguments:
    """Parse a command line.

    :raises ConfigurationError: an option is unknown or lacks its value, or there is not one host.
    """
    made = CopyIdArguments()
    found, rest = getopt_or_refuse(words, LETTERS)
    for dashed, value in found:
        if dashed in ("-h", f"--{HELP}"):
            made.show_help = True
        elif dashed == f"--{PROFILE}":
            made.options.append(checked(dashed, "Profile", value))
        else:
            _take(made, dashed[1], value)
    if made.show_help:
        return made
    if len(rest) != 1:
        raise ConfigurationError(
            f"too many arguments: {safe(' '.join(rest), 200)}" if rest else "name the host"
        )
    made.destination = rest[0]
    made.host, options = split_destination(rest[0])
    made.options += options
    if made.verbose:
        made.options.append("LogLevel=DEBUG1")
    return made


def _take(made: CopyIdArguments, letter: str, value: str) -> None:
    if letter in _FLAGS:
        setattr(made, _FLAGS[letter], True)
    elif letter == "i" and made.identity is not None:
        raise ConfigurationError("-i: give one key at a time")
    elif letter in _TEXTS:
        setattr(made, _TEXTS[letter], value)
    elif letter == "p":
        made.options.append(checked("-p", "Port", value))
    else:
        made.options.append(value)


def identity_options(file: str) -> list[str]:
    """Return options for a login with the key of ``file`` alone, and by nothing else."""
    return [
        f"IdentityFile={quote(file)}",
        "IdentitiesOnly=yes",
        "PreferredAuthentications=publickey",
        "ControlPath=none",
    ]
