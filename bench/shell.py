"""The account that sessions run as: the one that measures, with /bin/sh for its shell."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SHELL = "/bin/sh"


@contextmanager
def plain_shell(directory: Path) -> Iterator[None]:
    """Let what is started meanwhile look its accounts up in a file where ours has :data:`SHELL`.

    sshd runs commands with the account's own shell, whatever that is, and takes no other.
    """
    accounts = directory / "passwd"
    me = pwd.getpwuid(os.getuid())
    lines = Path("/etc/passwd").read_text().splitlines()
    plain = f"{me.pw_name}:x:{me.pw_uid}:{me.pw_gid}::{me.pw_dir}:{SHELL}"
    kept = [line for line in lines if not line.startswith(f"{me.pw_name}:")]
    accounts.write_text("\n".join([plain, *kept]) + "\n")
    wrapped = {
        "LD_PRELOAD": "libnss_wrapper.so",
        "NSS_WRAPPER_PASSWD": str(accounts),
        "NSS_WRAPPER_GROUP": "/etc/group",
    }
    os.environ.update(wrapped)
    try:
        yield
    finally:
        for name in wrapped:
            del os.environ[name]
