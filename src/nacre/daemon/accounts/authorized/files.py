"""Files of keys such as ``~/.ssh/authorized_keys``, read with the account's rights.

With ``StrictModes`` of sshd_config(5), a file that others than the account and root can write is
refused.
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nacre.config.server.config import ServerConfig
from nacre.daemon.accounts.accounts import Account
from nacre.errors import AccountError
from nacre.keys.authorized_keys import AuthorizedKeys, parse
from nacre.limits import MIB

_MAXIMUM = 64 * MIB
"""Bytes of a file: 100,000 keys take about 10 MiB. sshd has no bound, but must not be led to one
that fills the memory.
"""


def read_authorized_keys(account: Account, config: ServerConfig) -> Iterator[AuthorizedKeys]:
    """Read the files of ``AuthorizedKeysFile`` that exist. Blocks.

    :raises AccountError: a file can't be trusted or read; the message says why.
    """
    for pattern in config.authorized_keys_files:
        if pattern.lower() == "none":
            continue
        path = Path(account.home) / account.expand(pattern, "AuthorizedKeysFile")
        with rights_of(account):
            text = _read(path, account, strict=config.strict_modes)
        if text is not None:
            yield parse(text)


@contextmanager
def rights_of(account: Account) -> Iterator[None]:
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


def _read(path: Path, account: Account, *, strict: bool) -> bytes | None:
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
        if strict:
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
