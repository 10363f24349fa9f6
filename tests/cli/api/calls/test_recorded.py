"""Calls about recordings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.api.recordings.kept import link_to, write
from nacre.cli.api.call import CheckedCall, Problem, Resources
from nacre.cli.api.calls.recorded import list_recordings


@pytest.fixture
def resources(tmp_path: Path) -> Iterator[Resources]:
    directory = tmp_path / "recordings"
    directory.mkdir()
    write(directory, "2030-01-02/a.cast", "alice", 1_893_500_000.0)
    write(directory, "2030-01-03/b.cast", "bob", 1_893_650_000.0)
    with link_to(directory) as link:
        found = Resources(tmp_path, link)
        yield found
        found.store.close()


def call(**query: Any) -> CheckedCall:
    return CheckedCall(query={"limit": 50, "after": "", **query})


def test_recordings_are_found_by_user_and_time(resources: Resources) -> None:
    def users(**query: Any) -> list[str]:
        found: Any = list_recordings(resources, call(**query))
        return [one["user"] for one in found["recordings"]]

    assert users() == ["bob", "alice"]
    assert users(user="alice") == ["alice"]
    assert users(since="2030-01-03") == ["bob"]
    with pytest.raises(Problem) as raised:
        users(since="soon")
    assert raised.value.status == 422


def test_a_server_that_records_nothing_says_so(tmp_path: Path) -> None:
    resources = Resources(tmp_path)
    with pytest.raises(Problem, match="--record") as raised:
        list_recordings(resources, call())
    assert raised.value.status == 409
    resources.store.close()
