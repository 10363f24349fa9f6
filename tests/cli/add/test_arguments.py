"""The command line of ssh-add."""

import pytest

from nacre.cli.add.arguments import AddRefused, AddUsageError, parse_arguments
from nacre.errors import ConfigurationError


def test_options_come_before_files() -> None:
    options = parse_arguments(["-qc", "-t", "1h", "-h", "a", "-hb", "one", "-d"])
    assert (options.files, options.lifetime) == (["one", "-d"], 3600)
    assert "c" in options
    assert "d" not in options
    assert (options.values("h"), options.values("H")) == (["a", "b"], [])
    assert (options.value("h"), options.value("S")) == ("b", None)


@pytest.mark.parametrize("words", [["-t"], ["-z"], ["--what"]])
def test_what_is_no_option_is_refused_with_the_usage(words: list[str]) -> None:
    with pytest.raises(AddUsageError):
        parse_arguments(words)


@pytest.mark.parametrize("words", [["-l", "-L"], ["-ll"], ["-x", "-X"], ["-l", "-D"], ["-xD"]])
def test_actions_exclude_each_other(words: list[str]) -> None:
    with pytest.raises(ConfigurationError):
        parse_arguments(words)


@pytest.mark.parametrize("time", ["", "no", "-1", "99999999w"])
def test_a_lifetime_that_is_none(time: str) -> None:
    with pytest.raises(AddRefused, match="Invalid lifetime"):
        parse_arguments(["-t", time])


def test_the_hash_of_fingerprints() -> None:
    assert parse_arguments(["-E", "MD5"]).hash_name == "md5"
    with pytest.raises(ConfigurationError, match="Invalid hash algorithm"):
        parse_arguments(["-E", "crc"])
