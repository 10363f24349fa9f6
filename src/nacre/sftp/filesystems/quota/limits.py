"""How much a user may store and transfer, and how fast."""

from __future__ import annotations

import errno
import time
from collections.abc import Mapping
from typing import Any

from nacre.limits import KIB
from nacre.sftp.protocol.status import ToldError
from nacre.value import value

PERIODS = ("day", "week", "month", "total")
"""What transfers are added up over: times that begin at midnight UTC, weeks on Monday; or all."""

NAMES = ("quota_bytes", "quota_files", "transfer_up", "transfer_down", "rate_up", "rate_down")
"""The settings of a user that set a limit."""

PERIOD = "transfer_period"
"""The setting that says over which time transfers are added up."""

SHARED = "shared_"
"""How the names of the same settings begin where the members of a group share the limit."""

MOST_SHARED = 8
"""The most groups with shared limits that a user may be in: a session opens the ledger of each."""

SLOWEST = 4 * KIB
"""The least rate that can be set, in bytes a second: a write of 1 MiB waits four minutes then."""

LARGEST = (1 << 62) - 1
"""The largest number of bytes that can be set: a ledger has 63 bits for what is used."""

_DAY = 86400
_MONDAY = 4 * _DAY
"""The first Monday of the epoch."""


@value(kw_only=True)
class QuotaLimits:
    """Limits of one user, or of a group, for all sessions together. None sets no limit.

    :ivar group: the group whose members share them; None where they are the user's own.
    :ivar bytes: bytes of the user's files, or of the members' files.
    :ivar files: the user's files, directories and symbolic links.
    :ivar transfer_up: bytes that are written in one period; ``transfer_down`` those that are read.
    :ivar transfer_period: one of :data:`PERIODS`.
    :ivar rate_up: bytes a second that are written; ``rate_down`` those that are read.
    """

    group: str | None = None
    bytes: int | None = None
    files: int | None = None
    transfer_up: int | None = None
    transfer_down: int | None = None
    transfer_period: str = "month"
    rate_up: int | None = None
    rate_down: int | None = None

    @property
    def store(self) -> bool:
        """Whether they limit what is stored."""
        return self.bytes is not None or self.files is not None

    @property
    def up(self) -> bool:
        """Whether they limit how much, or how fast, is written."""
        return self.transfer_up is not None or self.rate_up is not None

    @property
    def down(self) -> bool:
        """Whether they limit how much, or how fast, is read."""
        return self.transfer_down is not None or self.rate_down is not None

    @property
    def any(self) -> bool:
        """Whether they limit anything."""
        return self.store or self.up or self.down


def limits_of(settings: Any) -> tuple[QuotaLimits, ...]:
    """Return the limits that hold for a user, in the order in which ledgers are locked.

    :param settings: a :class:`nacre.daemon.store.values.User`, where 0 is no limit.
    """
    own = _limits(None, *(getattr(settings, name) for name in (*NAMES, PERIOD)))
    return (own, *settings.shared) if own.any else settings.shared


def shared_limits(settings: Mapping[str, Any]) -> QuotaLimits:
    """Return the limits that the members of a group share.

    :param settings: the name and the settings of a group, where 0 is no limit.
    """
    values = (settings[SHARED + name] for name in (*NAMES, PERIOD))
    return _limits(settings["name"], *values)


def _limits(group: str | None, *values: Any) -> QuotaLimits:
    """Return limits with the values of :data:`NAMES` and of the period."""
    size, files, up, down, rate_up, rate_down = (value or None for value in values[:-1])
    return QuotaLimits(
        group=group,
        bytes=size,
        files=files,
        transfer_up=up,
        transfer_down=down,
        transfer_period=values[-1] or "month",
        rate_up=rate_up,
        rate_down=rate_down,
    )


def period_start(period: str, now: float) -> int:
    """Return when the period began in which ``now`` is, in seconds since the epoch; 0 for all.

    :param period: one of :data:`PERIODS`.
    """
    today = int(now) // _DAY * _DAY
    if period == "day":
        return today
    if period == "week":
        return (today - _MONDAY) // (7 * _DAY) * (7 * _DAY) + _MONDAY
    if period == "month":
        return today - (time.gmtime(today).tm_mday - 1) * _DAY
    return 0


def one_name() -> ToldError:
    """Return why a file of a user with a quota gets no further name."""
    return ToldError(errno.EOPNOTSUPP, "your files are counted, so each has one name: copy it")
