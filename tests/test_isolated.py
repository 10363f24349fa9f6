"""Further processes of Python: what they import, and where they do not look for it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from interop.programs import check
from nacre.isolated import isolated, with_modules


def test_neither_a_working_directory_nor_a_variable_decides_what_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("json.py", "nacre.py", "sitecustomize.py"):
        (tmp_path / name).write_text("raise SystemExit('this one was imported')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    code = with_modules("import json, nacre.errors, cryptography; print(nacre.errors.__file__)")
    assert os.path.join("nacre", "errors.py") in check(isolated(code)).decode()
