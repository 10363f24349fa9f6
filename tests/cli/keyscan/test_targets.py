"""Words and lines that name hosts to scan."""

from __future__ import annotations

from itertools import islice

import pytest

from nacre.cli.keyscan.targets import ScanTarget, targets


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("host", ScanTarget(("host",), ("host",))),
        ("a,b", ScanTarget(("a", "b"), ("a", "b"))),
        ("10.0.0.1 x,y\n", ScanTarget(("10.0.0.1",), ("x", "y"))),
        (" a\tb # comment", ScanTarget(("a",), ("b",))),
        ("a#b", ScanTarget(("a",), ("a",))),
        ("192.0.2.300", ScanTarget(("192.0.2.300",), ("192.0.2.300",))),
        ("::1", ScanTarget(("::1",), ("::1",))),
    ],
)
def test_a_line_names_a_host(line: str, found: ScanTarget) -> None:
    assert list(targets([line])) == [found]


@pytest.mark.parametrize("line", ["", "\n", "  # comment", ","])
def test_a_line_without_a_host_is_skipped(line: str) -> None:
    assert list(targets([line])) == []


def test_a_range_is_each_of_its_addresses() -> None:
    found = list(targets(["192.0.2.5/30"]))
    assert [target.addresses[0] for target in found] == [f"192.0.2.{n}" for n in range(4, 8)]
    assert all(target.names == target.addresses for target in found)
    assert [target.names for target in targets(["192.0.2.0/31 x"])] == [("x",), ("x",)]


def test_a_large_range_is_not_listed_in_advance() -> None:
    assert len(list(islice(targets(["10.0.0.0/8", "::/0"]), 5))) == 5
