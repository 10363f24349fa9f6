"""The pages have every option that the parsers take, and no other."""

from __future__ import annotations

import pytest

from nacre.cli.agent.arguments import LETTERS as AGENT
from nacre.cli.common import arguments, transfer_options
from nacre.cli.common.arguments import parse
from nacre.cli.help.options import COMMANDS
from nacre.cli.help.page import render
from nacre.cli.help.pages import ALONE, page
from nacre.cli.scp.command import LETTERS as SCP
from nacre.cli.sftp.command import LETTERS as SFTP
from nacre.cli.sshd.arguments import LETTERS as SSHD
from nacre.config.client.words import SCHEMA
from nacre.config.schema import Support
from nacre.errors import ConfigurationError
from nacre.sftp.server.restrictions import LETTERS as SFTP_SERVER

TAKEN = {
    "agent": AGENT + "h",
    "sftp-server": SFTP_SERVER + "hQ:",
    "sshd": SSHD,
    "ssh": arguments.LETTERS,
    "trace": arguments.LETTERS,
    "sftp": transfer_options.LETTERS + SFTP,
    "scp": transfer_options.LETTERS + SCP,
}

LONG: dict[str, set[str]] = {
    "agent": set(),
    "sftp-server": set(),
    "sshd": {"--config"},
    "trace": {"--profile", "--json", "--html", "--pcap", "--keylog"},
}
"""The long options of programs that have others than ``--profile``."""


def taken(letters: str) -> dict[str, bool]:
    """Return each option, and whether it takes a value."""
    return {
        letter: letters[at + 1 : at + 2] == ":"
        for at, letter in enumerate(letters)
        if letter != ":"
    }


@pytest.mark.parametrize("name", TAKEN)
def test_the_page_has_the_options_of_the_parser(name: str) -> None:
    rows = page(name).rows
    shown = {one[1]: bool(row.metavar) for row in rows for one in row.names if one[1] != "-"}
    assert shown == taken(TAKEN[name])
    longs = {one for row in rows for one in row.names if one.startswith("--")}
    assert longs == {"--help"} | LONG.get(name, {"--profile"})


@pytest.mark.parametrize("name", TAKEN)
def test_no_option_is_listed_twice(name: str) -> None:
    names = [one for row in page(name).rows for one in row.names]
    assert sorted(names) == sorted(set(names))
    assert sum(TAKEN[name].count(letter) for letter in taken(TAKEN[name])) == len(
        taken(TAKEN[name])
    )


@pytest.mark.parametrize("name", ["", "help", *TAKEN])
def test_each_line_fits_a_terminal(name: str) -> None:
    lines = render(page(name), f"nacre {name}").splitlines()
    assert [line for line in lines if len(line) > 80] == []


def test_what_an_option_stands_for_is_that_of_the_parser() -> None:
    for row in page("ssh").rows:
        if not row.stands or row.names[0][1] in arguments.ABSENT:
            continue
        value = {"-L": "1:h:2", "-R": "1:h:2", "-m": "hmac-sha1", "-c": "3des-cbc"}.get(
            row.names[0], "4"
        )
        found = parse([row.names[0], *([value] if row.metavar else []), "host"]).options
        assert len(found) == len(row.stands)
        assert all(map(str.startswith, found, row.stands)), row


def test_what_the_parser_refuses_is_marked() -> None:
    for row in page("ssh").rows:
        if row.text.endswith("(not supported)"):
            with pytest.raises(ConfigurationError, match="nacre does not support"):
                parse([row.names[0], *(["1"] if row.metavar else []), "host"])
    marked = {row.names[0][1] for row in page("ssh").rows if "(not supported)" in row.text}
    assert marked == set(arguments.ABSENT)


def test_what_has_no_effect_is_marked() -> None:
    for row in page("ssh").rows:
        if row.stands and row.names[0][1] not in arguments.ABSENT:
            keyword, _, given = row.stands[0].partition("=")
            idle = SCHEMA[keyword].support is not Support.HONOURED and given != "no"
            assert row.text.endswith("(no effect)") == idle, row


def test_every_command_has_a_page() -> None:
    for name in (*COMMANDS, *ALONE):
        assert page(name).name == name
        assert page(name).summary.endswith(".")


def test_there_is_no_page_of_what_is_no_program() -> None:
    with pytest.raises(KeyError):
        page("frobnicate")
    with pytest.raises(KeyError):
        page("ssh frobnicate")
