"""The help of the programs that click parses."""

from __future__ import annotations

import re

import click
import pytest
from click.testing import CliRunner

from nacre.cli.help.grouped import _GROUPS, Grouped, page_of_click, subcommands
from nacre.cli.help.page import Row
from nacre.cli.subcommands import command

PROGRAMS = ["serve", *subcommands("user")]


def options(name: str) -> list[click.Option]:
    found: click.Command | None = command
    for word in name.split():
        assert isinstance(found, click.Group)
        found = found.get_command(click.Context(found), word)
    assert found is not None
    return [one for one in found.params if isinstance(one, click.Option)]


def test_subcommands_of_subcommands_are_found() -> None:
    assert "user add" in PROGRAMS
    assert "user key add" in PROGRAMS
    assert subcommands("serve") == []


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_help_lists_every_option_with_one_line(name: str) -> None:
    done = CliRunner().invoke(command, [*name.split(), "--help"], prog_name="nacre")
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"usage: nacre {name} ")
    for option in options(name):
        for dashed in (*option.opts, *option.secondary_opts):
            shown = [
                line
                for line in lines
                if line.startswith("  ") and dashed in re.split(r"[ ,]+", line.split("  ")[1])
            ]
            assert len(shown) == 1, (dashed, shown)
            assert len(shown[0]) <= 100


def test_groups_name_options_that_exist() -> None:
    for name, groups in _GROUPS.items():
        known = {
            dashed
            for program in (name, *subcommands(name))
            for option in options(program)
            for dashed in option.opts
        }
        named = {dashed for group in groups.values() for dashed in group}
        assert named - known == set()


def test_h_is_help() -> None:
    assert CliRunner().invoke(command, ["serve", "-h"]).exit_code == 0
    assert CliRunner().invoke(command, ["user", "add", "-h"]).exit_code == 0


def test_the_rest_of_the_help_is_for_the_manual_page() -> None:
    @click.command("tool", cls=Grouped)
    @click.option("-a", "--all", "all_", is_flag=True, help="Take all. Otherwise one. Never none.")
    @click.option(
        "--kind", type=click.Choice(["x", "y"]), default="x", show_default=True, help="K."
    )
    @click.argument("name", required=False)
    def tool(all_: bool, kind: str, name: str | None) -> None:
        """Do it.

        A second
        paragraph.
        """

    ctx = click.Context(tool, info_name="tool")
    assert tool.get_help(ctx).splitlines() == [
        "usage: [-a] [--kind x|y] [--help] [NAME]".replace("usage: ", "usage: tool "),
        "",
        "Do it.",
        "",
        "A second paragraph.",
        "",
        "Options:",
        "  -a, --all   take all",
        "  --kind x|y  k (default: x)",
        "  --help      show this message and exit",
    ]


def test_further_sentences_are_kept() -> None:
    by_name = {row.names[0]: row for row in page_of_click("serve").rows}
    assert by_name["--ssh1-strict"] == Row(
        ("--ssh1-strict",),
        "",
        "refuse SSH-1 to users with two factors",
        "SSH-1 accepts either the password or the key of users who need both.",
    )
