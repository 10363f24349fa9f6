"""What came of a run, as text."""

from __future__ import annotations

from pathlib import Path

import pytest

from nacre.cli.fleet.printing import OutputFiles, each_lines, folded_lines, summary
from nacre.errors import ConfigurationError
from nacre.fleet.verdicts import FleetReport, FleetVerdict

BAD = FleetVerdict("b", "failed", exit_status=2, stdout=b"o\n", stderr=b"e\x1b\n", reason="why")


def test_a_host_has_its_name_before_each_line() -> None:
    assert list(each_lines(BAD)) == ["b: o", "b: e\\x1b", "b: failed (exit status 2): why"]


def test_one_that_fails_is_shown_whole_and_with_its_reason() -> None:
    report = FleetReport([FleetVerdict("a", "ok", stdout=b"x\n"), BAD])
    assert list(folded_lines(report)) == [
        "---- a: ok",
        "x",
        "---- b: failed (exit status 2)",
        "o",
        "e\\x1b",
        "why",
    ]
    assert summary(report) == "2 hosts: 1 ok, 1 failed"


def test_output_that_is_not_kept_is_named() -> None:
    report = FleetReport([FleetVerdict("a", "ok", stdout=b"text")], max_kept=3)
    assert list(folded_lines(report)) == [
        "---- a: ok",
        "(4 bytes of output: --json, --each and --output have them)",
    ]


def test_files_have_names_without_slashes_and_follow_no_links(tmp_path: Path) -> None:
    files = OutputFiles(tmp_path)
    files.write(FleetVerdict("a/b", "ok", stdout=b"x"))
    files.check()
    assert (tmp_path / "a_b.out").read_bytes() == b"x"
    (tmp_path / "c.out").symlink_to(tmp_path / "elsewhere")
    files.write(FleetVerdict("c", "ok"))
    with pytest.raises(ConfigurationError, match=r"can't write .*c\.out"):
        files.check()


def test_a_directory_of_files_that_can_not_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="can't make"):
        OutputFiles(tmp_path / "file")
