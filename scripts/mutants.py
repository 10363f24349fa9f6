"""Change the core a little, and see whether its tests notice: scripts/mutants.py --help

A mutant is a source file with one change: a comparison, a bound, an operator, a condition, a call
that is left out. It is killed when one of the tests that judge its file fails, and survives when
all of them pass: then a test is missing. ``mutants.toml`` has the files, the functions that are
changed, the tests, and the mutants that behave like the original.

Each mutant gets a process of pytest of its own, in a copy of the sources and tests, never in the
checkout. The exit status is 1 where more mutants survive than the bound allows, and 2 where the
tests fail without a change.
"""

from __future__ import annotations

import argparse
import ast
import copy
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import cache_from_source
from pathlib import Path
from queue import SimpleQueue
from textwrap import indent
from typing import NamedTuple, NoReturn, TypeAlias, TypeVar

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "scripts" / "mutants.toml"
PACKAGE = Path("src", "nacre")

MOST_SURVIVORS = 0.03
"""The share of mutants that may survive."""

SECONDS = 120
"""The time limit of a run. A mutant that takes longer hangs, which counts as killed."""

TESTS = "not (slow or interop or uppity or long)"
"""The mark expression of the tests that are run."""

# An order moves by its boundary: a test that notices that notices the opposite order, too.
_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
_LIMITING = {"min": "max", "max": "min"}

_UNTOUCHED = (ast.Raise, ast.Assert, ast.JoinedStr, ast.arguments)
"""What is not changed inside: texts of errors, what holds by construction, and defaults."""
_DECLARED = frozenset({"annotation", "args", "returns", "decorator_list", "type_params"})
"""Fields of statements that declare, and are not changed."""


class Part(NamedTuple):
    """A file of the core, and what judges it.

    :ivar file: below ``src/nacre``.
    :ivar only: the functions, methods and numbers of the module that are changed; empty for all.
    :ivar tests: files below ``tests``, or ``file::test``.
    :ivar equivalent: mutants that behave like the original: function, line and changed line.
    """

    file: str
    only: frozenset[str]
    tests: tuple[str, ...]
    equivalent: frozenset[tuple[str, str, str]]


class Mutant(NamedTuple):
    """A file with one change.

    :ivar name: the function, method or number that is changed.
    :ivar line: the number of the line.
    :ivar before: the statement, or the first line of a compound one; ``after``: the changed one.
    :ivar text: the whole file.
    """

    file: str
    name: str
    line: int
    before: str
    after: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.name}\n    {self.before}\n    {self.after}"


class Outcome(NamedTuple):
    """What became of the mutants of a part."""

    file: str
    mutants: int
    survivors: list[Mutant]


def parts() -> list[Part]:
    """Return what ``mutants.toml`` has."""
    return [
        Part(
            row["file"],
            frozenset(row.get("only", ())),
            tuple(row["tests"]),
            frozenset((e["name"], e["before"], e["after"]) for e in row.get("equivalent", ())),
        )
        for row in tomllib.loads(TABLE.read_text())["part"]
    ]


# --- making mutants ---

Node = TypeVar("Node", bound=ast.AST)
Place: TypeAlias = tuple[ast.AST, str, int | None]
"""Where a node is: its parent, the field, and the index if the field is a list."""


def mutants(file: str, text: str, only: frozenset[str] = frozenset()) -> Iterator[Mutant]:
    """Make every mutant of a file's text.

    :param only: names of functions, ``Class.method`` and numbers of the module; empty for all.
    :raises ValueError: a name is not there.
    """
    tree = ast.parse(text)
    found = dict(_named(tree))
    if missing := only - found.keys():
        raise ValueError(f"{file} has no {', '.join(sorted(missing))}")
    for name, top in found.items():
        if only and name not in only:
            continue
        for place, statement in _places(top):
            node = _at(place)
            before = _shown(statement)
            for other in _changes(node):
                _put(place, other)
                after = _shown(other if node is statement else statement)
                yield Mutant(file, name, node.lineno, before, after, _spliced(text, top))
            _put(place, node)


def _spliced(text: str, top: ast.stmt) -> str:
    """Return the text with a function, or an assignment, as it is in the tree."""
    lines = text.splitlines()
    first = min([top.lineno, *(one.lineno for one in getattr(top, "decorator_list", ()))])
    lines[first - 1 : top.end_lineno] = [indent(ast.unparse(top), " " * top.col_offset)]
    return "\n".join(lines) + "\n"


