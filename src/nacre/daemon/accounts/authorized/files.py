"""Files of keys such as ``~/.ssh/authorized_keys``, read with the account's rights.

With ``StrictModes`` of sshd_config(5), a file that others than the account and root can write is
refused.
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nacre.config.kept import KeptFiles
from nacre.config.server.config import ServerConfig
from nacre.config.values import service
from nacre.daemon.accounts.accounts import Account
from nacre.errors import AccountError
from nacre.keys.authorized_keys import AuthorizedKeys, parse
from nacre.limits import MIB

_MAXIMUM = 64 * MIB
"""Bytes of a file: 100,000 keys take about 10 MiB. sshd has no bound, but must not be led to one
that fills the memory.
"""

_kept = KeptFiles[bytes](256, 16 * MIB)
"""The texts of files: a client may ask about many keys. A search parses what has the key alone."""


def read_authorized_keys(
    account: Account, config: ServerConfig, report: Callable[[str], None] = lambda problem: None
) -> Iterator[tuple[str, AuthorizedKeys]]:
    """Read the files of ``AuthorizedKeysFile`` that exist, with their names. Blocks.

    :param report: called with the reason why a file is not used, if others can write to it, say.
    :raises AccountError: a name has an unknown token.
    """
    for pattern in config.authorized_keys_files:
        if pattern.lower() == "none":
            continue
        path = own_path(pattern, "AuthorizedKeysFile", account)
        try:
            text = read_own(path, account, config)
        except AccountError as error:
            report(str(error))
            continue
        if text is not None:
            yield str(path), parse(text, service)


def own_path(pattern: str, keyword: str, account: Account) -> Path:
    """Return the name of a file that is relative to the home directory, with its tokens replaced.

    :raises AccountError: it has an unknown token.
    """
    return Path(account.home) / account.expand(pattern, keyword)


def read_own(path: Path, account: Account, config: ServerConfig) -> bytes | None:
    """Read a file of the account's with its rights; None if there is no such file. Blocks.

    :raises AccountError: it can't be trusted or read; the message says why.
    """
    with rights_of(account):
        return _read(path, account, strict=config.strict_modes)


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
        text = _kept.get(str(real), descriptor, _MAXIMUM, bytes)
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
