"""The command ``nacre`` and its subcommands."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from nacre._version import __version__
from nacre.cli.help.options import COMMANDS
from nacre.cli.subcommands import command

PROGRAM = "from nacre.cli.main import main; main()"


def run(*words: str, python: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *python, "-c", PROGRAM, *words],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def test_the_help_has_every_subcommand() -> None:
    done = CliRunner().invoke(command, ["-h"])
    assert done.exit_code == 0
    assert [name for name in COMMANDS if f"  {name} " not in done.output] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_subcommand_loads_and_has_help(name: str) -> None:
    found = command.get_command(click.Context(command), name)
    assert found is not None
    assert found.name == name
    done = CliRunner().invoke(command, [name, "--help"])
    assert done.exit_code == 0
    assert done.output.lower().startswith("usage: ")


def test_an_unknown_subcommand_is_a_usage_error() -> None:
    done = CliRunner().invoke(command, ["frobnicate"])
    assert done.exit_code == 2
    assert "No such command 'frobnicate'" in done.output


def test_the_version() -> None:
    done = run("--version")
    assert (done.returncode, __version__ in done.stdout) == (0, True)


@pytest.mark.parametrize(
    ("name", "words", "status"),
    [
        *(("ssh", ["-V"], 0), ("sftp", [], 1), ("scp", [], 1)),
        *(("sftp-server", ["-x"], 1), ("sshd", ["-V"], 0)),
    ],
)
def test_programs_start_without_click(name: str, words: list[str], status: int) -> None:
    done = run(name, *words, python=("-X", "importtime"))
    assert done.returncode == status
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "nacre.cli.common.start" in loaded
    assert "click" not in loaded
    assert "asyncio" not in loaded


def test_programs_have_their_help_through_the_group() -> None:
    done = run("ssh", "--help")
    assert done.returncode == 0
    assert done.stdout.startswith("usage: ")
