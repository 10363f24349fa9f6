"""Node sets: many names in one text, ``web[01-50,60]``, and a text for many names.

A range keeps the width of its first number: ``[01-10]`` begins with ``01``. ``[0-10/2]`` has every
second number. Several brackets in one name give every combination.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import product
from math import prod

from nacre.errors import ConfigurationError
from nacre.wire.text import safe

MOST = 100_000
"""Names that one text may stand for: a typing error should not fill the memory."""

_SET = re.compile(r"\[([\d,/-]+)\]")
"""Brackets with an IPv6 address in them have colons, and are left alone."""

_RANGE = re.compile(r"(\d{1,18})(?:-(\d{1,18})(?:/(\d{1,18}))?)?")
_NUMBER = re.compile(r"\d+")


def split(text: str) -> list[str]:
    """Return the parts of a text between commas and spaces; brackets keep theirs."""
    parts, depth = [""], 0
    for character in text:
        depth += (character == "[") - (character == "]")
        if depth <= 0 and (character == "," or character.isspace()):
            parts.append("")
        else:
            parts[-1] += character
    return [part for part in parts if part]


def expand(text: str) -> list[str]:
    """Return the names that a text stands for, in its order, each once.

    :raises ConfigurationError: a range is no range, or there are more than :data:`MOST` names.
    """
    found: dict[str, None] = {}
    for part in split(text):
        for name in _names(part):
            found[name] = None
            if len(found) > MOST:
                raise _too_many(text)
    return list(found)


def _names(part: str) -> Iterator[str]:
    texts = _SET.split(part)
    # Texts and ranges take turns.
    if any(("[" in one or "]" in one) and ":" not in part for one in texts[::2]):
        raise ConfigurationError(
            f"{safe(part, 100)} is no node set: write for example web[01-50,60]"
        )
    sets = [list(_numbers(one, part)) for one in texts[1::2]]
    if prod(map(len, sets)) > MOST:
        raise _too_many(part)
    for numbers in product(*sets):
        name = texts[0]
        for number, text in zip(numbers, texts[2::2], strict=True):
            name += number + text
        yield name


def _too_many(text: str) -> ConfigurationError:
    return ConfigurationError(
        f"{safe(text, 100)} stands for more than {MOST:,} hosts: give a smaller range"
    )


def _numbers(ranges: str, part: str) -> Iterator[str]:
    for one in ranges.split(","):
        found = _RANGE.fullmatch(one)
        first, last, step = found.groups() if found else ("", None, None)
        low, high = int(first or 0), int(last or first or -1)
        if high < low or (step is not None and int(step) == 0):
            raise ConfigurationError(
                f"{safe(one, 100)!r} in {safe(part, 100)} is no range: write for example 01-50"
            )
        if (high - low) // int(step or 1) >= MOST:
            raise _too_many(part)
        for number in range(low, high + 1, int(step or 1)):
            yield f"{number:0{len(first)}}"


def fold(names: Iterable[str]) -> str:
    """Return a text that stands for the names: :func:`expand` returns them again, sorted.

    Names that differ in one number stand together, by their last number first.
    """
    alike: dict[tuple[str, int, str], set[str]] = defaultdict(set)
    whole: set[str] = set()
    for name in set(names):
        numbers = list(_NUMBER.finditer(name))
        # An address is shown as it is.
        if not numbers or ":" in name or len(numbers[-1][0]) > 18:
            whole.add(name)
            continue
        last = numbers[-1]
        # Numbers of one width are one range; without a zero in front, any width is.
        width = len(last[0]) if last[0].startswith("0") else 0
        alike[name[: last.start()], width, name[last.end() :]].add(last[0])
    _pad(alike)
    texts = {_folded(before, found, after) for (before, _, after), found in alike.items()}
    return ",".join(sorted(whole | texts))


def _pad(alike: dict[tuple[str, int, str], set[str]]) -> None:
    """Put numbers such as 10 to those such as 09."""
    for before, width, after in sorted(key for key in alike if key[1]):
        plain = alike.get((before, 0, after), set())
        fitting = {number for number in plain if len(number) == width}
        alike[before, width, after] |= fitting
        plain -= fitting
        if (before, 0, after) in alike and not plain:
            del alike[before, 0, after]


def _folded(before: str, found: set[str], after: str) -> str:
    texts = sorted(found, key=int)
    if len(texts) == 1:
        return f"{before}{texts[0]}{after}"
    ranges: list[list[str]] = []
    for text in texts:
        if ranges and int(text) == int(ranges[-1][-1]) + 1:
            ranges[-1][1:] = [text]
        else:
            ranges.append([text])
    return f"{before}[{','.join('-'.join(one) for one in ranges)}]{after}"
