"""Which columns a list of users or of groups has."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from nacre.cli.user.columns import LISTED_USERS, ListColumns, columns_option, list_rows
from nacre.cli.user.command import command

NAMES = ("name", "size", "taste", "secret", "color")
LISTED = ListColumns(
    names=NAMES,
    first=("name", "whole"),
    told=frozenset(("name", "secret")),
    made={"whole": lambda row: f"{row['size']}/{row['taste']}"},
    usual={"size": 1},
)
ROWS = [("a", 1, "sweet", "x", "red"), ("b", 1, "sour", "y", "red")]


def lines(
    capsys: pytest.CaptureFixture[str],
    rows: Iterable[tuple[object, ...]],
    names: tuple[str, ...] | None = None,
    *,
    as_json: bool = False,
) -> tuple[list[str], str]:
    kept = list(rows)
    list_rows(LISTED, lambda: kept, names, {"color": str.upper}, as_json=as_json)
    said = capsys.readouterr()
    return said.out.splitlines(), said.err


def test_columns_are_those_that_differ(capsys: pytest.CaptureFixture[str]) -> None:
    # What is usual, such as the size, is not worth a word.
    assert lines(capsys, ROWS) == (
        ["name  whole    taste", "a     1/sweet  sweet", "b     1/sour   sour"],
        "the same for all: color RED\n",
    )


def test_a_row_far_behind_makes_a_column(capsys: pytest.CaptureFixture[str]) -> None:
    many = [(f"n{number}", 1, "sweet", "x", "red") for number in range(2500)]
    assert lines(capsys, many)[0][0].split() == ["name", "whole"]
    assert lines(capsys, [*many, ("z", 1, "sweet", "x", "blue")])[0][0].split()[2:] == ["color"]


def test_no_rows(capsys: pytest.CaptureFixture[str]) -> None:
    assert lines(capsys, []) == ([], "")


def test_columns_that_were_given(capsys: pytest.CaptureFixture[str]) -> None:
    assert lines(capsys, ROWS, ("color", "name")) == (["color  name", "RED    a", "RED    b"], "")
    assert lines(capsys, ROWS, ("secret",)) == (["secret", "x", "y"], "")
    assert lines(capsys, ROWS, ("whole", "secret"))[0][1] == "1/sweet  x"


def test_json_has_all_columns_or_those_that_were_given(capsys: pytest.CaptureFixture[str]) -> None:
    whole = json.loads("".join(lines(capsys, ROWS, as_json=True)[0]))
    assert whole[0] == dict(zip(NAMES, ("a", 1, "sweet", "x", "RED"), strict=True))
    given = json.loads("".join(lines(capsys, ROWS, ("name", "whole"), as_json=True)[0]))
    assert given[1] == {"name": "b", "whole": "1/sour"}


def test_a_long_value_is_cut_in_a_column_that_nobody_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [ROWS[0], ("b", 1, "x" * 40, "y", "red")]
    assert lines(capsys, rows)[0][2].endswith(f"  {'x' * 29}...")
    assert lines(capsys, rows, ("taste",))[0][2] == "x" * 40


def test_what_all_have_can_not_change_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert "\x1b" not in lines(capsys, [("a", 1, "\x1b[2J", "x", "red")])[1]


@click.command()
@columns_option(LISTED)
def given(columns: tuple[str, ...] | None) -> None:
    click.echo(repr(columns))


@pytest.mark.parametrize(
    ("text", "columns"), [("whole,name,whole", ("whole", "name")), ("all", NAMES)]
)
def test_the_option(text: str, columns: tuple[str, ...]) -> None:
    assert CliRunner().invoke(given, ["--columns", text]).output == f"{columns}\n"
    assert CliRunner().invoke(given, []).output == "None\n"


@pytest.mark.parametrize("text", ["", "nothing", "name,,size", "name,all"])
def test_a_column_that_there_is_not(text: str) -> None:
    done = CliRunner().invoke(given, ["--columns", text])
    assert (done.exit_code, "write for example name,whole" in done.output) == (2, True)


@pytest.mark.parametrize(
    ("own", "state"),
    [
        ({}, ""),
        ({"password": 1, "keys": 1}, "password, 1 key"),
        ({"keys": 2, "disabled": 1}, "disabled, 2 keys"),
        ({"keys": 2, "expires": 1}, "expired, 2 keys"),
        ({"keys": 2, "expires": 0}, "2 keys"),
        ({"password": 1, "expires": int(time.time()) + 10**6}, "password"),
    ],
)
def test_the_state_of_a_user(own: dict[str, int], state: str) -> None:
    user = {"password": 0, "keys": 0, "disabled": 0, "expires": None} | own
    assert LISTED_USERS.made["state"](user) == state


@pytest.mark.parametrize(
    ("root", "home", "seen"), [("/r", "/h", "/r"), (None, "/h", "/h"), (None, None, "")]
)
def test_the_directory_of_a_user(root: str | None, home: str | None, seen: str) -> None:
    assert LISTED_USERS.made["directory"]({"root": root, "home": home}) == seen


def test_a_list_of_users_is_narrow(tmp_path: Path) -> None:
    def run(*words: str, typed: str = "") -> str:
        done = CliRunner().invoke(command, [*words, "--state", str(tmp_path / "s")], input=typed)
        assert done.exit_code == 0, done.output
        return done.output

    run("add", "alice", "--password-stdin", "--run-as", "root", "--read-only", typed="secret\n")
    one = run("list").splitlines()
    assert one == [
        "the same for all: run_as root, read_only yes",
        "name   groups  state     directory",
        "alice  -       password  -",
    ]
    run("add", "bob", "--password-stdin", "--run-as", "root", "--home", "/h", typed="secret\n")
    run("set", "bob", "--disable", "--max-sessions", "3")
    assert run("list").splitlines()[1:] == [
        "name   groups  state               directory  read_only  max_sessions",
        "alice  -       password            -          yes        -",
        "bob    -       disabled, password  /h         no         3",
    ]
    assert run("list", "--columns", "name,home").splitlines()[1:] == ["alice  -", "bob    /h"]
    assert len(run("list", "--columns", "all").splitlines()[0].split()) == len(LISTED_USERS.names)
