"""Authorities whose certificates log in: TrustedUserCAKeys in sshd_config(5)."""

from __future__ import annotations

from nacre.errors import AccountError, KeyFormatError
from nacre.keys import PublicKey, load_public
from nacre.limits import MIB

_MOST = 16 * MIB


def trusts(path: str, authority: PublicKey) -> bool:
    """Return whether the file lists the key of an authority. Blocks.

    A line that is not a key is ignored, as in sshd.

    :raises AccountError: it can't be read.
    """
    try:
        with open(path, "rb") as file:
            text = file.read(_MOST + 1)
    except OSError as error:
        raise AccountError(f"TrustedUserCAKeys: can't read {path}: {error.strerror}") from error
    if len(text) > _MOST:
        raise AccountError(f"TrustedUserCAKeys: {path} has more than {_MOST} bytes")
    word = str(authority).split()[1].encode("ascii")
    return any(word in line and _is(line, authority) for line in text.split(b"\n"))


def _is(line: bytes, authority: PublicKey) -> bool:
    try:
        return load_public(line)[0] == authority
    except KeyFormatError:
        return False
