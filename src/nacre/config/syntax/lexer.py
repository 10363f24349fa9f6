"""Lines of ssh_config(5) and sshd_config(5): a keyword, and words with quotation marks.

``Keyword value``, ``Keyword=value`` and ``Keyword "a value"`` mean the same, as in OpenSSH.
"""

from __future__ import annotations

import re

from nacre.errors import ConfigurationError
from nacre.wire.text import safe

BLANKS = " \t\r\n\f"
"""What may stand at the end of a line; a form feed may not stand elsewhere."""

_LINE = re.compile(r'(?:"([^"]*)"|([^ \t\r"=]+))[ \t\r]*(?:=[ \t\r]*)?(.*)', re.DOTALL)
_PLAIN = re.compile(r"[^\s\"'\\#]+(?:[ \t]+[^\s\"'\\#]+)*")
_QUOTES = "\"'"


def split(text: str) -> tuple[str, str]:
    """Return the keyword of a line and the text behind it; "" for a blank line or a comment."""
    text = text.rstrip(BLANKS).lstrip(" \t\r")
    if text.startswith("="):  # an empty word, which OpenSSH passes over
        text = text[1:].lstrip(" \t\r")
    found = _LINE.fullmatch(text)
    if found is None or text.startswith("#"):
        return "", text if text[:1] not in ("", "#") else ""
    return found[1] or found[2] or "", found[3]


def words(text: str) -> list[str]:
    r"""Split a text into words at spaces and tabs, up to a ``#`` where a word would begin.

    ``"..."`` and ``'...'`` may contain spaces. A backslash stands before a quotation mark, another
    backslash or, outside of quotation marks, a space; before others it is an ordinary character.

    :raises ConfigurationError: a quotation mark is not closed.
    """
    if _PLAIN.fullmatch(text):
        return text.split()
    found: list[str] = []
    at, end = 0, len(text)
    while True:
        while at < end and text[at] in " \t":
            at += 1
        if at == end or text[at] == "#":
            return found
        at, one = _word(text, at)
        found.append(one)


def _word(text: str, at: int) -> tuple[int, str]:
    """Return the end of the word that begins at ``at``, and the word without quotation marks."""
    parts: list[str] = []
    quote = ""
    start = at
    while at < len(text):
        letter = text[at]
        if letter == "\\" and _escapes(text[at + 1 : at + 2], quote):
            at += 1
            parts.append(text[at])
        elif not quote and letter in " \t":
            break
        elif not quote and letter in _QUOTES:
            quote = letter
        elif quote and letter == quote:
            quote = ""
        else:
            parts.append(letter)
        at += 1
    if quote:
        raise ConfigurationError(f"a quotation mark is not closed: {safe(text[start:], 100)}")
    return at, "".join(parts)


def _escapes(following: str, quote: str) -> bool:
    return following in ("'", '"', "\\") or (following == " " and not quote)


def quote(word: str) -> str:
    """Return a word in quotation marks, so that :func:`words` reads it as it is."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
