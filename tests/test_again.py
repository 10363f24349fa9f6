"""The tests that failed are run again, alone: what that forgives, and what it does not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "again.py"
ONCE = """
from pathlib import Path

import pytest

def fails_first(name, times):
    file = Path(__file__).parent / name
    file.open("a").write("x")
    assert len(file.read_text()) > times

@pytest.mark.parametrize("number", range({unsteady}))
def test_unsteady(number):
    fails_first(f"unsteady{{number}}", 1)

@pytest.mark.parametrize("number", range({broken}))
def test_broken(number):
    fails_first(f"broken{{number}}", 2)
"""


@pytest.mark.parametrize(
    ("unsteady", "broken", "status"),
    [(1, 0, 0), (3, 0, 0), (4, 0, 1), (0, 1, 1), (1, 1, 1)],
    ids=["one", "three", "four", "one that fails again", "one of each"],
)
def test_what_passes_twice_alone_is_unsteady(
    tmp_path: Path, unsteady: int, broken: int, status: int
) -> None:
    (tmp_path / "test_made.py").write_text(ONCE.format(unsteady=unsteady, broken=broken))
    (tmp_path / "pytest.ini").write_text("[pytest]\n")

    def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *words]
        return subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
        )

    assert run("-m", "pytest", "-q").returncode == 1
    done = run(SCRIPT)
    assert done.returncode == status, done.stdout
    if unsteady + broken <= 3:
        assert done.stdout.count("UNSTEADY test_made.py::test_unsteady") == unsteady
        assert done.stdout.count("FAILED AGAIN test_made.py::test_broken") == broken


def test_without_a_run_nothing_is_forgiven(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, timeout=60)
    assert done.returncode == 1
