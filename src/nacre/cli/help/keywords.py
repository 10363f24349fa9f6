"""What ``nacre help KEYWORD`` says about the keywords of both configurations: their schemas."""

from __future__ import annotations

from collections.abc import Iterator

from nacre.cli.common import arguments
from nacre.cli.help.options import stands_in_ssh
from nacre.cli.help.page import wrapped
from nacre.config.client.config import ClientConfig
from nacre.config.client.words import SCHEMA as CLIENT
from nacre.config.kinds import ALGORITHM_KINDS
from nacre.config.schema import Keyword, Support
from nacre.config.server.config import ServerConfig
from nacre.config.server.words import SCHEMA as SERVER
from nacre.protocol.options import choose

SCHEMAS = {"ssh_config": CLIENT, "sshd_config": SERVER}
"""Each schema, by the name of OpenSSH's file."""

PROGRAMS = {
    "ssh_config": "nacre ssh, sftp, scp, trace",
    "sshd_config": "nacre serve",
}
"""The programs that use a configuration."""

_CONFIGURATIONS: dict[str, object] = {
    "ssh_config": ClientConfig(),
    "sshd_config": ServerConfig(),
}
"""What holds where nothing is written."""

_COLUMN = 11
"""Columns of the names of facts."""

_DEFAULTS = {
    "Hostname": "the name that was given",
    "IdentityFile": "~/.ssh/id_ed25519, ~/.ssh/id_ecdsa, ~/.ssh/id_rsa and ~/.ssh/id_dsa",
    "User": "the local user's name",
}
"""Defaults that are no values."""


def describe(keyword: str) -> str | None:
    """Return what to print for a keyword, in any case; None if there is no such keyword."""
    found = []
    for file, schema in SCHEMAS.items():
        word = schema.by_lower.get(keyword.lower())
        if word is not None:
            found.append("\n".join(_described(file, word, keyword)))
        elif keyword.lower() in schema.ignored:
            found.append(f"{keyword}: a former keyword of {file}, which is accepted and ignored.")
    return "\n\n".join(found) or None


def _described(file: str, word: Keyword, written: str) -> Iterator[str]:
    yield f"{word.name} ({file}: {PROGRAMS[file]})"
    yield from ("", *wrapped([word.about], "  "), "")
    former = () if written.lower() == word.name.lower() else (("former", written),)
    for name, text in (*facts(file, word), *former):
        first, *rest = "\n".join(wrapped([text], " " * (_COLUMN + 2))).split("\n")
        yield f"  {name:{_COLUMN}}{first.lstrip()}"
        yield from rest


def facts(file: str, word: Keyword) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each fact about a keyword."""
    yield "values", word.kind.allowed
    default = default_of(file, word)
    if default:
        yield "default", default
    if word.tokens:
        yield "tokens", " ".join(f"%{letter}" for letter in sorted(word.tokens, key=_letter))
    if word.environment:
        yield "variables", "${NAME} is the value of a variable of the environment"
    if word.gathers:
        yield "repeated", "all values count"
    if not word.in_match:
        yield "Match", "not in a Match block"
    options = [f"-{letter}" for letter in options_of(word)] if file == "ssh_config" else []
    if options:
        yield "options", ", ".join(options)
    yield "support", support_of(word)


def _letter(letter: str) -> tuple[str, str]:
    return letter.lower(), letter


def default_of(file: str, word: Keyword) -> str:
    """Return the value that counts where a keyword is not given; empty if there is none."""
    if word.name in ALGORITHM_KINDS:
        return ", ".join(choose(ALGORITHM_KINDS[word.name], None))
    if word.default or not word.field:
        return word.default
    if word.name in _DEFAULTS:
        return _DEFAULTS[word.name]
    shown = word.kind.show(getattr(_CONFIGURATIONS[file], word.field))
    text = shown if isinstance(shown, str) else " ".join(shown or ())
    return "" if text == "None" else text


def options_of(word: Keyword) -> list[str]:
    """Return the letters of the options of ``nacre ssh`` that stand for a keyword."""
    letters = {letter for letter in arguments.LETTERS if letter != ":"}
    return sorted(
        letter
        for letter in letters
        if any(text.startswith(f"{word.name}=") for text in stands_in_ssh(letter))
    )


def support_of(word: Keyword) -> str:
    """Return what nacre does with a keyword, and why if it does not honour it."""
    text = word.support.value
    if word.own:
        text += "; nacre's own" if word.support is Support.HONOURED else ""
    if word.harmless:
        text += f", except {', '.join(word.harmless)}"
    return f"{text}: {word.why}" if word.why else text


def listed() -> str:
    """Return all keywords, in columns, for each configuration."""
    parts = []
    for file, schema in SCHEMAS.items():
        names = sorted((word.name for word in schema.words), key=str.lower)
        parts.append(
            "\n".join([f"{file}, for {PROGRAMS[file]}:", *wrapped([" ".join(names)], "  ")])
        )
    return "\n\n".join(parts)


def similar(keyword: str) -> str | None:
    """Return a keyword whose name is similar to a misspelt one."""
    from difflib import get_close_matches

    by_lower = {name: word.name for one in SCHEMAS.values() for name, word in one.by_lower.items()}
    near = get_close_matches(keyword.lower()[:64], by_lower, 1)
    return by_lower[near[0]] if near else None
