"""The command line with which a client starts scp on a server, parsed as a shell would."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

_SHELL = frozenset("|&;<>()$`\n#")
_WILD = frozenset("*?[]{}\\~")
_FLAGS = frozenset("tfrpdvq")


@dataclass(frozen=True, slots=True)
class ScpCommand:
    """``scp -t`` (``sink``, one path) or ``scp -f`` (``source``).

    :ivar paths: glob patterns; characters that the client quoted for the shell are escaped.
    :ivar recursive: ``-r``: directories are copied.
    :ivar preserve: ``-p``: times and modes are kept.
    :ivar directory: ``-d``: the path of a sink must be a directory.
    :ivar in_place: truncate an existing file at the end of its copy, so that a file which is copied
        onto itself keeps its bytes. Not all filesystems can.
    """

    role: Literal["sink", "source"]
    paths: tuple[str, ...]
    recursive: bool = False
    preserve: bool = False
    directory: bool = False
    in_place: bool = False


def parse_scp(command: bytes) -> ScpCommand | None:
    """Return the meaning of a command line; None unless it is scp and nothing else."""
    words = _words(command.decode("utf-8", "surrogateescape"))
    if words is None or words[:1] != ["scp"]:
        return None
    flags: set[str] = set()
    paths = words[1:]
    while paths and paths[0].startswith("-") and len(paths[0]) > 1:
        word = paths.pop(0)
        if word == "--":
            break
        flags |= set(word[1:])
    if flags - _FLAGS or ("t" in flags) == ("f" in flags) or not paths:
        return None
    sink = "t" in flags
    if sink and len(paths) != 1:
        return None
    return ScpCommand(
        "sink" if sink else "source",
        tuple(paths),
        recursive="r" in flags,
        preserve="p" in flags,
        directory="d" in flags,
    )


def exactly(path: str) -> str:
    """Return the pattern that matches ``path`` alone."""
    return "".join(map(_quoted, path))


def _words(line: str) -> list[str] | None:
    """Split a line as a shell does; None if it is more than one simple command."""
    words: list[str] = []
    word: list[str] = []
    begun = False
    quote = ""
    at = 0
    while at < len(line):
        character = line[at]
        at += 1
        if quote:
            if character == quote:
                quote = ""
            elif quote == '"' and character in "$`":
                return None
            elif quote == '"' and character == "\\" and line[at : at + 1] in ("\\", '"', "$", "`"):
                word.append(_quoted(line[at]))
                at += 1
            else:
                word.append(_quoted(character))
        elif character in "'\"":
            quote, begun = character, True
        elif character in " \t":
            if begun:
                words.append("".join(word))
            word, begun = [], False
        elif character in _SHELL:
            return None
        else:
            begun = True
            if character == "\\" and at < len(line):
                character = _quoted(line[at])
                at += 1
            word.append(character)
    if quote:
        return None
    if begun:
        words.append("".join(word))
    return words


def _quoted(character: str) -> str:
    """Return a quoted character as a pattern that matches it alone."""
    return "\\" + character if character in _WILD else character
