from __future__ import annotations

import ast
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import nacre


def test_what_type_checkers_see_is_what_there_is() -> None:
    tree = ast.parse(Path(nacre.__file__).read_text())
    seen = {
        (node.module, alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("nacre.")
        for alias in node.names
    }
    assert seen == {(home, name) for home, names in nacre._HOMES.items() for name in names}


@pytest.mark.parametrize("name", sorted(nacre.__all__))
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(nacre, name) is not None
    assert name in dir(nacre)


def test_other_names_are_not() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        nacre.nonsense  # noqa: B018


def test_importing_nacre_imports_little() -> None:
    program = "import sys; before = set(sys.modules); import nacre; print(*set(sys.modules)-before)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
        env=environment,
    )
    loaded = {name for name in done.stdout.split() if name.startswith("nacre")}
    assert loaded <= {"nacre"}
    assert "asyncio" not in done.stdout.split()


def test_the_public_names_are_those_that_were_published() -> None:
    """A name that goes breaks programs: it leaves the list in a commit that CHANGELOG explains."""
    listed = (Path(__file__).parent / "public_names.txt").read_text().split("\n")
    gone = [
        line
        for line in filter(None, listed)
        if not hasattr(import_module(line.split()[0]), line.split()[1])
    ]
    assert gone == []
