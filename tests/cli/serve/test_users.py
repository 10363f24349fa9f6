"""The options about where users are, and the value that they become."""

from __future__ import annotations

from typing import Any

import click
import pytest
from click.testing import CliRunner

from nacre.cli.serve.users import users_options
from nacre.daemon.accounts.directories.plan import UsersPlan


def given(*words: str) -> Any:
    """Return the value of these options, or the message of the error."""
    found: list[Any] = []

    @click.command()
    @users_options
    def command(users: Any) -> None:
        found.append(users)

    done = CliRunner().invoke(command, words)
    return found[0] if done.exit_code == 0 else done.output


def test_users_of_this_host() -> None:
    assert given() == "store"
    assert given("--users", "system") == "system"


def test_users_elsewhere() -> None:
    words = ["--users-group", "a", "--users-group", "b", "--users-account", "files"]
    words += ["--users-secret", "/s", "--users-program-account", "nobody"]
    assert given("--users", "command:/bin/x", *words) == UsersPlan(
        where="command:/bin/x",
        groups=("a", "b"),
        accounts=("files",),
        secret="/s",
        program_account="nobody",
    )


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--users", "nowhere"], "is none of store, system"),
        (["--users-group", "a"], "are for users elsewhere"),
        (["--users", "system", "--users-account", "root"], "are for users elsewhere"),
    ],
)
def test_what_is_no_place(words: list[str], reason: str) -> None:
    assert reason in given(*words)
