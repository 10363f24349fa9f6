"""A state directory."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A directory whose path is longer than that of a socket may be."""
    state = tmp_path / ("long" * 30)
    state.mkdir(mode=0o700)
    return state
