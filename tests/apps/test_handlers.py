"""The handlers that programs make, and what they need."""

from __future__ import annotations

from typing import Any

import pytest

import nacre.apps.handlers
from nacre.apps import prompt_handler, shell_handler, textual_handler


async def never(argument: Any) -> None:
    raise AssertionError("it must not be called")


@pytest.mark.parametrize(
    ("make", "package"),
    [
        (textual_handler, "textual"),
        (prompt_handler, "prompt_toolkit"),
        (shell_handler, "prompt_toolkit"),
    ],
)
def test_a_missing_package_is_named(
    monkeypatch: pytest.MonkeyPatch, make: Any, package: str
) -> None:
    monkeypatch.setattr(nacre.apps.handlers, "find_spec", lambda name: None)
    with pytest.raises(nacre.ConfigurationError, match=rf"{package} .* pip install 'nacre\[apps\]"):
        make(never)


@pytest.mark.parametrize("make", [textual_handler, prompt_handler, shell_handler])
def test_a_handler_runs_nothing_before_there_is_a_session(make: Any) -> None:
    assert make(never).running == 0
