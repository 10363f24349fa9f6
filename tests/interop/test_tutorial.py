"""The tutorial works as it is typed: each command of its page, in order, in an empty home."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from interop.programs import environment, require

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.timeout(460)]

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"
PORTS = ("2222", "2223", "5000", "5100")
"""What the page listens on: free ports stand for them here."""

_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LIMIT = 400.0
"""Seconds that all of it may take."""

_END = "\x1e"


@dataclass
class Typed:
    """A command of the page, and what the page shows below it."""

    command: str
    shown: str = ""


def typed(page: str) -> Iterator[Typed]:
    """Return the commands of a page in order."""
    for block in _BLOCK.findall(page):
        command: Typed | None = None
        for line in block.splitlines(keepends=True):
            if line.startswith("$ "):
                if command is not None:
                    yield command
                command = Typed(line[2:])
                continue
            assert command is not None, f"an answer without a command: {line!r}"
            if line.startswith("> ") and not command.shown:
                command.command += line[2:]
            else:
                command.shown += line
        if command is not None:
            yield command


def fits(shown: str, printed: str) -> bool:
    """Tell whether an answer is as the page shows it.

    ``…`` stands for anything in its line, and alone in a line for any lines. How many blanks are
    between two columns depends on what is in others.
    """
    lines = []
    for line in shown.splitlines():
        if line == "…":
            lines.append(r"(?:[^\n]*\n)*")
            continue
        # A blank of the page is one or more; beside a placeholder it may be none.
        words = [r"[^\n]*".join(map(re.escape, word.split("…"))) for word in line.split()]
        lines.append(" *" + re.sub(r" \+(?=\[)|(?<=\*) \+", " *", " +".join(words)) + " *\n")
    return re.fullmatch("".join(lines), printed) is not None


def free_ports() -> list[str]:
    sockets = [socket.socket() for _ in PORTS]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [str(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()


def run(script: str, home: Path, before: list[str]) -> str:
    """Return what a script prints; whatever it leaves running ends with it.

    :param before: the words of a program that runs the shell.
    """
    path = home.parent / "script"
    path.write_text(script)
    with (home.parent / "printed").open("w+b") as printed:
        shell = subprocess.Popen(
            [*before, "bash", path],
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
            cwd=home,
            env=environment(HOME=str(home), TZ="UTC"),
            start_new_session=True,
        )
        try:
            shell.wait(LIMIT)
        except subprocess.TimeoutExpired:
            printed.write(b"(it took too long)\n")
        finally:
            with suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
            shell.wait()
        printed.seek(0)
        return printed.read().decode()


def without_root() -> list[str]:
    """Return the words of a program that runs another one as nobody, and with our own files."""
    words = [require("unshare"), "--user", "--map-user=65534", "--map-group=65534"]
    done = subprocess.run([*words, "true"], capture_output=True, check=False, timeout=30)
    if done.returncode:
        pytest.skip("namespaces of users are not allowed here")
    return words


@pytest.mark.parametrize("account", ["own", "nobody"])
def test_each_command_answers_as_the_page_shows(account: str, tmp_path: Path) -> None:
    if account == "nobody" and os.geteuid() != 0:
        pytest.skip("the tests run without root as it is")
    for program in ("ssh", "sftp", "ssh-keygen", "moto_server"):
        require(program)
    page = PAGE.read_text()
    for usual, free in zip(PORTS, free_ports(), strict=True):
        page = page.replace(usual, free)
    commands = list(typed(page))
    home = tmp_path / "home"
    home.mkdir()
    script = "".join(f"{one.command}echo '{_END}'$?\n" for one in commands)
    printed = run(script, home, without_root() if account == "nobody" else [])
    answers = re.findall(rf"(.*?){_END}(\d+)\n", printed, re.DOTALL)
    wrong = [
        f"$ {one.command}{answer}(exit status {status}; the page shows)\n{one.shown}"
        for one, (answer, status) in zip(commands, answers, strict=False)
        if status != "0" or not fits(one.shown, answer)
    ]
    assert wrong == []
    assert len(answers) == len(commands), printed


def test_commands_and_answers_are_told_apart() -> None:
    blocks = ("$ cat <<E\n> two\n> E\ntwo\n$ true\n", "$ a\n> b\n")
    page = "text\n    $ not this\n".join(f"```console\n{block}```\n" for block in blocks)
    assert list(typed(page)) == [
        Typed("cat <<E\ntwo\nE\n", "two\n"),
        Typed("true\n"),
        Typed("a\nb\n"),
    ]


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("", "", True),
        ("a  b\n", "a      b\n", True),
        ("a  b\n", "ab\n", False),
        ("a\n", "a\nb\n", False),
        ("a\n…\n", "a\nb\nc\n", True),
        ("…\nc\n", "c\n", True),
        ("in …/x\n", "in /home/x\n", True),
        ("in …/x\n", "in /home\n/x\n", False),
        ("a … c\n", "a  b  c\n", True),
        ("a … c\n", "a  b  d\n", False),
        ("a.\n", "ab\n", False),
    ],
)
def test_an_answer_fits(shown: str, printed: str, same: bool) -> None:
    assert fits(shown, printed) is same
