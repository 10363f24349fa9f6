"""Print the shape of the package, and fail where it exceeds a bound: scripts/shape.py [PACKAGE]

Lengths of functions leave out the docstring. Attributes are those that a class's own methods assign
on ``self``. Import circles count type-only and lazy imports.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "nacre"

FILES_IN_A_FOLDER = 16
LINES_IN_A_FILE = 600
LINES_IN_A_FUNCTION = 60
METHODS_IN_A_CLASS = 45
ATTRIBUTES_OF_A_CLASS = 20

NAMED_TWICE_ON_PURPOSE = {"blocking", "ssh1/messages.py"}
"""``nacre.blocking`` mirrors the library's names. SSH-1's messages have the names of its draft, and
are always written with their module (``msg.Disconnect``)."""


class Measured(NamedTuple):
    """A figure, and where it was found."""

    figure: int
    where: str


class Shape:
    """The figures of one package.

    :param root: the package's folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files: list[Measured] = []
        self.functions: list[Measured] = []
        self.methods: list[Measured] = []
        self.attributes: list[Measured] = []
        self.homes: dict[str, list[str]] = defaultdict(list)
        self.imports: dict[str, set[str]] = {}
        paths = sorted(root.rglob("*.py"))
        self._modules = {_module(root, path) for path in paths}
        for path in paths:
            self._read(path)

    def _read(self, path: Path) -> None:
        text = path.read_text()
        name = str(path.relative_to(self.root))
        self.files.append(Measured(text.count("\n"), name))
        tree = ast.parse(text)
        module = _module(self.root, path)
        self.imports[module] = set(self._imported(tree)) - {module}
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                self._add_class(node, name)
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                self.functions.append(Measured(_lines(node), f"{name}:{node.lineno} {node.name}"))

    def _add_class(self, node: ast.ClassDef, name: str) -> None:
        where = f"{name}:{node.lineno} {node.name}"
        methods = [m for m in node.body if isinstance(m, ast.FunctionDef | ast.AsyncFunctionDef)]
        stored = {
            part.attr
            for method in methods
            for part in ast.walk(method)
            if isinstance(part, ast.Attribute)
            and isinstance(part.ctx, ast.Store)
            and isinstance(part.value, ast.Name)
            and part.value.id == "self"
        }
        self.methods.append(Measured(len(methods), where))
        self.attributes.append(Measured(len(stored), where))
        self.homes[node.name].append(name)

    def _imported(self, tree: ast.AST) -> Iterator[str]:
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                yield from (one.name for one in node.names if one.name in self._modules)
            elif isinstance(node, ast.ImportFrom) and node.module is not None:
                for one in node.names:
                    inner = f"{node.module}.{one.name}"
                    found = inner if inner in self._modules else node.module
                    if found in self._modules:
                        yield found

    def folders(self) -> list[Measured]:
        """Return how many files each folder holds."""
        counts: dict[str, int] = defaultdict(int)
        for one in self.files:
            counts[str(Path(one.where).parent)] += 1
        return [Measured(n, name) for name, n in counts.items()]

    def doubles(self) -> list[Measured]:
        """Return the class names that several modules define, but for those on purpose."""
        found = []
        for name, homes in sorted(self.homes.items()):
            kept = [h for h in homes if not h.startswith(tuple(NAMED_TWICE_ON_PURPOSE))]
            if len(kept) > 1:
                found.append(Measured(len(kept), f"{name}: {', '.join(kept)}"))
        return found

    def circles(self) -> list[list[str]]:
        """Return the groups of modules that import each other, however far around."""
        reached = {module: self._reached(module) for module in self.imports}
        groups = {
            frozenset(other for other in found if module in reached[other])
            for module, found in reached.items()
            if module in found
        }
        return sorted(sorted(group) for group in groups)

    def _reached(self, module: str) -> set[str]:
        # The package's face names every public class for type checkers: no way leads through it.
        found: set[str] = set()
        waiting = list(self.imports[module])
        while waiting:
            one = waiting.pop()
            if one not in found and one != self.root.name:
                found.add(one)
                waiting += self.imports[one]
        return found


def _module(root: Path, path: Path) -> str:
    parts = (root.name, *path.relative_to(root).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    assert node.end_lineno is not None
    lines = node.end_lineno - node.lineno + 1
    if ast.get_docstring(node) is None:
        return lines
    first = node.body[0]
    assert first.end_lineno is not None
    return lines - (first.end_lineno - first.lineno + 1)


def _row(what: str, measured: list[Measured], bound: int) -> bool:
    """Print one line, and return whether all is within the bound."""
    figures = [one.figure for one in measured]
    highest = max(measured)
    over = [one for one in measured if one.figure > bound]
    twentieths = quantiles(figures, n=20, method="inclusive")
    print(
        f"{what:24} {len(figures):6,} median {median(figures):4.0f}  95% {twentieths[-1]:4.0f}  "
        f"max {highest.figure:4}  bound {bound:4}  {highest.where}"
    )
    for one in sorted(over, reverse=True):
        print(f"    over the bound: {one.figure} {one.where}")
    return not over


def main(root: Path) -> int:
    """Print the figures; returns 1 when a bound is broken."""
    shape = Shape(root)
    lines = sum(one.figure for one in shape.files)
    print(f"{len(shape.files)} files, {lines:,} lines")
    within = [
        _row("files a folder", shape.folders(), FILES_IN_A_FOLDER),
        _row("lines a file", shape.files, LINES_IN_A_FILE),
        _row("lines a function", shape.functions, LINES_IN_A_FUNCTION),
        _row("methods a class", shape.methods, METHODS_IN_A_CLASS),
        _row("attributes a class", shape.attributes, ATTRIBUTES_OF_A_CLASS),
    ]
    circles, doubles = shape.circles(), shape.doubles()
    print(f"import circles: {len(circles)}")
    for circle in circles:
        print(f"    {' <-> '.join(circle)}")
    print(f"class names defined more than once: {len(doubles)}")
    for one in doubles:
        print(f"    {one.where}")
    return 0 if all(within) and not circles and not doubles else 1


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else PACKAGE))
