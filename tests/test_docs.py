"""The documentation's links lead somewhere, and the files and names it mentions exist."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "nacre"

PAGES = sorted(
    path.relative_to(ROOT)
    for pattern in ("*.md", "docs/**/*.md", ".github/**/*.md")
    for path in ROOT.glob(pattern)
)

HISTORY = Path("CHANGELOG.md")
"""It names what there was, so only the new names of its tables are looked up."""

PLACEHOLDER = "NAME"
"""A part of paths that a reader fills in, as in ``ssh2/auth/NAME.py``."""

_FENCE = re.compile(r"^```.*?^```$|^~~~.*?^~~~$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
_CODE = re.compile(r"`([^`\n]+)`")
_FOLDERS = ("src/", "tests/", "docs/", "examples/", "scripts/", "bench/", ".ci/", ".github/")
_FILE = re.compile(r"[\w.-]+(?:/[\w.-]+)*\.(?:py|md|toml)")
_MODULE = re.compile(r"nacre(?:\.\w+)+")
_LOCATED = re.compile(r"\[`([\w/]+\.py)`\]\(([^()\s]+)\)((?:(?:,| and)? `[\w.]+`)+)")
_METHOD = re.compile(r"_?[A-Z]\w*[a-z]\w*\.[a-z_]\w*")
_MOVED = re.compile(r"^ *\| `(nacre\.runtime\.[\w.]+)` \| `(nacre\.[\w.]+)` \|", re.MULTILINE)


def _text(page: Path) -> str:
    """Return a page without its blocks of code, in one line."""
    return " ".join(_FENCE.sub("", (ROOT / page).read_text()).split())


def _slug(heading: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
    return re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")


def _anchors(page: Path) -> set[str]:
    """Return all anchors of a page; a heading that comes again has a number behind it."""
    seen: dict[str, int] = {}
    anchors = set()
    for heading in _HEADING.findall(_FENCE.sub("", page.read_text())):
        slug = _slug(heading)
        count = seen[slug] = seen.get(slug, -1) + 1
        anchors.add(f"{slug}-{count}" if count else slug)
    return anchors


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for target in _LINK.findall(_text(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (ROOT / page.parent / path).resolve() if path else ROOT / page
        there = linked.is_relative_to(ROOT) and linked.exists()
        if not there or (anchor and anchor not in _anchors(linked)):
            broken.append(target)
    assert not broken, f"{page} links to what is not there: {broken}"


def _exists(named: str) -> bool:
    return any((folder / named).exists() for folder in (ROOT, SOURCE, ROOT / "tests"))


@pytest.mark.parametrize("page", [page for page in PAGES if page != HISTORY], ids=str)
def test_files_that_are_named_exist(page: Path) -> None:
    # The text of a link may be short: the link itself is looked up.
    codes = _CODE.findall(_LINK.sub("", _text(page)))
    named = {code for code in codes if _FILE.fullmatch(code) or code.startswith(_FOLDERS)}
    missing = sorted(name for name in named if PLACEHOLDER not in name and not _exists(name))
    assert not missing, f"{page} names files that are not there: {missing}"


def _resolves(name: str) -> bool:
    """Tell whether ``name`` is a module, or an attribute of one."""
    parts = name.split(".")
    depth = 1
    while depth < len(parts) and hasattr(import_module(".".join(parts[:depth])), "__path__"):
        if find_spec(".".join(parts[: depth + 1])) is None:
            break
        depth += 1
    value: object = import_module(".".join(parts[:depth]))
    for part in parts[depth:]:
        if not hasattr(value, part):
            return part in getattr(value, "__annotations__", {})
        value = getattr(value, part)
    return True


@pytest.mark.parametrize("page", [page for page in PAGES if page != HISTORY], ids=str)
def test_modules_and_names_of_the_package_exist(page: Path) -> None:
    named = {
        name
        for code in _CODE.findall(_text(page))
        if (name := code.partition("(")[0]) and _MODULE.fullmatch(name)
    }
    missing = sorted(name for name in named if not _resolves(name))
    assert not missing, f"{page} names what the package does not have: {missing}"


@cache
def _defined(path: Path) -> frozenset[str]:
    """Return the names that a file defines: its own, and those of its classes."""
    return frozenset(_names(ast.parse(path.read_text()), ""))


def _names(node: ast.AST, prefix: str) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            yield prefix + child.name
            if isinstance(child, ast.ClassDef):
                yield from _names(child, f"{prefix}{child.name}.")
        elif isinstance(child, ast.AnnAssign) and isinstance(child.target, ast.Name):
            yield prefix + child.target.id
        elif isinstance(child, ast.Assign):
            yield from (prefix + one.id for one in child.targets if isinstance(one, ast.Name))


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_functions_are_where_the_page_says(page: Path) -> None:
    elsewhere = []
    for shown, target, names in _LOCATED.findall(_text(page)):
        path = (ROOT / page.parent / target).resolve()
        assert path == SOURCE / shown, f"{page} shows {shown} and links to {target}"
        defined = _defined(path)
        elsewhere += [f"{shown} {name}" for name in _CODE.findall(names) if name not in defined]
    assert not elsewhere, f"{page} names functions that are not in these files: {elsewhere}"


@pytest.mark.parametrize("page", [page for page in PAGES if page != HISTORY], ids=str)
def test_methods_that_are_named_exist(page: Path) -> None:
    defined = frozenset[str]().union(*map(_defined, SOURCE.rglob("*.py")))
    named = {code for code in _CODE.findall(_text(page)) if _METHOD.fullmatch(code)}
    assert sorted(named - defined) == []


def test_the_floors_are_those_of_the_contract() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = project["tool"]["importlinter"]["contracts"]
    layers = next(one["layers"] for one in contracts if one["type"] == "layers")
    shown = "\n".join(layers).replace("nacre.", "")
    assert f"```\n{shown}\n```" in (ROOT / "docs" / "architecture.md").read_text()


def test_what_moved_has_a_new_name_that_exists() -> None:
    moved = _MOVED.findall((ROOT / HISTORY).read_text())
    assert moved
    assert [new for _, new in moved if not _resolves(new)] == []
    assert [old for old, _ in moved if find_spec("nacre.runtime") is not None] == []


def test_the_diagrams_are_drawn_from_the_tables() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "diagrams.py", "--check"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_changed_diagram_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "architecture.md"
    shown = (ROOT / "docs" / "architecture.md").read_text()
    page.write_text(shown.replace("CHANNEL_DATA,", "", 1).replace("KEXINIT", "KEXOUT"))
    command: list[str | Path] = [sys.executable, ROOT / "scripts" / "diagrams.py", "--page", page]
    stale = subprocess.run([*command, "--check"], capture_output=True, timeout=60, check=False)
    assert stale.returncode == 1
    subprocess.run(command, capture_output=True, timeout=60, check=True)
    current = subprocess.run([*command, "--check"], capture_output=True, timeout=60, check=False)
    assert current.returncode == 0
