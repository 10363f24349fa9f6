"""Node sets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.errors import ConfigurationError
from nacre.fleet.nodesets import expand, fold, split


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("web", ["web"]),
        ("web[1-3]", ["web1", "web2", "web3"]),
        ("web[09-11,20]", ["web09", "web10", "web11", "web20"]),
        ("n[0-6/3].lan", ["n0.lan", "n3.lan", "n6.lan"]),
        ("r[1-2]n[1-2]", ["r1n1", "r1n2", "r2n1", "r2n2"]),
        ("b,a b", ["b", "a"]),
        ("[::1]:22", ["[::1]:22"]),
        ("alice@web[1-2]:2222", ["alice@web1:2222", "alice@web2:2222"]),
        ("", []),
    ],
)
def test_a_text_stands_for_its_names_in_order(text: str, names: list[str]) -> None:
    assert expand(text) == names


@pytest.mark.parametrize("text", ["web[3-1]", "web[1-]", "web[1-5/0]", "web[1", "web1]", "web[a]"])
def test_what_is_no_node_set_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigurationError, match="write for example"):
        expand(text)


@pytest.mark.parametrize("text", ["web[1-999999999]", "a[1-1000]b[1-1000]"])
def test_a_set_that_is_too_large_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="more than 100,000 hosts"):
        expand(text)


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["web01", "web02", "web03", "web07"], "web[01-03,07]"),
        (["web09", "web10", "web11"], "web[09-11]"),
        (["web9", "web10"], "web[9-10]"),
        (["web1", "db"], "db,web1"),
        (["192.0.2.1", "192.0.2.2"], "192.0.2.[1-2]"),
        (["a1b", "a2b"], "a[1-2]b"),
        ([], ""),
    ],
)
def test_names_that_differ_in_one_number_stand_together(names: list[str], text: str) -> None:
    assert fold(names) == text


NAMES = st.builds(
    "{}{}{}".format,
    st.sampled_from(["a", "b-", "c1x"]),
    st.sampled_from(["", "0", "00", "1", "01", "2", "9", "09", "10", "010", "99", "100"]),
    st.sampled_from(["", ".lan", ".1"]),
)


@given(st.lists(NAMES, max_size=12))
def test_a_folded_text_stands_for_the_same_names(names: list[str]) -> None:
    assert sorted(expand(fold(names))) == sorted(set(names))


def test_commas_within_brackets_separate_nothing() -> None:
    assert split("a[1,2],b c") == ["a[1,2]", "b", "c"]
