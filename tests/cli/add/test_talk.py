"""What the program says and asks."""

from __future__ import annotations

import pytest

from cli.add.held import Answers
from nacre.cli.add.talk import ask_secret, complain


async def test_no_answer_is_an_empty_one(answers: Answers) -> None:
    answers += ["secret"]
    assert (await ask_secret("One: "), await ask_secret("Two: ")) == ("secret", "")


def test_what_is_not_printable_is_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    complain("one\x1b\ntwo")
    assert capsys.readouterr().err == "one\\x1b\ntwo\n"