def _named(tree: ast.Module | ast.ClassDef, prefix: str = "") -> Iterator[tuple[str, ast.stmt]]:
    """Yield the functions and methods by their names, and the module's assignments of numbers."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from _named(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.Assign) and not prefix:
            yield ast.unparse(node.targets[0]), node


def _places(parent: ast.AST, owner: ast.stmt | None = None) -> Iterator[tuple[Place, ast.stmt]]:
    """Yield where a node may be changed, each with the statement that it belongs to."""
    if isinstance(parent, ast.stmt):
        owner = parent
    for field, value in ast.iter_fields(parent):
        if field in _DECLARED and isinstance(parent, ast.stmt):
            continue
        several = isinstance(value, list)
        for index, node in enumerate(value if several else [value]):
            if isinstance(node, ast.stmt | ast.expr):
                statement = node if isinstance(node, ast.stmt) else owner
                assert statement is not None
                yield (parent, field, index if several else None), statement
            if isinstance(node, ast.AST) and not isinstance(node, _UNTOUCHED):
                yield from _places(node, owner)


def _at(place: Place) -> ast.stmt | ast.expr:
    parent, field, index = place
    node: ast.stmt | ast.expr = getattr(parent, field)
    return node if index is None else getattr(parent, field)[index]


def _put(place: Place, node: ast.stmt | ast.expr) -> None:
    parent, field, index = place
    if index is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[index] = node


def _shown(statement: ast.AST) -> str:
    return ast.unparse(statement).splitlines()[0]


def _changes(node: ast.stmt | ast.expr) -> Iterator[ast.stmt | ast.expr]:
    """Yield what may stand in the place of a node."""
    if isinstance(node, ast.stmt):
        yield from _other_statements(node)
    if isinstance(node, ast.If | ast.While | ast.IfExp) and _plain(node.test):
        yield _with(node, test=ast.UnaryOp(ast.Not(), node.test))
    match node:
        case ast.Compare():
            for index, present in enumerate(node.ops):
                other = _COMPARISONS[type(present)]()
                yield _with(node, ops=[*node.ops[:index], other, *node.ops[index + 1 :]])
        case ast.BoolOp():
            # Tests that notice each operand notice "and" in the place of "or", too.
            for index in range(len(node.values)):
                rest = node.values[:index] + node.values[index + 1 :]
                yield _with(node, values=rest) if rest[1:] else rest[0]
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            yield node.operand
        case ast.BinOp() | ast.AugAssign() if type(node.op) in _OPERATORS:
            yield _with(node, op=_OPERATORS[type(node.op)]())
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=float(value)) if value:
            yield ast.Constant(2 * value)
        case ast.Constant(value=int(value)):
            yield ast.Constant(value + 1)
            if value:  # of a single value, the last one is the first one
                yield ast.Constant(value - 1)
        case ast.Call(func=ast.Name(name)) if name in _LIMITING:
            yield _with(node, func=ast.Name(_LIMITING[name]))


def _other_statements(node: ast.stmt) -> Iterator[ast.stmt]:
    match node:
        case ast.Return(value=None) | ast.Raise() | ast.Delete() | ast.AugAssign():
            yield ast.Pass()
        case ast.Return(value=value) if not isinstance(value, ast.Constant):
            yield ast.Return(ast.Constant(None))
        case ast.Expr(value=ast.Call() | ast.Await() | ast.Yield()):
            yield ast.Pass()
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript(), *_]):
            yield ast.Pass()
        case ast.Continue():
            yield ast.Break()
        case ast.Break():
            yield ast.Continue()


def _plain(test: ast.expr) -> bool:
    """Return whether a condition has no change of its own that turns it round."""
    return not isinstance(test, ast.Compare | ast.BoolOp | ast.UnaryOp | ast.Constant)


def _with(node: Node, **fields: object) -> Node:
    other = copy.copy(node)
    for name, value in fields.items():
        setattr(other, name, value)
    return other


# --- running their tests ---


# What every run imports is imported once: that takes longer than most of the tests.
_FRESH = multiprocessing.get_context("forkserver")
_FRESH.set_forkserver_preload(
    ["asyncssh.encryption", "hypothesis.strategies", "pytest_asyncio.plugin", "xdist.plugin"]
)


class Copy:
    """A copy of the sources and tests, in which one process of pytest runs at a time."""

    def __init__(self, root: Path, home: Path) -> None:
        """Copy what tests need of ``root`` to ``home``, a folder that is empty."""
        self._home = home
        self._output = home / "output"
        for folder in ("src", "tests"):
            shutil.copytree(root / folder, home / folder)
        shutil.copy(root / "pyproject.toml", home)

    def passes(self, tests: Sequence[str], seconds: float) -> bool:
        """Run tests in a process of their own, and return whether all passed within ``seconds``."""
        process = _FRESH.Process(target=_run, args=(self._home, tests, self._output))
        process.start()
        process.join(seconds)
        if process.exitcode is None and process.pid is not None:
            # The tests may have started processes, too.
            os.killpg(process.pid, signal.SIGKILL)
            process.join()
        return process.exitcode == 0

    def output(self) -> str:
        """Return what the last run printed."""
        return self._output.read_text()

    def survives(self, mutant: Mutant, tests: Sequence[str], seconds: float) -> bool:
        """Return whether the tests pass with the mutant in the place of its file."""
        path = self._home / PACKAGE / mutant.file
        text = path.read_text()
        self._write(path, mutant.text)
        try:
            return self.passes(tests, seconds)
        finally:
            self._write(path, text)

    def _write(self, path: Path, text: str) -> None:
        path.write_text(text)
        # Files of one size and second look the same to Python.
        Path(cache_from_source(str(path))).unlink(missing_ok=True)


def _run(home: Path, tests: Sequence[str], output: Path) -> NoReturn:
    """Be the process of a run: end with the exit status of pytest."""
    os.setsid()
    os.chdir(home)
    os.environ["PYTHONPATH"] = os.pathsep.join(str(home / folder) for folder in ("src", "tests"))
    with output.open("wb") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    # Compiled files are kept: compiling the package takes longer than most of its tests.
    sys.dont_write_bytecode = False
    import pytest

    options = ["-q", "-x", "-m", TESTS, "-p", "no:cacheprovider", "--hypothesis-profile", "mutants"]
    # The plugins are imported already. A mutant that loops hangs in one of its quick tests.
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning", "-o", f"timeout={SECONDS / 6}"]
    sys.exit(pytest.main([*options, *(f"tests/{test}" for test in tests)]))


def judge(part: Part, text: str, copies: SimpleQueue[Copy], pool: ThreadPoolExecutor) -> Outcome:
    """Run the tests of a part with each mutant of its file's text."""
    made = [
        mutant
        for mutant in mutants(part.file, text, part.only)
        if (mutant.name, mutant.before, mutant.after) not in part.equivalent
    ]

    def survives(mutant: Mutant) -> bool:
        home = copies.get()
        try:
            return home.survives(mutant, part.tests, SECONDS)
        finally:
            copies.put(home)

    survived = list(pool.map(survives, made))
    return Outcome(
        part.file, len(made), [m for m, lives in zip(made, survived, strict=True) if lives]
    )


