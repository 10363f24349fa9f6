"""The page of a program as text: the usage line, and options in groups."""

from __future__ import annotations

import pytest

from nacre.cli.help.page import Page, Row, groups_of, render, usage, words_of_usage

TABLE = {
    "First": {"-p PORT": "the port", "-v": "more", "-V": "version"},
    "Second": {"--profile a|b": "which", "-1": "one", "-h, --help": "this"},
}


def made(**changed: object) -> Page:
    groups = groups_of(TABLE, lambda letter: (f"Word{letter}",), "v", {("WordV",)}.__contains__)
    return Page("tool", "Do it.", ("host",), groups, **changed)  # type: ignore[arg-type]


def test_a_label_has_names_and_a_value() -> None:
    groups = made().groups
    assert groups["First"][0] == Row(("-p",), "PORT", "the port", stands=("Wordp",))
    assert groups["Second"][0] == Row(("--profile",), "a|b", "which", stands=("Wordprofile",))
    assert groups["Second"][2].names == ("-h", "--help")
    assert [row.label for row in made().rows] == [
        "-p PORT", "-v", "-V", "--profile a|b", "-1", "-h, --help",
    ]  # fmt: skip


def test_what_is_refused_says_so() -> None:
    assert made().groups["First"][1].text == "more (not supported)"


def test_what_has_no_effect_says_so() -> None:
    assert made().groups["First"][2].text == "version (no effect)"


def test_the_usage_has_flags_first_in_the_order_of_manual_pages() -> None:
    assert words_of_usage(made()) == ["[-1hVv]", "[-p PORT]", "[--profile a|b]", "host"]


def test_a_subcommand_is_no_option_of_the_usage() -> None:
    page = Page("", "Do it.", ("command",), {"Commands": (Row(("add",), "", "add one"),)})
    assert usage(page, "tool") == "usage: tool command"


@pytest.mark.parametrize("program", ["nacre ssh", "nacre-tool-with-a-name-that-is-rather-long"])
def test_usage_lines_fit_and_break_between_options(program: str) -> None:
    table = {"All": {f"-{letter} VALUE": "text" for letter in "abcdefghijklmn"}}
    page = Page("tool", "Do it.", ("host",), groups_of(table, lambda letter: (), "", bool))
    lines = usage(page, program).splitlines()
    assert len(lines) > 1
    assert max(map(len, lines)) <= 80
    assert all(line.count("[") == line.count("]") for line in lines)


def test_text_is_one_line_for_each_option() -> None:
    assert render(made(paragraphs=("Long " * 30,)), "tool").splitlines()[-9:] == [
        "First:",
        "  -p PORT  the port",
        "  -v       more (not supported)",
        "  -V       version (no effect)",
        "",
        "Second:",
        "  --profile a|b  which",
        "  -1             one",
        "  -h, --help     this",
    ]


def test_a_long_label_does_not_move_the_others() -> None:
    table = {"All": {"-a " + "x" * 40: "text", "-b": "other"}}
    page = Page("tool", "Do it.", (), groups_of(table, lambda letter: (), "", bool))
    lines = render(page, "tool").splitlines()
    assert lines[-2].endswith("xxx  text")
    assert lines[-1] == f"  {'-b':26}  other"
