"""The process that calls a function of Python; its answers are in test_entry_point.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.hooks import calls
from nacre.daemon.hooks.caller import GROUP, find


def test_a_function_is_found_by_its_module() -> None:
    assert find("daemon.hooks.calls:note") is calls.note


def test_a_function_is_found_as_an_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "mine-1.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Name: mine\nVersion: 1\n")
    (package / "entry_points.txt").write_text(f"[{GROUP}]\nmine = daemon.hooks.calls:note\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert find("mine") is calls.note
    with pytest.raises(LookupError, match="entry point yours"):
        find("yours")
