import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.config.syntax.lexer import quote, split, words
from nacre.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Port=22", ("Port", "22")),
        ("Port 22", ("Port", "22")),
        ("\tPort = 22 \r\n", ("Port", "22")),
        ('"Port" 22', ("Port", "22")),
        ("SetEnv A=b C=d", ("SetEnv", "A=b C=d")),
        ("SetEnv=A=b", ("SetEnv", "A=b")),
        ("Port", ("Port", "")),
        ("Port=", ("Port", "")),
        ("", ("", "")),
        ("# Port 22", ("", "")),
        ("=x", ("x", "")),
        ("= User = a", ("User", "a")),
        ("=", ("", "")),
        ("\fUser a", ("\fUser", "a")),
        ("User a\f", ("User", "a")),
    ],
)
def test_split(text, expected):
    assert split(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a  b", ["a", "b"]),
        ("a\tb", ["a", "b"]),
        ('"a b" c', ["a b", "c"]),
        ("'a b' c", ["a b", "c"]),
        ("\"a 'b' c\"", ["a 'b' c"]),
        ('x="a b"', ["x=a b"]),
        (r"a\ b", ["a b"]),
        (r'"say \"hi\""', ['say "hi"']),
        (r'"a\ b"', [r"a\ b"]),
        (r"C:\dir", [r"C:\dir"]),
        ("a # b", ["a"]),
        ("a#b #", ["a#b"]),
        ('""', [""]),
        ("", []),
    ],
)
def test_words(text, expected):
    assert words(text) == expected


@pytest.mark.parametrize("text", ['A="b', "it's", '"', "a 'b\""])
def test_a_quotation_mark_that_is_not_closed(text):
    with pytest.raises(ConfigurationError, match="quotation mark is not closed"):
        words(text)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_a_quoted_word_is_read_as_it_was(text):
    assert words(quote(text)) == [text]
