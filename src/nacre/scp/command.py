"""The command line by which a client asks a server for scp, read as a shell would read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

_SHELL = frozenset("|&;<>()$`\n#")
_WILD = frozenset("*?[]{}\\~")


@dataclass(frozen=True, slots=True)
class ScpCommand:
    """``scp -t`` (``sink``, one path) or ``scp -f`` (``source``).

    :ivar paths: glob patterns: what the client quoted for the shell has backslashes in front.
    :ivar directory: the path of a sink must be a directory.
    """

    role: Literal["sink", "source"]
    paths: tuple[str, ...]
    recursive: bool = False
    preserve: bool = False
    directory: bool = False


def parse_scp(command: bytes) -> ScpCommand | None:
    """Return what a command line asks for, or None when it is not plainly scp and nothing else."""
    words = _words(command.decode("utf-8", "surrogateescape"))
    if words is None or words[:1] != ["scp"]:
        return None
    letters = ""
    paths = words[1:]
    while paths and paths[0].startswith("-") and len(paths[0]) > 1:
        word = paths.pop(0)
        if word == "--":
            break
        letters += word[1:]
    if set(letters) - set("tfrpdvq") or ("t" in letters) == ("f" in letters) or not paths:
        return None
    sink = "t" in letters
    if sink and len(paths) != 1:
        return None
    return ScpCommand(
        "sink" if sink else "source",
        tuple(paths),
        recursive="r" in letters,
        preserve="p" in letters,
        directory="d" in letters,
    )


def _words(line: str) -> list[str] | None:
    """Split a line as a shell does; None when it has more than words."""
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
                word.append(_itself(line[at]))
                at += 1
            else:
                word.append(_itself(character))
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
                character = _itself(line[at])
                at += 1
            word.append(character)
    if quote:
        return None
    if begun:
        words.append("".join(word))
    return words


def _itself(character: str) -> str:
    return "\\" + character if character in _WILD else character
