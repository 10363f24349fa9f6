"""The options for how much users may store and transfer, and how their values are read."""

from __future__ import annotations

import re
from collections.abc import Callable

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


OPTIONS = (
    click.option(
        "--quota-bytes",
        metavar="SIZE",
        callback=_read(size),
        help="The most bytes that the user's files may have. For example 500M or 10G, where K, M, "
        "G and T are powers of 1024; by default any number. None says so, whatever the groups "
        "say. Quotas and rates are for users with --service sftp.",
    ),
    click.option(
        "--quota-files",
        type=click.IntRange(0, MOST_FILES),
        metavar="N",
        help="The most files, directories and links of the user. 0 is no limit.",
    ),
    click.option(
        "--transfer-up",
        metavar="SIZE",
        callback=_read(size),
        help="The most bytes that sftp and scp may write in a period. As with --quota-bytes.",
    ),
    click.option(
        "--transfer-down",
        metavar="SIZE",
        callback=_read(size),
        help="The most bytes that sftp and scp may read in a period. As with --quota-bytes.",
    ),
    click.option(
        "--transfer-period",
        type=click.Choice(PERIODS),
        help="The period of --transfer-up and --transfer-down. A day, a week from Monday on or a "
        "month, in UTC, or all time together; by default month.",
    ),
    click.option(
        "--rate-up",
        metavar="SIZE",
        callback=_read(rate),
        help="How many bytes a second sftp and scp may write. All sessions of the user together "
        "have this rate, such as 2M; none is no limit.",
    ),
    click.option(
        "--rate-down",
        metavar="SIZE",
        callback=_read(rate),
        help="How many bytes a second sftp and scp may read. As with --rate-up.",
    ),
)
"""The options, named as the settings of the store."""

SHARED_OPTIONS = (
    click.option(
        "--shared-quota-bytes",
        metavar="SIZE",
        callback=_read(size),
        help="The most bytes that the files of all users of the group may have together. As with "
        "--quota-bytes; a directory of several users counts once.",
    ),
    click.option(
        "--shared-quota-files",
        type=click.IntRange(0, MOST_FILES),
        metavar="N",
        help="The most files, directories and links of all users of the group together.",
    ),
    click.option(
        "--shared-transfer-up",
        metavar="SIZE",
        callback=_read(size),
        help="The most bytes that all users of the group together may write in a period.",
    ),
    click.option(
        "--shared-transfer-down",
        metavar="SIZE",
        callback=_read(size),
        help="The most bytes that all users of the group together may read in a period.",
    ),
    click.option(
        "--shared-transfer-period",
        type=click.Choice(PERIODS),
        help="The period of --shared-transfer-up and --shared-transfer-down, by default month.",
    ),
    click.option(
        "--shared-rate-up",
        metavar="SIZE",
        callback=_read(rate),
        help="How many bytes a second all users of the group together may write with sftp and scp.",
    ),
    click.option(
        "--shared-rate-down",
        metavar="SIZE",
        callback=_read(rate),
        help="How many bytes a second all users of the group together may read with sftp and scp.",
    ),
)
"""The options for what the users of a group share, named as the settings of the store."""

_SIZES = ("quota_bytes", "transfer_up", "transfer_down", "rate_up", "rate_down")
SIZES = (*_SIZES, *(SHARED + name for name in _SIZES))
"""The settings that are numbers of bytes."""
