"""``nacre keygen``, also installed as ``nacre-ssh-keygen``: keys, as ssh-keygen(1) does it."""

from __future__ import annotations

import io
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn

from nacre.cli.common.start import FAILURE, start
from nacre.cli.keygen.arguments import CommandLineError, KeygenOptions, Refused, parse_arguments
from nacre.errors import NacreError
from nacre.wire.text import safe

if TYPE_CHECKING:
    import click

_ACTIONS = {
    "Y": "signatures",
    "k": "revocation",
    "Q": "revocation",
    "s": "certify",
    "L": "certificates",
    "R": "hosts",
    "H": "hosts",
    "F": "hosts",
    "K": "tokens",
    "l": "show",
    "B": "show",
    "p": "change",
    "c": "change",
    "e": "conversion",
    "i": "conversion",
    "X": "conversion",
    "y": "show",
    "r": "show",
    "M": "moduli.command",
    "A": "generate",
}
"""For each option that says what to do the module whose ``run(options)`` does it. Of several
options the first counts, as in ssh-keygen; without one, a key is made."""

_WRONG = 1
"""The exit status of ssh-keygen for a wrong command line, and where it does not do its work."""


def main() -> NoReturn:
    """Run ``nacre-ssh-keygen``."""
    start(run, "nacre-ssh-keygen", sys.argv[1:])


def __getattr__(name: str) -> click.Command:
    # Only the group `nacre` needs the click command.
    if name != "command":
        raise AttributeError(name)
    from nacre.cli.common.passing import Passing

    return Passing("keygen", run)


def run(program: str, words: Sequence[str]) -> int:
    """Run the program on its command line; return the exit status."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # ends the program without a traceback
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Comments are bytes: they need not be UTF-8.
        sys.stdout.reconfigure(errors="surrogateescape")
    try:
        return _act(program, parse_arguments(words))
    except CommandLineError as error:
        from nacre.cli.help.pages import refuse

        return refuse(program, "keygen", _WRONG, f"{error}")
    except OSError as error:
        if error.filename is None:
            raise  # what is printed can't be written
        _complain(f"{error.filename}: {error.strerror}")
    except Refused as error:
        _complain(f"{error}")
        return _WRONG
    except NacreError as error:
        _complain(f"{error}")
    return FAILURE


def _complain(text: str) -> None:
    if text:
        print(safe(text, 4096, keep="\n"), file=sys.stderr)


def _act(program: str, options: KeygenOptions) -> int:
    if options.show_help:
        from nacre.cli.help.pages import print_help

        return print_help(program, "keygen")
    name = next((module for letter, module in _ACTIONS.items() if letter in options), "generate")
    status: int = import_module(f"nacre.cli.keygen.{name}").run(options)
    return status
