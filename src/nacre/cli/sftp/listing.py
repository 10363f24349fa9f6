"""The output of ``ls`` and ``df``."""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo

from nacre.sftp.protocol.attributes import Attributes, longname
from nacre.value import value
from nacre.wire.text import safe as escaped

_AT_ONCE = 4096
"""Names that are printed with one call."""


def safe(text: str, limit: int = 1024) -> str:
    """Return a name with escapes for unprintable characters. A backslash in it stays one."""
    return escaped(text, limit, keep="\\")


@value
class Listed:
    """A file to list.

    :ivar name: the name to print.
    :ivar longname: the server's own line for the file, or empty.
    """

    name: str
    attributes: Attributes
    longname: str = ""


def ordered(files: Sequence[Listed], flags: frozenset[str]) -> list[Listed]:
    """Return files in the order that the flags of ``ls`` request."""
    if "f" in flags:
        return list(files)
    if "t" in flags:
        found = sorted(files, key=lambda file: -(file.attributes.mtime or 0))
    elif "S" in flags:
        found = sorted(files, key=lambda file: -(file.attributes.size or 0))
    else:
        found = sorted(files, key=lambda file: _bytes(file.name))
    return found[::-1] if "r" in flags else found


def ordered_names(names: list[str], flags: frozenset[str]) -> list[str]:
    """Sort names in place as the flags of ``ls`` request, and return them."""
    if "f" not in flags:
        # ASCII sorts as its bytes do, so nothing is made for each name.
        names.sort(key=None if all(map(str.isascii, names)) else _bytes, reverse="r" in flags)
    return names


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def show_names(names: Sequence[str], flags: frozenset[str]) -> None:
    """Print names, in columns or one in a line, many with one call."""
    if "1" not in flags:
        for line in columns([safe(name) for name in names]):
            print(line)
        names = ()
    for at in range(0, len(names), _AT_ONCE):
        block = names[at : at + _AT_ONCE]
        whole = "".join(block)
        if safe(whole, len(whole)) != whole:
            block = [safe(name) for name in block]
        print("\n".join(block))
    sys.stdout.flush()


def lines(
    files: Sequence[Listed],
    flags: frozenset[str],
    users: Mapping[int, str],
    groups: Mapping[int, str],
) -> list[str]:
    """Return the lines of a listing.

    :param users: the known names of users, by number.
    :param groups: the known names of groups, by number.
    """
    if flags & {"l", "n"}:
        zone, now = datetime.now().astimezone().tzinfo or UTC, time.time()
        return [_long(file, flags, users, groups, zone, now) for file in files]
    names = [safe(file.name) for file in files]
    return names if "1" in flags else columns(names)


def columns(names: Sequence[str]) -> list[str]:
    """Return lines of names in columns, as many as fit the terminal."""
    if not names:
        return []
    from shutil import get_terminal_size

    width = get_terminal_size().columns if os.isatty(1) else 80
    count = max(1, width // (max(map(len, names)) + 2))
    space = width // count
    return [
        "".join([f"{name:<{space}}" for name in names[at : at + count]]).rstrip()
        for at in range(0, len(names), count)
    ]


def _long(
    file: Listed,
    flags: frozenset[str],
    users: Mapping[int, str],
    groups: Mapping[int, str],
    zone: tzinfo,
    now: float,
) -> str:
    known = file.attributes
    if known.permissions is None and file.longname:
        return safe(file.longname)
    user = group = None
    if "n" not in flags or known.uid is None:
        user = safe(known.details.owner or users.get(known.uid or 0, "")) or None
        group = safe(known.details.group or groups.get(known.gid or 0, "")) or None
    name = safe(file.name)
    line = longname(name, known, now=now, user=user, group=group, zone=zone)
    if "h" not in flags:
        return line
    mode = stat.filemode(known.permissions or 0)
    shown_user, shown_group = user or str(known.uid or 0), group or str(known.gid or 0)
    when = line[: len(line) - len(name)].split()[-3:]
    shown = f"{when[0]} {when[1]:>2} {when[2]:>5}"
    size = scaled(known.size or 0)
    return f"{mode}   ? {shown_user:<8} {shown_group:<8} {size:>8} {shown} {name}"


def scaled(count: int) -> str:
    """Return a size with a unit, in powers of 1024: ``3B``, ``4.0K``, ``22.4M``, ``252G``."""
    size: float = count
    for unit in "BKMGTP":
        if size < 1000 or unit == "P":
            break
        size /= 1024
    if unit == "B" or size >= 99.95:
        return f"{size:.0f}{unit}"
    return f"{size:.1f}{unit}"


def free_space(status: os.statvfs_result, flags: frozenset[str]) -> list[str]:
    """Return the lines of ``df``."""
    block = status.f_frsize or status.f_bsize
    used = status.f_blocks - status.f_bfree
    percent = f"{100 * used // status.f_blocks}%" if status.f_blocks else "-"
    if "i" in flags:
        gone = status.f_files - status.f_ffree
        share = f"{100 * gone // status.f_files}%" if status.f_files else "ERR"
        numbers = (status.f_files, gone, status.f_favail, status.f_ffree)
        return [
            "     Inodes        Used       Avail      (root)    %Capacity",
            "{:>11} {:>11} {:>11} {:>11}         {:>4}".format(*numbers, share),
        ]
    sizes = [block * n for n in (status.f_blocks, used, status.f_bavail, status.f_bfree)]
    if "h" in flags:
        return [
            "    Size     Used    Avail   (root)    %Capacity",
            "{:>8} {:>8} {:>8} {:>8}         {:>4}".format(
                *[scaled(size) + ("B" if size >= 1024 else "") for size in sizes], percent
            ),
        ]
    return [
        "        Size         Used        Avail       (root)    %Capacity",
        "{:>12} {:>12} {:>12} {:>12}         {:>4}".format(
            *[size // 1024 for size in sizes], percent
        ),
    ]
