"""The driver of OpenSSH's regress suite, and its table of what does not pass."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from interop.peers import ROOT

SCRIPT = ROOT / "scripts" / "regress.py"
DRIVER: dict[str, Any] = runpy.run_path(str(SCRIPT))
SUITE: Path = DRIVER["SUITE"]
PROGRAMS = frozenset(DRIVER["PROGRAMS"])
KNOWN = DRIVER["known_failures"](DRIVER["PAGE"].read_text())

needs_suite = pytest.mark.skipif(not SUITE.exists(), reason="openssh-tests is not installed")


def test_the_tables_rows_name_programs() -> None:
    rows = (
        DRIVER["PAGE"]
        .read_text()
        .partition("<!-- known failures -->\n")[2]
        .partition("<!-- end")[0]
    )
    assert len(KNOWN) == len(rows.splitlines()) - 2
    for test, row in KNOWN.items():
        assert row.programs, test
        assert row.programs <= PROGRAMS, test
        assert row.reason, test


def test_the_tests_are_those_of_the_makefile() -> None:
    lists = ["LTESTS=  one \\", "\t\ttwo", "INTEROP_TESTS= three", "#LTESTS+= no"]
    makefile = "\n".join(("x=y", "REGRESS_TARGETS= t1 t2", *lists, ""))
    assert DRIVER["tests_of"](makefile) == ["one", "two", "three", "t1", "t2"]


@pytest.mark.parametrize(
    ("words", "programs"),
    [
        (["all"], PROGRAMS),
        (["none"], frozenset()),
        (["server"], {"sshd", "sftp-server"}),
        (["client"], PROGRAMS - {"sshd", "sftp-server"}),
        (["ssh", "sshd"], {"ssh", "sshd"}),
        (["server", "scp"], {"sshd", "sftp-server", "scp"}),
    ],
)
def test_programs_are_named_alone_or_in_groups(words: list[str], programs: set[str]) -> None:
    assert DRIVER["chosen_programs"](words) == programs


def test_a_word_that_names_no_program() -> None:
    with pytest.raises(SystemExit, match="no program or group is named telnet"):
        DRIVER["chosen_programs"](["ssh", "telnet"])


@pytest.mark.parametrize(
    ("status", "output", "outcome"),
    [
        (0, "run\nok connect\n", "pass"),
        (0, "SKIPPED: no root\n", "skip"),
        (0, "conch interop tests not enabled\n", "skip"),
        (0, "okay\n", "fail"),
        (1, "ok connect\n", "fail"),
        (-9, "", "fail"),
    ],
)
def test_outcome(status: int, output: str, outcome: str) -> None:
    assert DRIVER["outcome_of"](status, output) == outcome


@pytest.mark.parametrize(
    ("output", "log", "reason"),
    [
        ("some\nlast\n", "trace: x\nFAIL: first\nFAIL: second\n", "first"),
        ("some\nSKIPPED: no root\n", "", "no root"),
        ("", "", ""),
    ],
)
def test_reason(output: str, log: str, reason: str) -> None:
    assert DRIVER["reason_of"](output, log) == reason


@pytest.mark.parametrize(
    ("test", "outcome", "nacres", "said"),
    [
        ("a", "fail", {"ssh"}, ""),
        ("a", "time-out", {"ssh", "sshd"}, ""),
        ("a", "pass", {"ssh"}, "passes: take it off the table"),
        ("a", "fail", {"sshd"}, "unexpected: see build/regress/a.log"),
        ("a", "pass", {"sshd"}, ""),
        ("b", "fail", {"ssh"}, "unexpected: see build/regress/b.log"),
        ("b", "skip", {"ssh"}, ""),
    ],
)
def test_what_the_table_does_not_say_is_reported(
    test: str, outcome: str, nacres: set[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    known = {"a": DRIVER["Known"](frozenset({"ssh"}), "because")}
    result = DRIVER["Result"](test, outcome, 1.5)
    assert DRIVER["judged"](result, frozenset(nacres), known).startswith(said)
    status = DRIVER["report"]([result], frozenset(nacres), known)
    assert status == (1 if said else 0)
    assert said in capsys.readouterr().out


@needs_suite
def test_the_tables_rows_name_tests_of_the_suite() -> None:
    suite = DRIVER["tests_of"]((SUITE / "Makefile").read_text())
    assert "connect" in suite
    assert "t12" in suite


@needs_suite
@pytest.mark.interop
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_run_with_openssh_and_with_nacre() -> None:
    for programs in ("none", "sshd"):
        run = subprocess.run(
            [sys.executable, SCRIPT, "--programs", programs, "--only", "proto-version t4"],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert run.returncode == 0, run.stdout + run.stderr
        lines = run.stdout.splitlines()
        assert [line.split()[:2] for line in lines[:2]] == [
            ["proto-version", "pass"],
            ["t4", "pass"],
        ]
        assert "2 pass, 0 fail, 0 time-out, 0 skip" in lines[2]
    refused = subprocess.run(
        [sys.executable, SCRIPT, "--only", "no-such-test"],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert refused.returncode == 1
    assert "the suite has no test no-such-test" in refused.stderr
