"""The operator's key for what is encrypted at rest: files, and secrets in a shared store."""

from __future__ import annotations

import os
import re
import stat

from nacre.errors import AccountError
from nacre.wire.text import safe

_KEY = re.compile(rb"([0-9a-fA-F]{64})\s*")
_LONGEST = 256
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK


def read_file_key(path: str, of: str = "encrypted files") -> str:
    """Return the key of a file: 64 hexadecimal digits, which stand for 32 bytes. Blocks.

    :param of: what it is the key of, for messages.
    :raises AccountError: it can't be read, others may read it, or it is no key; the message says
        what to do, and nothing of the content.
    """
    shown = safe(path, 256)
    try:
        with open(os.open(path, _FLAGS), "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(_LONGEST) if stat.S_ISREG(mode) else b""
    except OSError as error:
        raise AccountError(
            f"can't read the key {shown} of {of}: {error.strerror}; make one with "
            f"`(umask 077; openssl rand -hex 32 > {shown})`"
        ) from None
    if stat.S_IMODE(mode) & 0o077:
        raise AccountError(f"others may read the key {shown} of {of}: `chmod 600 {shown}`")
    found = _KEY.fullmatch(text)
    if found is None:
        raise AccountError(
            f"{shown} has no key: it must be 64 hexadecimal digits, as `openssl rand -hex 32` "
            "prints them"
        )
    return found[1].decode().lower()
