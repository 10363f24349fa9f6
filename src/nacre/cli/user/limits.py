"""The options for how much users may store and transfer, and how their values are read."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeAlias

import click

from nacre.sftp.filesystems.quota.limits import LARGEST, PERIODS, SHARED, SLOWEST

NONE = 0
"""The limit of those who have none, whatever their groups say."""

MOST_FILES = 1 << 40
"""The largest number of files that can be set."""

_SIZE = re.compile(r"(\d{1,19})([kmgt]?)(?:i?b)?", re.IGNORECASE)
_FACTORS: dict[str, int] = {
    unit: 1024**power for power, unit in enumerate(["", "k", "m", "g", "t"])
}


def size(text: str) -> int:
    """Return bytes, or 0 for no limit.

    :raises BadParameter: the text is no number of bytes.
    """
    if text == "none":
        return NONE
    found = _SIZE.fullmatch(text.strip())
    number = None if found is None else int(found[1]) * _FACTORS[found[2].lower()]
    if number is None or number > LARGEST:
        raise click.BadParameter(
            f"{text!r} is no number of bytes: write for example 500M, 10G, 4096 or none"
        )
    return number


def rate(text: str) -> int:
    """Return bytes a second, or 0 for no limit.

    :raises BadParameter: the text is none, or the rate is too slow.
    """
    found = size(text.removesuffix("/s"))
    if 0 < found < SLOWEST:
        raise click.BadParameter(f"{text!r} is too slow: {SLOWEST} bytes a second is the least")
    return found


def written_size(number: int | None) -> str | None:
    """Return what :func:`size` reads as this number; 0 stands for none."""
    if not number:
        return None if number is None else "none"
    unit = max((unit for unit, factor in _FACTORS.items() if number % factor == 0), key=_order)
    return f"{number // _FACTORS[unit]}{unit.upper()}"


def _order(unit: str) -> int:
    return _FACTORS[unit]


def _read(
    parse: Callable[[str], int],
) -> Callable[[click.Context, click.Parameter, str | None], int | None]:
    def callback(
        _context: click.Context, _parameter: click.Parameter, text: str | None
    ) -> int | None:
        return None if text is None else parse(text)

    return callback


_BYTES: dict[str, Any] = {"metavar": "SIZE", "callback": _read(size)}
_RATE: dict[str, Any] = {"metavar": "SIZE", "callback": _read(rate)}

_ROWS: tuple[tuple[str, dict[str, Any], str, str], ...] = (
    (
        "quota-bytes",
        _BYTES,
        "The most bytes that the user's files may have. For example 500M or 10G, where K, M, G and "
        "T are powers of 1024; by default any number. None says so, whatever the groups say. "
        "Quotas are for users with --service sftp.",
        "The most bytes that the files of all users of the group may have together. As with "
        "--quota-bytes; a directory of several users counts once.",
    ),
    (
        "quota-files",
        {"type": click.IntRange(0, MOST_FILES), "metavar": "N"},
        "The most files, directories and links of the user. 0 is no limit.",
        "The most files, directories and links of all users of the group together.",
    ),
    (
        "transfer-up",
        _BYTES,
        "The most bytes that the user may send in a period. With sftp and scp, to commands and "
        "through forwarded connections, all together; as with --quota-bytes.",
        "The most bytes that all users of the group together may send in a period.",
    ),
    (
        "transfer-down",
        _BYTES,
        "The most bytes that the user may receive in a period. As with --transfer-up.",
        "The most bytes that all users of the group together may receive in a period.",
    ),
    (
        "transfer-period",
        {"type": click.Choice(PERIODS)},
        "The period of --transfer-up and --transfer-down. A day, a week from Monday on or a month, "
        "in UTC, or all time together; by default month.",
        "The period of --shared-transfer-up and --shared-transfer-down, by default month.",
    ),
    (
        "rate-up",
        _RATE,
        "How many bytes a second the user may send. With sftp and scp, to commands and through "
        "forwarded connections: all sessions of the user together have this rate, such as 2M; none "
        "is no limit.",
        "How many bytes a second all users of the group together may send.",
    ),
    (
        "rate-down",
        _RATE,
        "How many bytes a second the user may receive. As with --rate-up.",
        "How many bytes a second all users of the group together may receive.",
    ),
)
"""What is limited: the option, how its value is read, and the help for a user and for a group."""

OptionOf: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]
"""What gives a command one option."""

OPTIONS: tuple[OptionOf, ...] = tuple(
    click.option(f"--{name}", **how, help=own) for name, how, own, _ in _ROWS
)
"""The options, named as the settings of the store."""

SHARED_OPTIONS: tuple[OptionOf, ...] = tuple(
    click.option(f"--{SHARED.replace('_', '-')}{name}", **how, help=shared)
    for name, how, _, shared in _ROWS
)
"""The options for what the users of a group share, named as the settings of the store."""

_SIZES = ("quota_bytes", "transfer_up", "transfer_down", "rate_up", "rate_down")
SIZES = (*_SIZES, *(SHARED + name for name in _SIZES))
"""The settings that are numbers of bytes."""
