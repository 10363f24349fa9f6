"""The version of SFTP with a number, which INIT and VERSION choose."""

from __future__ import annotations

from nacre.sftp.protocol.messages import LATEST_VERSION, VERSION_3
from nacre.sftp.protocol.versions import THIRD, Version


def version(number: int) -> Version:
    """Return a version by its number, 3 to 6; what later ones than 3 need is loaded for them.

    :raises ValueError: there is no such version, or none that is supported.
    """
    if number == VERSION_3:
        return THIRD
    if not VERSION_3 < number <= LATEST_VERSION:
        raise ValueError(f"version {number} of SFTP is not supported: give 3 to {LATEST_VERSION}")
    from nacre.sftp.protocol.later import LATER

    return LATER[number]
