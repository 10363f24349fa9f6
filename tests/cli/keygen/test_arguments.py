"""The command line, in the forms that scripts write."""

from __future__ import annotations

import pytest

from nacre.cli.help.options import KEYGEN
from nacre.cli.keygen.arguments import FLAGS, VALUES, CommandLineError, parse_arguments
from nacre.errors import ConfigurationError


def parsed(line: str) -> tuple[dict[str, list[str]], list[str]]:
    options = parse_arguments(["" if word == "''" else word for word in line.split()])
    letters = [letter for letter in FLAGS + VALUES if letter in options]
    return {letter: options.values(letter) for letter in letters}, options.files


@pytest.mark.parametrize(
    ("line", "options", "files"),
    [
        ("-lf key", {"l": [""], "f": ["key"]}, []),
        ("-qN '' -t rsa -b2048", {"q": [""], "N": [""], "t": ["rsa"], "b": ["2048"]}, []),
        ("-lvv -v -f -", {"l": [""], "v": [""] * 3, "f": ["-"]}, []),
        ("-s ca -I id -V -1d:+1w -n a,b -Oone -O two=3 x.pub y.pub", None, ["x.pub", "y.pub"]),
        ("-s ca -I id x.pub -n a", {"s": ["ca"], "I": ["id"]}, ["x.pub", "-n", "a"]),
        ("-F [host]:22 -f file -- ", {"F": ["[host]:22"], "f": ["file"]}, []),
        ("-Y verify -f s -I me -n file -s sig -r krl", None, []),
        ("-k -f krl -s ca a b", None, ["a", "b"]),
        ("-Q -l -f krl a", None, ["a"]),
        ("-M generate -O bits=1024 out", None, ["out"]),
        ("-f a -f b", {"f": ["a", "b"]}, []),
    ],
)
def test_lines(line: str, options: dict[str, list[str]] | None, files: list[str]) -> None:
    found, rest = parsed(line)
    assert rest == files
    assert options is None or found == options


def test_values_and_what_they_are_without_an_option() -> None:
    options = parse_arguments(["-E", "MD5", "-a", "3", "-b", "1024", "-f", "x", "-f", "y"])
    assert (options.hash_name, options.rounds, options.bits) == ("md5", 3, 1024)
    assert str(options.file) == "y"
    options = parse_arguments([])
    assert (options.hash_name, options.rounds, options.bits) == ("sha256", 16, None)
    assert (options.file, options.value("f"), options.values("O")) == (None, None, [])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("-d", "option -d not recognized"),
        ("-f", "option -f requires argument"),
        ("-pc", "Can only have one of -p and -c"),
        ("-lR h", "Cannot use -l with -H or -R"),
        ("-s ca -I id", "Too few arguments"),
        ("file", "Too many arguments"),
    ],
)
def test_words_that_do_not_fit_together(line: str, said: str) -> None:
    with pytest.raises(CommandLineError, match=said):
        parsed(line)


@pytest.mark.parametrize(
    "line", ["-b 0", "-b x", "-b 4294967296", "-a 0", "-a 2049", "-E none", "-m x", "-M x"]
)
def test_bad_values(line: str) -> None:
    with pytest.raises(ConfigurationError, match=line) as caught:
        parsed(line)
    assert not isinstance(caught.value, CommandLineError)


def test_libraries_are_refused_with_another_way() -> None:
    with pytest.raises(ConfigurationError, match="no PKCS#11 libraries: give the token's keys to"):
        parsed("-D lib.so")


def test_the_help_has_every_option() -> None:
    shown = [label for group in KEYGEN.values() for label in group]
    flags = sorted(label[1] for label in shown if len(label) == 2)
    values = sorted(label[1] for label in shown if len(label) > 2 and not label.startswith("--"))
    assert (flags, values) == (sorted(FLAGS), sorted(VALUES))
