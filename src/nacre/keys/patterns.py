"""Patterns of host names: ``*``, ``?`` and, in lists, ``!`` (ssh_config(5), PATTERNS)."""

from __future__ import annotations

from collections.abc import Iterable


def matches(text: str, pattern: str) -> bool:
    """Return whether the whole of ``text`` matches ``pattern``; only ``*`` and ``?`` are special.

    It takes time in proportion to the product of both lengths at most, with every pattern.
    """
    if "*" not in pattern and "?" not in pattern:
        return text == pattern
    at = star = 0
    retry = -1
    i = 0
    while i < len(text):
        if at < len(pattern) and pattern[at] == "*":
            star, retry = at, i
            at += 1
        elif at < len(pattern) and pattern[at] in ("?", text[i]):
            at += 1
            i += 1
        elif retry >= 0:
            retry += 1
            at, i = star + 1, retry
        else:
            return False
    return not pattern[at:].strip("*")


def match_list(text: str, patterns: Iterable[str]) -> bool | None:
    """Match ``text`` against a list in which ``!pattern`` excludes.

    :return: True for a match, False if a negated pattern matches (it overrides every other), None
        if no pattern matches.
    """
    found = None
    for pattern in patterns:
        if pattern.startswith("!"):
            if matches(text, pattern[1:]):
                return False
        elif matches(text, pattern):
            found = True
    return found
