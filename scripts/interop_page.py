"""Write what the interop tests found to docs/interop.md: scripts/interop_page.py JUNIT_XML

A test names its row in a property ``interop``: a JSON list of role, peer, what was tried, and
version. Rows that the report does not have stay as they are.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "interop.md"

OUTCOMES = {"failure": "fails", "error": "fails", "skipped": "not installed"}
"""What an element of a test's case says of its row; without one it works."""

Name = tuple[str, str, str]
"""Role, peer, and what was tried."""


def found_in(report: Path) -> dict[Name, tuple[str, str]]:
    """Return version and result of each row that a report of pytest has."""
    found: dict[Name, tuple[str, str]] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        said = [one for one in case.iter("property") if one.get("name") == "interop"]
        for one in said:
            role, peer, tried, version = json.loads(one.get("value", ""))
            results = [word for tag, word in OUTCOMES.items() if case.find(tag) is not None]
            found[role, peer, tried] = (version, results[0] if results else "works")
    return found


def rows_of(page: str, role: str) -> dict[Name, tuple[str, str]]:
    """Return the rows of a role's table on the page."""
    lines = re.findall(r"^\| (.+) \|$", _table(page, role), re.MULTILINE)
    cells = [line.split(" | ") for line in lines[1:]]
    return {(role, peer, tried): (version, result) for peer, version, tried, result in cells}


def _table(page: str, role: str) -> str:
    found = re.search(rf"<!-- {role}s -->\n(.*?)<!-- end -->", page, re.DOTALL)
    assert found, f"{PAGE.name} has no table of {role}s"
    return found[1]


def written(page: str, names: Sequence[Name], found: dict[Name, tuple[str, str]]) -> str:
    """Return the page with a row for each name, in that order."""
    for role in ("client", "server"):
        known = rows_of(page, role) | found
        lines = ["| peer | version | what was tried | result |", "|---|---|---|---|"]
        for name in names:
            if name[0] == role:
                version, result = known.get(name, ("", "not tried"))
                lines.append(f"| {name[1]} | {version} | {name[2]} | {result} |")
        start = f"<!-- {role}s -->\n"
        page = page.replace(start + _table(page, role), start + "\n".join(lines) + "\n")
    return page


def main(report: Path) -> None:
    """Write the page."""
    sys.path.insert(0, str(ROOT / "tests"))
    from interop.peers import ROWS

    PAGE.write_text(written(PAGE.read_text(), ROWS, found_in(report)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
