"""The driver of mutation testing: what it changes, and how it judges a change."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from interop.peers import ROOT

# The processes that the driver starts import it by this name.
sys.path.append(str(ROOT / "scripts"))
DRIVER: Any = importlib.import_module("mutants")
PARTS = DRIVER.parts()
mutants: Callable[..., Any] = DRIVER.mutants


def changes(body: str) -> list[str]:
    """Return what becomes of the statement ``body`` of a function, one line for each mutant."""
    return [made.after for made in mutants("f.py", f"def f(a, b):\n    {body}\n")]


@pytest.mark.parametrize(
    ("body", "after"),
    [
        ("a < b", ["a <= b"]),
        ("a <= b < a", ["a < b < a", "a <= b <= a"]),
        ("a > b == a", ["a >= b == a", "a > b != a"]),
        ("a is not b in a", ["a is b in a", "a is not b not in a"]),
        ("a or not b", ["not b", "a", "a or b"]),
        ("a and b and a", ["b and a", "a and a", "a and b"]),
        ("a + 2", ["a - 2", "a + 3", "a + 1"]),
        ("a + 0.0 - 1.5", ["a + 0.0 + 1.5", "a - 0.0 - 1.5", "a + 0.0 - 3.0"]),
        ("a[0] % b", ["a[0] * b", "a[1] % b"]),
        ("min(a, -b)", ["pass", "max(a, -b)", "min(a, b)"]),
        ("a.b = True", ["pass", "a.b = False"]),
        ("a += b", ["pass", "a -= b"]),
        ("a()", ["pass"]),
        ("del a", ["pass"]),
        ("return a", ["return None"]),
        ("return None", []),
        ("return a if b else None", ["return None", "return a if not b else None"]),
        ("raise E(1 + 2)", ["pass"]),
        ("assert a < 2", []),
        ("a = f'{b + 1}'", []),
        ("if a: b()", ["if not a:", "pass"]),
        ("while a.b: break", ["while not a.b:", "continue"]),
    ],
)
def test_what_is_changed(body: str, after: list[str]) -> None:
    assert changes(body) == after


TEXT = """
N = 4

class A:
    M = 5
    def f(self, x=1):
        return 7
"""


def test_each_mutant_is_the_whole_file_with_one_change() -> None:
    made = list(mutants("f.py", TEXT))
    assert [(one.name, one.line, one.before, one.after) for one in made] == [
        ("N", 2, "N = 4", "N = 5"),
        ("N", 2, "N = 4", "N = 3"),
        ("A.f", 7, "return 7", "return 8"),
        ("A.f", 7, "return 7", "return 6"),
    ]
    for one in made:
        assert one.text.replace(one.after, one.before) == TEXT


def test_only_the_functions_that_are_named_are_changed() -> None:
    text = "def f():\n    return 1\ndef g():\n    return 2\n"
    assert {one.name for one in mutants("f.py", text, frozenset({"g"}))} == {"g"}
    with pytest.raises(ValueError, match=r"f\.py has no h"):
        list(mutants("f.py", text, frozenset({"g", "h"})))


@pytest.mark.parametrize("part", PARTS, ids=[part.file for part in PARTS])
def test_the_table_names_what_is_there(part: Any) -> None:
    text = (ROOT / "src" / "nacre" / part.file).read_text()
    made = {(one.name, one.before, one.after) for one in mutants(part.file, text, part.only)}
    assert made
    assert part.equivalent <= made, "remove what no mutant is like any more"
    assert all((ROOT / "tests" / test.partition("::")[0]).exists() for test in part.tests)


PROJECT = {
    "pyproject.toml": "[tool.pytest.ini_options]\npythonpath = ['src']\n"
    "markers = ['slow', 'interop', 'uppity']\n",
    "src/nacre/__init__.py": "",
    "src/nacre/f.py": "def f(a):\n    while a > 2:\n        a -= 1\n    return a\n",
    "tests/conftest.py": 'from hypothesis import settings\nsettings.register_profile("mutants")\n',
    "tests/test_f.py": "from nacre.f import f\n\ndef test_f():\n    assert f(4) == 2\n",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    for name, text in PROJECT.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.slow
def test_a_mutant_that_no_test_notices_survives(project: Path, tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    copy = DRIVER.Copy(project, tmp_path / "copy")
    assert copy.passes(["test_f.py"], 60)
    made = {one.after: one for one in mutants("f.py", PROJECT["src/nacre/f.py"])}
    assert not copy.survives(made["while a >= 2:"], ["test_f.py"], 60)
    assert not copy.survives(made["return None"], ["test_f.py"], 60)
    assert not copy.survives(made["a += 1"], ["test_f.py"], 3), "it hangs"
    unnoticed = made["return None"]._replace(text=PROJECT["src/nacre/f.py"] + "# the same\n")
    assert copy.survives(unnoticed, ["test_f.py"], 60)
    assert (tmp_path / "copy/src/nacre/f.py").read_text() == PROJECT["src/nacre/f.py"]


@pytest.mark.parametrize(
    ("passes", "survivors", "status", "words"),
    [
        (True, 3, 0, "f.py 100 97 3 3.0 %"),
        (True, 4, 1, "all 100 96 4 4.0 %"),
        (True, 4, 1, "f.py:3 f\n    while a > 2:\n    while a >= 2:"),
        (False, 0, 2, "f.py: its tests fail, or hang, without a change\nwhy"),
    ],
)
def test_three_of_a_hundred_may_survive(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    passes: bool,
    survivors: int,
    status: int,
    words: str,
) -> None:
    one = DRIVER.Mutant("f.py", "f", 3, "while a > 2:", "while a >= 2:", "")
    part = DRIVER.Part("f.py", frozenset(), ("test_f.py",), frozenset())
    monkeypatch.setattr(DRIVER, "ROOT", project)
    monkeypatch.setattr(DRIVER, "parts", lambda: [part, part._replace(file="other.py")])
    monkeypatch.setattr(DRIVER.Copy, "passes", lambda *_: passes)
    monkeypatch.setattr(DRIVER.Copy, "output", lambda _: "why")
    monkeypatch.setattr(DRIVER, "judge", lambda *_: DRIVER.Outcome("f.py", 100, [one] * survivors))
    assert DRIVER.main(["--only", "f.py"]) == status
    assert " ".join(words.split()) in " ".join(capsys.readouterr().out.split())


def test_mutants_that_are_listed_as_equivalent_are_left_out() -> None:
    class Notices:
        def survives(self, mutant: Any, tests: Any, seconds: float) -> bool:
            return bool(mutant.after == "return 8")

    copies: SimpleQueue[Any] = SimpleQueue()
    copies.put(Notices())
    part = DRIVER.Part("f.py", frozenset(), (), frozenset({("f", "return 7", "return 6")}))
    with ThreadPoolExecutor(2) as pool:
        outcome = DRIVER.judge(part, "def f():\n    a()\n    return 7\n", copies, pool)
    assert outcome.mutants == 2
    assert [one.after for one in outcome.survivors] == ["return 8"]
