"""Limits, and the periods of transfers."""

from __future__ import annotations

import calendar
from dataclasses import asdict

import pytest

from nacre.daemon.store.values import Group, User
from nacre.sftp.filesystems.quota.limits import QuotaLimits, limits_of, period_start, shared_limits


def at(*when: int) -> int:
    return calendar.timegm((*when, *(0,) * (6 - len(when))))


@pytest.mark.parametrize(
    ("period", "now", "start"),
    [
        ("day", (2026, 3, 15, 23, 59, 59), (2026, 3, 15)),
        ("day", (2026, 3, 16), (2026, 3, 16)),
        ("week", (2026, 3, 15, 23, 59, 59), (2026, 3, 9)),
        ("week", (2026, 3, 16), (2026, 3, 16)),
        ("month", (2024, 2, 29, 12), (2024, 2, 1)),
        ("month", (2024, 3, 1), (2024, 3, 1)),
        ("total", (2024, 3, 1), (1970, 1, 1)),
    ],
)
def test_periods_begin_at_midnight_utc(
    period: str, now: tuple[int, ...], start: tuple[int, ...]
) -> None:
    assert period_start(period, at(*now)) == at(*start)


def test_a_user_without_limits_has_none() -> None:
    assert limits_of(User(name="alice")) == ()
    assert limits_of(User(name="alice", quota_bytes=0, rate_up=0, transfer_period="day")) == ()


def test_the_limits_of_a_user() -> None:
    (stored,) = limits_of(User(name="alice", quota_files=3, rate_down=0))
    assert stored == QuotaLimits(files=3)
    assert (stored.store, stored.up, stored.down) == (True, False, False)
    (sent,) = limits_of(User(name="alice", transfer_up=5, rate_down=6, transfer_period="week"))
    assert sent == QuotaLimits(transfer_up=5, rate_down=6, transfer_period="week")
    assert (sent.store, sent.up, sent.down) == (False, True, True)
    assert QuotaLimits(**asdict(sent)) == sent


def test_what_a_group_shares_comes_after_the_limits_of_the_user() -> None:
    staff = shared_limits(asdict(Group(name="staff", shared_rate_up=5000, shared_quota_bytes=0)))
    assert staff == QuotaLimits(group="staff", rate_up=5000)
    assert limits_of(User(name="alice", shared=(staff,))) == (staff,)
    own = QuotaLimits(bytes=7)
    assert limits_of(User(name="alice", quota_bytes=7, shared=(staff,))) == (own, staff)
    assert not shared_limits(asdict(Group(name="guests", quota_bytes=7))).any