def row(what: str, mutants: int, survived: int) -> str:
    """Return a line of the table."""
    share = 100 * survived / mutants if mutants else 0.0
    return f"{what:36} {mutants:7} {mutants - survived:7} {survived:9} {share:8.1f} %"


def main(arguments: Sequence[str]) -> int:
    """Judge the parts whose file contains one of the words, by default all; print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--only", default="", metavar="WORDS", help="parts of the files' names")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time (2)")
    given = parser.parse_args(arguments)
    words = given.only.split()
    chosen = [p for p in parts() if not words or any(word in p.file for word in words)]
    copies: SimpleQueue[Copy] = SimpleQueue()
    with tempfile.TemporaryDirectory() as home, ThreadPoolExecutor(given.jobs) as pool:
        for number in range(given.jobs):
            copies.put(Copy(ROOT, Path(home, str(number))))
        for part in chosen:
            first = copies.get()
            passed = first.passes(part.tests, SECONDS)
            copies.put(first)
            if not passed:
                print(f"{part.file}: its tests fail, or hang, without a change\n{first.output()}")
                return 2
        print(f"{'file':36} mutants  killed  survived  percent", flush=True)
        outcomes = []
        for part in chosen:
            # From a copy: the checkout may be edited meanwhile.
            text = Path(home, "0", PACKAGE, part.file).read_text()
            outcome = judge(part, text, copies, pool)
            outcomes.append(outcome)
            print(row(part.file, outcome.mutants, len(outcome.survivors)), flush=True)
    survivors = [mutant for outcome in outcomes for mutant in outcome.survivors]
    total = sum(outcome.mutants for outcome in outcomes)
    print(row("all", total, len(survivors)))
    for mutant in survivors:
        print(mutant)
    return 1 if len(survivors) > MOST_SURVIVORS * total else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
