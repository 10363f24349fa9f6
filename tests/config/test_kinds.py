import pytest

from nacre.config import kinds
from nacre.config.values import LogLevel
from nacre.errors import ConfigurationError


@pytest.mark.parametrize(
    ("kind", "text", "value", "shown"),
    [
        (kinds.YES_NO, "TRUE", True, "yes"),
        (kinds.TRUE_FALSE, "no", False, "false"),
        (kinds.number(0), "7", 7, "7"),
        (kinds.SECONDS, "1m", 60, "60"),
        (kinds.TIMEOUT, "none", None, "none"),
        (kinds.MASK, "077", 0o77, "077"),
        (kinds.MASK, "0", 0, "00"),
        (kinds.FILES, "None", (), "none"),
        (kinds.FILES, "a b", ("a", "b"), "a b"),
        (kinds.ASSIGNMENTS, "A=1 B=", (("A", "1"), ("B", "")), ["A=1", "B="]),
        (kinds.LOG_LEVEL, "debug1", LogLevel.DEBUG1, "DEBUG"),
    ],
)
def test_there_and_back(kind, text, value, shown):
    assert kind.parse("X", text.split()) == value
    assert kind.show(value) == shown


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (kinds.YES_NO, "maybe"),
        (kinds.YES_NO, "yes no"),
        (kinds.number(1, 9), "0"),
        (kinds.MASK, "1777"),
        (kinds.ASSIGNMENTS, "A"),
        (kinds.NAMES, "a,,b"),
    ],
)
def test_a_bad_value_names_its_keyword(kind, text):
    with pytest.raises(ConfigurationError, match=r"^Keyword: "):
        kind.parse("Keyword", text.split())
