"""How long a denial takes."""

from __future__ import annotations

import asyncio

import pytest

from nacre.daemon.accounts.padding import DRAWN, LEAST, denied_late, padded


def test_the_time_depends_on_the_name_and_hides_what_was_done() -> None:
    names = [f"user{number}" for number in range(200)]
    times = {padded(0.0, name) for name in names}
    assert len(times) > 50
    assert all(LEAST <= time <= LEAST + DRAWN for time in times)
    for name in names:
        least = padded(0.0, name)
        assert padded(0.0004, name) == padded(0.002, name) == least
        assert padded(least * 1.5, name) == 2 * least
        assert padded(least * 3, name) == 4 * least


async def test_denials_wait_and_grants_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    async def answer(value: object) -> object:
        return value

    monkeypatch.setattr(asyncio, "sleep", sleep)
    granted: tuple[object, ...] = (True, "a key")
    for value in granted:
        assert await denied_late(answer(value), "alice") == value
    assert waited == []
    denied: tuple[object, ...] = (False, None)
    for value in denied:
        assert await denied_late(answer(value), "alice") is value
    assert len(waited) == 2
    assert all(0 < seconds <= LEAST + DRAWN for seconds in waited)
