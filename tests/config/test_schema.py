import pytest

from nacre.config.client.words import SCHEMA
from nacre.config.schema import COMMAND_LINE, Origin
from nacre.errors import ConfigurationError


def test_a_place_is_told():
    assert str(Origin("a b", 7)) == "a b line 7"
    assert str(COMMAND_LINE) == "command line"
    assert str(Origin("f", 1).error("bad")) == "f line 1: bad"
    assert str(COMMAND_LINE.error("bad")) == "bad"


def test_a_word_is_found_in_any_spelling():
    assert SCHEMA.find("PORT") is SCHEMA["port"]


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("StrictHostKeyCheking", "did you mean StrictHostKeyChecking"),
        ("\x1b[31m", r"Bad configuration option: \\x1b\[31m$"),
        ("x" * 1_000_000, "Bad configuration option: x{100}"),
    ],
)
def test_an_unknown_word(written, message):
    with pytest.raises(ConfigurationError, match=message):
        SCHEMA.find(written)
