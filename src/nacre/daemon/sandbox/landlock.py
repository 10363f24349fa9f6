"""Some directories as all that a process may open (landlock(7)).

It is the second wall: what :mod:`nacre.sftp.filesystems.walk` should not open, the kernel refuses.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable

from nacre.daemon.sandbox.kernel import call
from nacre.daemon.sandbox.rules import this_processor

# fmt: off
(
    EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, REMOVE_DIR, REMOVE_FILE, MAKE_CHAR, MAKE_DIR,
    MAKE_REG, MAKE_SOCK, MAKE_FIFO, MAKE_BLOCK, MAKE_SYM, REFER, TRUNCATE, IOCTL_DEV,
) = _RIGHTS = tuple([1 << bit for bit in range(16)])
# fmt: on
"""The kernel's rights to files (LANDLOCK_ACCESS_FS_…). Plain numbers load faster than an enum."""

READ = READ_FILE | READ_DIR
"""To read files and list directories."""

CHANGE = (
    (READ | WRITE_FILE | TRUNCATE | REFER)
    | (REMOVE_DIR | REMOVE_FILE)
    | (MAKE_DIR | MAKE_REG | MAKE_SYM)
    # A rename needs the right to make a file of its type, and these two may be renamed.
    | (MAKE_SOCK | MAKE_FIFO)
)
"""To do all that SFTP offers; not to execute files, to make devices, or to control them."""

_OLDEST = 2
"""The first version (ABI) with REFER: without it, no file goes to another directory."""

_LATER = {TRUNCATE: 3, IOCTL_DEV: 5}
"""Rights that later versions have added."""

_TCP, _SINCE_TCP = 3, 4
"""To bind and to connect, and the version that can refuse both."""

_OTHERS, _SINCE_OTHERS = 3, 6
"""Abstract Unix sockets of other processes, and signals to them."""

_VERSION = 1  # LANDLOCK_CREATE_RULESET_VERSION
_PATH_BENEATH = 1


def version() -> int:
    """Return the version (ABI) of this kernel's Landlock; 0 without, or if it is too old."""
    if this_processor() is None:
        return 0
    found = _landlock("create_ruleset", 0, 0, _VERSION)
    return found if found >= _OLDEST else 0


def confine(below: Iterable[tuple[str, int]], version: int) -> None:
    """Allow this thread, and what it starts, to open files below some directories only.

    What is open already stays open. It can't be undone. The process may gain no rights any more
    (PR_SET_NO_NEW_PRIVS).

    :param below: the directories, each with what may be done below it, such as :data:`READ`.
    :param version: what :func:`version` returned.
    :raises OSError: a directory can't be opened, or the kernel did not take a rule.
    """
    handled = sum([one for one in _RIGHTS if version >= _LATER.get(one, _OLDEST)])
    tcp = _TCP if version >= _SINCE_TCP else 0
    others = _OTHERS if version >= _SINCE_OTHERS else 0
    attributes = struct.pack("=QQQ", handled, tcp, others)
    rules = _landlock("create_ruleset", attributes, len(attributes), 0)
    try:
        added = rules >= 0 and all(_added(rules, one, mask & handled) for one, mask in below)
        if not added or _landlock("restrict_self", rules, 0) != 0:
            raise OSError("the kernel does not confine the process to its directories")
    finally:
        if rules >= 0:
            os.close(rules)


def _added(rules: int, directory: str, allowed: int) -> bool:
    """Add a rule for a directory; return whether the kernel took it."""
    beneath = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        rule = struct.pack("=Qi", allowed, beneath)
        return _landlock("add_rule", rules, _PATH_BENEATH, rule, 0) == 0
    finally:
        os.close(beneath)


def _landlock(name: str, *arguments: int | bytes) -> int:
    processor = this_processor()
    number = None if processor is None else processor.number(f"landlock_{name}")
    return -1 if number is None else call("syscall", number, *arguments)
