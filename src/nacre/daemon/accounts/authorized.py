"""``~/.ssh/authorized_keys``, read with the account's rights where only it and root can write.

The checks are those of ``StrictModes`` in sshd_config(5).
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nacre.daemon.accounts.accounts import Account
from nacre.errors import AccountError
from nacre.keys.authorized_keys import AuthorizedKeys, parse
from nacre.limits import MIB

FILES = (".ssh/authorized_keys", ".ssh/authorized_keys2")
"""The files with keys, below the home directory; both are used."""

_MAXIMUM = 64 * MIB
"""Bytes of a file: 100,000 keys take about 10 MiB. sshd has no bound, but must not be led to one
that fills the memory.
"""


def read_authorized_keys(account: Account) -> Iterator[AuthorizedKeys]:
    """Read the files that exist. Blocks.

    :raises AccountError: a file can't be trusted or read; the message says why.
    """
    for name in FILES:
        with _rights_of(account):
            text = _read(Path(account.home) / name, account)
        if text is not None:
            yield parse(text)


@contextmanager
def _rights_of(account: Account) -> Iterator[None]:
    """Access files with the account's rights, in this thread alone (setfsuid(2)).

    So a symbolic link of the user's can't lead to a file that the user can't read.
    """
    if account.uid == os.geteuid():
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid = os.geteuid(), os.getegid()
    libc.setfsgid(account.gid)
    libc.setfsuid(account.uid)
    try:
        # These calls report no failure; with an impossible value they return the present one.
        if libc.setfsuid(-1) != account.uid:
            raise AccountError(f"can't take the file rights of {account.name}")
        yield
    finally:
        libc.setfsuid(uid)
        libc.setfsgid(gid)


def _read(path: Path, account: Account) -> bytes | None:
    try:
        real = Path(os.path.realpath(path, strict=True))
        # A FIFO would block without O_NONBLOCK.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        descriptor = os.open(real, flags)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise AccountError(f"can't read {path}: {error.strerror}") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise AccountError(f"{path} is ignored: it is not a regular file")
        _check(real, status, account)
        _check_directories(real, account)
        with open(descriptor, "rb", closefd=False) as file:
            text = file.read(_MAXIMUM + 1)
    finally:
        os.close(descriptor)
    if len(text) > _MAXIMUM:
        raise AccountError(f"{path} is ignored: it has more than {_MAXIMUM} bytes")
    return text


def _check_directories(path: Path, account: Account) -> None:
    """Check each directory from the file's up to the home directory, or to the root."""
    home = Path(os.path.realpath(account.home))
    for directory in path.parents:
        _check(directory, directory.stat(), account)
        if directory == home:
            return


def _check(path: Path, status: os.stat_result, account: Account) -> None:
    if status.st_uid not in (0, account.uid):
        raise AccountError(f"{path} is ignored: its owner is neither {account.name} nor root")
    if status.st_mode & 0o022:
        raise AccountError(f"{path} is ignored: other accounts can write to it; chmod go-w {path}")
