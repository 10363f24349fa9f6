"""Calls about second factors and usage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nacre.cli.api.call import CheckedCall, Problem, Resources
from nacre.cli.api.calls.factors import add_factor, remove_factor, show_usage
from nacre.daemon.store.values import StoredUser


@pytest.fixture
def resources(tmp_path: Path) -> Iterator[Resources]:
    found = Resources(tmp_path)
    found.store.add(StoredUser(name="alice", quota_bytes=1000))
    yield found
    found.store.close()


def call(name: str = "alice") -> CheckedCall:
    return CheckedCall(path={"name": name})


def test_a_factor_is_shown_once_and_removed(resources: Resources) -> None:
    made: Any = add_factor(resources, call())
    assert made["uri"].startswith("otpauth://totp/")
    assert f"secret={made['secret']}" in made["uri"]
    assert len(set(made["recovery"])) == 10
    assert resources.store.factors.check("alice", made["recovery"][0]) is None
    with pytest.raises(Problem, match="has a second factor already") as raised:
        add_factor(resources, call())
    assert raised.value.status == 409
    assert remove_factor(resources, call()) is None
    assert not resources.store.factors.enrolled("alice")
    with pytest.raises(Problem) as raised:
        remove_factor(resources, call())
    assert raised.value.status == 404


def test_usage_stands_beside_the_limits(resources: Resources) -> None:
    shown: Any = show_usage(resources, call())
    assert (shown["bytes"], shown["quota_bytes"], shown["quota_files"]) == (0, 1000, None)
    assert (shown["transfer_period"], shown["counted"]) == ("month", False)


@pytest.mark.parametrize("action", [add_factor, remove_factor, show_usage])
def test_who_is_not_there_has_neither(resources: Resources, action: Any) -> None:
    with pytest.raises(Problem) as raised:
        action(resources, call("nobody"))
    assert raised.value.status == 404
