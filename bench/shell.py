"""The accounts that sessions run as, with /bin/sh for their shell: who measures, and another."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SHELL = "/bin/sh"

OTHER = "nacre-bench"
"""An account for users who are not who measures; only root can serve them."""

_NUMBER = 31337


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
    other = f"{OTHER}:x:{_NUMBER}:{_NUMBER}::/:{SHELL}"
    accounts.write_text("\n".join([plain, other, *kept]) + "\n")
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
