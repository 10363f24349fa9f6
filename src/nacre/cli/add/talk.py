"""What ``nacre add`` says, and what it asks for."""

from __future__ import annotations

import sys

from nacre.wire.text import safe


async def ask_secret(text: str) -> str:
    """Return the user's answer, which the terminal does not show; empty if there is none.

    Where there is neither a terminal nor a program that asks, it is a line of standard input.
    """
    from nacre.cli.common.prompts import prompt

    return await prompt(text, False, standard_input=True) or ""


def complain(text: str) -> None:
    """Print a message, each of its lines; ssh-add has no name of the program before it."""
    for line in text.split("\n"):
        print(safe(line, 4096), file=sys.stderr)
