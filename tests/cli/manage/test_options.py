"""The options that several commands have, and how these report errors."""

from __future__ import annotations

from datetime import datetime

import click
import pytest
from click.testing import CliRunner

from nacre.cli.manage.options import (
    STORE,
    json_option,
    print_each,
    reported,
    since_option,
    store_option,
    until_option,
)
from nacre.errors import StateError


@click.command()
@since_option("Only those since then.")
@until_option
@json_option
@reported
def command(since: int | None, until: int | None, as_json: bool) -> int:
    click.echo(f"{since} {until} {as_json}")
    if as_json:
        raise StateError("there is none")
    return 3 if since else 0


def test_times_are_in_microseconds() -> None:
    begin = int(datetime(2030, 12, 31).timestamp()) * 1_000_000
    done = CliRunner().invoke(command, ["--since", "2030-12-31", "--until", "2030-12-31"])
    assert done.output == f"{begin} {begin + 86400 * 1_000_000} False\n"


@pytest.mark.parametrize(("words", "status"), [([], 0), (["--since", "2030-12-31"], 3)])
def test_a_number_is_the_exit_status(words: list[str], status: int) -> None:
    assert CliRunner().invoke(command, words).exit_code == status


def test_an_error_is_a_message() -> None:
    done = CliRunner().invoke(command, ["--json"])
    assert (done.exit_code, done.output) == (1, "None None True\nError: there is none\n")


def test_what_is_no_time_is_refused() -> None:
    done = CliRunner().invoke(command, ["--since", "yesterday"])
    assert (done.exit_code, "write for example 2d" in done.output) == (2, True)


@pytest.mark.parametrize(
    ("as_json", "printed"), [(True, '{"n": 1}\n{"n": 2}\n'), (False, "number 1\nnumber 2\n")]
)
def test_what_is_found_is_printed_one_a_line(
    as_json: bool, printed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    print_each([1, 2], lambda one: {"n": one}, lambda one: f"number {one}", as_json=as_json)
    assert capsys.readouterr().out == printed


@click.command()
@store_option
def where() -> None:
    click.echo(click.get_current_context().meta[STORE] or "a file")


def test_a_shared_store_is_named_by_the_option_or_the_environment() -> None:
    environment = {"NACRE_STORE": "postgresql:///one"}
    assert CliRunner().invoke(where, env=environment).output == "postgresql:///one\n"
    words = ["--store", "postgresql:///two"]
    assert CliRunner().invoke(where, words, env=environment).output == "postgresql:///two\n"
    assert CliRunner().invoke(where, env={"NACRE_STORE": None}).output == "a file\n"
