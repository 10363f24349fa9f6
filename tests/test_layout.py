"""Every module with logic has a test module of its name: tests/<folder>/test_<module>.py.

Where the tests of a module fill several files, these are named test_<module>_<subject>.py.
"""

from __future__ import annotations

import ast
from pathlib import Path

import nacre

SOURCE = Path(nacre.__file__).parent
TESTS = Path(__file__).parent
LIST = TESTS / "untested_modules.txt"

_BRANCHES = (
    ast.If,
    ast.IfExp,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.Try,
    ast.Match,
    ast.BoolOp,
    ast.comprehension,
)


def has_logic(source: str) -> bool:
    """Tell whether a function of a module has a branch in it; all else is declarations."""
    functions = (
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    return any(isinstance(part, _BRANCHES) for one in functions for part in ast.walk(one))


def expected_test(module: str) -> Path:
    """Return the path below tests/ of the test of a module below src/nacre/."""
    return Path(module).with_name(f"test_{Path(module).name}")


def has_test(module: str) -> bool:
    """Tell whether a module has a test module of its name, or several."""
    expected = TESTS / expected_test(module)
    return expected.exists() or any(expected.parent.glob(f"{expected.stem}_*.py"))


def without_test() -> set[str]:
    """Return the modules with logic that have no test module of their name."""
    modules = (path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py"))
    return {
        module
        for module in modules
        if not module.endswith("__init__.py")
        and has_logic((SOURCE / module).read_text())
        and not has_test(module)
    }


def listed() -> set[str]:
    lines = LIST.read_text().splitlines()
    return {line for line in lines if line and not line.startswith("#")}


def test_every_new_module_has_a_test_module_of_its_name() -> None:
    missing = sorted(without_test() - listed())
    assert missing == [], f"write {[f'tests/{expected_test(each)}' for each in missing]}"


def test_the_list_of_modules_without_a_test_only_shrinks() -> None:
    stale = sorted(listed() - without_test())
    assert stale == [], f"remove from {LIST.name}: they have a test, no logic, or are gone"


def test_every_helper_is_in_the_index_of_the_readme() -> None:
    index = (TESTS / "README.md").read_text()
    helpers = [
        path.relative_to(TESTS).as_posix()
        for path in TESTS.rglob("*.py")
        if not path.name.startswith(("test_", "conftest", "__init__"))
    ]
    assert [helper for helper in helpers if f"`{helper}`" not in index] == []


def test_logic_is_a_branch_in_a_function() -> None:
    assert has_logic("def f(x):\n    return 1 if x else 2\n")
    assert has_logic("class A:\n    async def f(self):\n        for _ in self: pass\n")
    assert not has_logic("if X:\n    Y = 1\ndef f():\n    return g()\n")


if __name__ == "__main__":
    # Writes the list anew: python tests/test_layout.py (with src in PYTHONPATH).
    head = (
        "# Modules of src/nacre without tests/<folder>/test_<module>.py; this list only shrinks.\n"
    )
    LIST.write_text(head + "".join(f"{module}\n" for module in sorted(without_test())))
