"""History and completion at the prompt of ``sftp``, by readline."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

from nacre.cli.sftp.lines import ALIASES, COMMANDS, quoted, unfinished
from nacre.errors import NacreError
from nacre.sftp.client.client import SFTPClient
from nacre.sftp.protocol.paths import literal
from nacre.wire.text import safe

Call: TypeAlias = Callable[[Callable[[], Awaitable[list[str]]]], list[str]]
"""Calls a function in the loop, and returns what its awaitable returns."""


class Completer:
    """Completes commands, local names and remote names."""

    def __init__(self, sftp: SFTPClient, call: Call) -> None:
        self._sftp = sftp
        self._call = call
        self._hits: list[str] = []

    @contextmanager
    def history(self, path: str, lines: int) -> Iterator[None]:
        """Let lines be edited and completed while entered, and keep them in a file.

        :param path: the file of the history.
        :param lines: how many it keeps.
        """
        try:
            import readline
        except ImportError:  # Some builds of Python lack it; the prompt works without.
            yield
            return
        readline.set_completer(lambda text, state: self._complete(readline, text, state))
        readline.set_completer_delims(" \t")
        readline.parse_and_bind("tab: complete")
        with contextlib.suppress(OSError):
            readline.read_history_file(path)
        readline.set_history_length(lines)
        try:
            yield
        finally:
            readline.set_completer(None)
            with contextlib.suppress(OSError):
                previous = os.umask(0o077)
                try:
                    readline.write_history_file(path)
                finally:
                    os.umask(previous)

    def _complete(self, readline: Any, text: str, state: int) -> str | None:
        if state == 0:
            begin = readline.get_line_buffer()[: readline.get_begidx()]
            self._hits = self.hits(begin, text)
        return self._hits[state] if state < len(self._hits) else None

    def hits(self, before: str, text: str) -> list[str]:
        """Return the completions of ``text``, which follows ``before`` on the line.

        What was typed stays as it is, in quotes or not; names are completed behind it. Names with
        characters that can't be shown are left out: they could say something else on the terminal,
        or begin another word.
        """
        line = before + text
        words, word, quote = unfinished(line)
        if quote != "'" and (len(line) - len(line.rstrip("\\"))) % 2:
            return []  # what follows the backslash is to be typed
        if not words:
            names = [*COMMANDS, *ALIASES]
            return sorted({name + " " for name in names if name.startswith(text.lower())})
        name = words[0].lower()
        command = COMMANDS.get(ALIASES.get(name, name))
        if command is None or not command.most:
            return []
        given = sum(not word.startswith("-") for word in words[1:])
        kind = command.paths[min(given, len(command.paths) - 1)]
        if kind == "-":
            return []
        directory, slash, start = literal(word).rpartition("/")
        try:
            if kind == "l":
                found = _local(directory + slash)
            else:
                found = self._call(lambda: _remote(self._sftp, directory + slash))
        except (OSError, NacreError):
            return []
        hits = sorted(name for name in found if name.startswith(start) and _can_be_shown(name))
        ends = {"/": "/", " ": quote + " "}
        return [text + quoted(name[len(start) : -1], quote) + ends[name[-1]] for name in hits]


def _can_be_shown(name: str) -> bool:
    return safe(name, len(name)) == name.replace("\\", "\\\\")


def _local(directory: str) -> list[str]:
    with os.scandir(directory or ".") as entries:
        return [entry.name + ("/" if entry.is_dir() else " ") for entry in entries]


async def _remote(sftp: SFTPClient, directory: str) -> list[str]:
    return [
        entry.name + ("/" if entry.is_dir() else " ")
        async for entry in sftp.scandir(directory or ".")
    ]
