"""A directory that is a function in Python, which gets the questions that a program would get."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from nacre.errors import ConfigurationError

GROUP = "nacre.policy"
"""The group of the entry points that packages may have such functions as."""


def load_function(text: str) -> Callable[[Mapping[str, object]], Any]:
    """Return the function that a text names: ``MODULE:OBJECT``, or an entry point.

    It runs in this process, with this process's rights, and in several threads at a time.

    :raises ConfigurationError: there is none.
    """
    module, _, name = text.partition(":")
    try:
        found = _object(module, name) if name else _entry_point(module)
    except Exception as error:  # an import runs anything
        reason = f"{type(error).__name__}: {error}"
        raise ConfigurationError(f"--users python:{text}: {reason}") from error
    if not callable(found):
        raise ConfigurationError(f"--users python:{text}: it is no function")
    return found  # type: ignore[no-any-return]  # whether it takes a question shows when it is called


def _object(module: str, name: str) -> Any:
    found = import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _entry_point(name: str) -> Any:
    found = entry_points(group=GROUP, name=name)
    if not found:
        raise LookupError(f"no package has the entry point {name} in the group {GROUP}")
    return next(iter(found)).load()
