"""docs/interop.md has a row for each peer that the tests meet, and is written from their report."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from xml.sax.saxutils import quoteattr

from interop.peers import ROOT, ROWS

WRITER = runpy.run_path(str(ROOT / "scripts" / "interop_page.py"))
PAGE = (ROOT / "docs" / "interop.md").read_text()


def _shown(page: str) -> dict[tuple[str, str, str], tuple[str, str]]:
    rows: dict[tuple[str, str, str], tuple[str, str]] = {}
    for role in ("client", "server"):
        rows |= WRITER["rows_of"](page, role)
    return rows


def test_each_peer_has_a_row() -> None:
    assert [*_shown(PAGE)] == ROWS


def _report(path: Path, *cases: tuple[list[str], str]) -> Path:
    inner = "".join(
        f'<testcase><properties><property name="interop" value={quoteattr(json.dumps(row))}/>'
        f"</properties>{outcome}</testcase>"
        for row, outcome in cases
    )
    path.write_text(f"<testsuites><testsuite>{inner}</testsuite></testsuites>")
    return path


def test_a_report_changes_its_rows_and_no_others(tmp_path: Path) -> None:
    first, second, third = ROWS[0], ROWS[1], ROWS[-1]
    report = _report(
        tmp_path / "report.xml",
        ([*first, "7.1"], ""),
        ([*second, "7.2"], "<failure>no</failure>"),
        ([*third, ""], "<skipped/>"),
    )
    page = WRITER["written"](PAGE, ROWS, WRITER["found_in"](report))
    shown = _shown(page)
    assert shown[first] == ("7.1", "works")
    assert shown[second] == ("7.2", "fails")
    assert shown[third] == ("", "not installed")
    rest = [name for name in ROWS if name not in (first, second, third)]
    before = _shown(PAGE)
    assert {name: shown[name] for name in rest} == {name: before[name] for name in rest}
