from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.keys.patterns import match_list, matches


@pytest.mark.parametrize(
    ("text", "pattern", "expected"),
    [
        ("", "", True),
        ("", "*", True),
        ("", "?", False),
        ("a.example.com", "*.example.com", True),
        ("example.com", "*.example.com", False),
        ("host1", "host?", True),
        ("host", "host?", False),
        ("host12", "host?", False),
        ("[host]:2222", "[host]:*", True),
        ("h", "[host]", False),
        ("a*b", "a*b", True),
        ("abcbd", "a*b?", True),
        ("hosts", "host", False),
    ],
)
def test_matches(text: str, pattern: str, expected: bool) -> None:
    assert matches(text, pattern) is expected


letters = st.text("ab.[*?", max_size=12)


@pytest.mark.slow
@given(letters, letters)
def test_a_pattern_is_the_regular_expression_it_stands_for(text: str, pattern: str) -> None:
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    assert matches(text, pattern) == bool(re.fullmatch(expression, text, re.DOTALL))


def test_many_stars_cost_no_more_than_the_product_of_the_lengths() -> None:
    assert not matches("a" * 2000, "*a" * 200 + "b")


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["*.example.com"], True),
        (["*.example.com", "!a.*"], False),
        (["!a.*", "*.example.com"], False),
        (["!b.*", "*.example.com"], True),
        (["!b.*"], None),
        ([], None),
    ],
)
def test_a_negated_pattern_overrules(patterns: list[str], expected: bool | None) -> None:
    assert match_list("a.example.com", patterns) is expected
