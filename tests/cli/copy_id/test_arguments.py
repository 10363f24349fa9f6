"""The command line of ssh-copy-id."""

from __future__ import annotations

import pytest

from nacre.cli.copy_id.arguments import parse_arguments
from nacre.errors import ConfigurationError


def test_options() -> None:
    words = ["-f", "-n", "-s", "-x", "-i", "key", "-p", "2222", "-F", "file", "-t", "keys"]
    made = parse_arguments([*words, "-o", "User=bob", "alice@host"])
    assert (made.host, made.destination) == ("host", "alice@host")
    assert (made.identity, made.config_file, made.target) == ("key", "file", "keys")
    assert all((made.forced, made.dry_run, made.by_sftp, made.verbose))
    # Of one keyword the first counts, so -o comes before the destination.
    assert made.options == ["Port=2222", "User=bob", 'User="alice"', "LogLevel=DEBUG1"]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([], "name the host"),
        (["a", "b"], "too many arguments: a b"),
        (["-i", "a", "-i", "b", "host"], "one key at a time"),
        (["-p", "x", "host"], "-p"),
        (["-Z", "host"], "option -Z not recognized"),
    ],
    ids=str,
)
def test_what_is_refused(words: list[str], reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        parse_arguments(words)
