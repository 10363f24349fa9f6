"""``nacre help``, and ``--help`` of the programs."""

from __future__ import annotations

import pytest

from cli.test_subcommands import run
from nacre.cli.help import command
from nacre.cli.help.options import COMMANDS


def test_an_overview(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run("nacre help", []) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("usage: nacre [-hV] command ...\n")
    assert [name for name in COMMANDS if f"  {name} " not in shown] == []


@pytest.mark.parametrize("words", [["ssh"], ["user"], ["user", "key", "add"], ["serve"]])
def test_a_program(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run("nacre help", words) == 0
    assert capsys.readouterr().out.startswith(f"usage: nacre {' '.join(words)} ")


@pytest.mark.parametrize("word", ["-h", "--help", "help"])
def test_its_own_page(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run("nacre help", [word]) == 0
    assert capsys.readouterr().out.startswith("usage: nacre help ")


def test_what_is_neither(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run("nacre help", ["ProxyJum"]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == (
        "nacre help: 'ProxyJum' is neither a program nor a keyword; did you mean ProxyJump?\n"
    )
    assert command.run("nacre help", ["zzzz"]) == 1
    assert "nacre help lists the programs" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["ssh", "sftp", "scp", "trace"])
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_programs_print_their_options(name: str, option: str) -> None:
    done = run(name, option)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: nacre {name} [-")
    assert "\nMessages:\n" in done.stdout


@pytest.mark.parametrize(
    ("words", "status", "reason"),
    [
        (["ssh"], 255, ""),
        (
            ["ssh", "-Z", "h"],
            255,
            "nacre ssh: option -Z not recognized: --help lists the options\n",
        ),
        (
            ["sftp", "-o"],
            255,
            "nacre sftp: option -o requires argument: --help lists the options\n",
        ),
        (["scp", "-X", "a=b", "a", "b"], 1, "nacre scp: -X a=b: give "),
        (["scp", "a"], 1, ""),
    ],
)
def test_a_wrong_command_line(words: list[str], status: int, reason: str) -> None:
    done = run(*words)
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr.startswith(reason)
    assert f"usage: nacre {words[0]} " in done.stderr or reason


@pytest.mark.parametrize(
    "words", [["ssh", "-V"], ["sftp", "-P", "1", "127.0.0.1"], ["scp", "-P1", "127.0.0.1:x", "."]]
)
def test_the_start_loads_no_help(words: list[str]) -> None:
    done = run(*words, python=("-X", "importtime"))
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "nacre.cli.common.arguments" in loaded
    assert [name for name in loaded if name.startswith("nacre.cli.help")] == []


def test_help_of_ssh_needs_no_click() -> None:
    done = run("help", "ssh", python=("-X", "importtime"))
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert done.returncode == 0
    assert "nacre.cli.help.command" in loaded
    assert "click" not in loaded
