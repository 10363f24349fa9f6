"""Functions in Python that answer questions."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Any

import pytest

from nacre.daemon.accounts.directories import python
from nacre.daemon.accounts.directories.python import load_function
from nacre.errors import ConfigurationError


def test_an_object_of_a_module() -> None:
    assert load_function("json:dumps")({"a": 1}) == '{"a": 1}'
    assert callable(load_function("json:JSONDecoder.decode"))


def test_an_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    def entry_points(**given: str) -> Any:
        assert given == {"group": "nacre.policy", "name": "corporate"}
        return [EntryPoint("corporate", "json:loads", "nacre.policy")]

    monkeypatch.setattr(python, "entry_points", entry_points)
    assert load_function("corporate")("[1]") == [1]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nacre_no_module:answer", "No module named"),
        ("json:nothing", "has no attribute"),
        ("json:__name__", "no function"),
        ("nacre-no-entry", "no package has the entry point"),
    ],
)
def test_what_is_none(text: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        load_function(text)
