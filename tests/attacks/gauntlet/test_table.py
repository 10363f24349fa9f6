"""The table of public vulnerabilities: each row has its test, and the page shows the rows."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache

from attacks.gauntlet.table import ATTACKS, BEGIN, END, PAGE, TESTS, shown, table


@cache
def functions(file: str) -> frozenset[str]:
    """Return the names of a file's tests."""

    def names(tree: ast.AST) -> Iterator[str]:
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node.name

    return frozenset(names(ast.parse((TESTS / file).read_text())))


def test_each_attack_has_its_test() -> None:
    missing = [one for one in ATTACKS if one.function not in functions(one.file)]
    assert missing == []
    assert all(one.function.startswith("test_") for one in ATTACKS)


def test_each_row_is_a_sentence_in_its_column() -> None:
    assert [one for one in ATTACKS if not re.fullmatch(r"[A-Z][^|]*[^.|]\.", one.does)] == []
    assert {one.row().count("|") for one in ATTACKS} == {6}


def test_each_vulnerability_has_one_row_in_their_order() -> None:
    numbers = [tuple(map(int, attack.number.split("-"))) for attack in ATTACKS]
    assert numbers == sorted(set(numbers))
    assert len(numbers) >= 40
    assert {attack.attacked for attack in ATTACKS} == {"server", "client", "both", "agent"}


def test_the_page_shows_the_table() -> None:
    """To write it anew: ``python tests/attacks/gauntlet/table.py``."""
    page = PAGE.read_text()
    assert page.count(BEGIN) == page.count(END) == 1
    assert table() in page
    assert page == shown()
