"""Authorities whose certificates log in: TrustedUserCAKeys in sshd_config(5)."""

from __future__ import annotations

from nacre.errors import AccountError, KeyFormatError
from nacre.keys import PublicKey, load_public
from nacre.limits import MIB

_MOST = 16 * MIB


def trusts(path: str, authority: PublicKey) -> bool:
    """Return whether the file lists the key of an authority. Blocks.

    :raises AccountError: it can't be read, or a line before the key's is not a key, behind which
        sshd looks no further either.
    """
    try:
        with open(path, "rb") as file:
            text = file.read(_MOST + 1)
    except OSError as error:
        raise AccountError(f"TrustedUserCAKeys: can't read {path}: {error.strerror}") from error
    if len(text) > _MOST:
        raise AccountError(f"TrustedUserCAKeys: {path} has more than {_MOST} bytes")
    for number, line in enumerate(text.split(b"\n"), 1):
        line = line.strip()
        if not line or line.startswith(b"#"):
            continue
        try:
            if load_public(line)[0] == authority:
                return True
        except KeyFormatError as error:
            raise AccountError(f"TrustedUserCAKeys: {path} line {number}: {error}") from None
    return False
