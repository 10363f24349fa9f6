"""Words, quotes and flags of ``sftp``'s lines, and the table of commands."""

from __future__ import annotations

import pytest

from nacre.cli.sftp.lines import (
    COMMANDS,
    BadLine,
    decimal,
    help_text,
    octal,
    quoted,
    split,
    take_flags,
    unfinished,
)
from nacre.sftp.protocol.paths import literal


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a b  c", ["a", "b", "c"]),
        ("a\\ b", ["a b"]),
        ("'a b' \"c d\"", ["a b", "c d"]),
        ("'*' \\* *", ["\\*", "\\*", "*"]),
        ('"a\\"b"', ['a"b']),
        ("'a\\b'", ["a\\\\b"]),
        ("'a\\\\b'", ["a\\\\b"]),
        ("''", [""]),
        ("a #b # c", ["a"]),
        ("a#b", ["a#b"]),
    ],
)
def test_words(line: str, words: list[str]) -> None:
    assert split(line) == words


def test_what_is_quoted_is_one_word() -> None:
    for name in ("plain", "a b", "it's", '"', "*?[x]", "back\\slash", "#x", "tab\there"):
        for quote in ("", "'", '"'):
            (word,) = split(quote + quoted(name, quote) + quote)
            assert literal(word) == name


def test_flags() -> None:
    assert take_flags("get", ["-Rp", "a", "-b"]) == ({"R", "p"}, ["a", "-b"])
    assert take_flags("rm", ["--", "-a"]) == (frozenset(), ["-a"])
    with pytest.raises(BadLine, match="too many"):
        take_flags("cd", ["a", "b"])


@pytest.mark.parametrize(
    ("name", "words", "message"),
    [
        ("mkdir", [], "You must specify a path after a mkdir command."),
        ("rename", ["a"], "You must specify two paths after a rename command."),
        ("chmod", ["600"], "You must supply an argument and a path to the chmod command."),
        ("ls", ["-q"], "ls: Invalid flag -q"),
        ("pwd", ["a"], "pwd: too many arguments"),
    ],
)
def test_wrong_words_are_named(name: str, words: list[str], message: str) -> None:
    with pytest.raises(BadLine) as caught:
        take_flags(name, words)
    assert str(caught.value) == message


def test_the_last_word_of_a_line_that_is_not_complete() -> None:
    assert unfinished("get a\\ b") == (["get"], "a b", "")
    assert unfinished("get a ") == (["get", "a"], "", "")
    assert unfinished("get 'a b") == (["get"], "a b", "'")
    assert unfinished('get "a*') == (["get"], "a\\*", '"')
    with pytest.raises(BadLine, match="Unterminated quoted argument"):
        split("get 'a")


def test_numbers_of_commands() -> None:
    assert octal("0755", 0o7777, "chmod") == 0o755
    assert decimal("10", "chown") == 10
    for word in ("9", "-1", "10000", "x", ""):
        with pytest.raises(BadLine, match="numeric argument to the chmod command"):
            octal(word, 0o7777, "chmod")
    for word in ("-1", "x", "\u0663", ""):
        with pytest.raises(BadLine, match="numeric argument to the chown command"):
            decimal(word, "chown")


def test_the_help_has_every_command() -> None:
    text = help_text()
    assert [name for name in COMMANDS if COMMANDS[name].usage not in text] == []
