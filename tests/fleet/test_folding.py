"""Outputs that are the same stand together."""

from __future__ import annotations

from nacre.fleet.folding import difference, folded
from nacre.fleet.verdicts import FleetVerdict


def said(host: str, output: str) -> FleetVerdict:
    return FleetVerdict(host, "ok", stdout=output.encode(), seconds=len(host), reason=host)


def test_hosts_that_say_the_same_stand_together_and_the_most_come_first() -> None:
    found = folded(
        [
            said("web03", "b\n"),
            *(said(f"web0{n}", "a\n") for n in (1, 2, 4)),
            FleetVerdict("db", "refused", "connect"),
        ]
    )
    assert [one.title for one in found] == [
        "web[01-02,04] (3 hosts): ok",
        "web03: ok",
        "db: refused (connect)",
    ]


def test_a_difference_has_the_lines_that_differ() -> None:
    usual = said("a", "one\ntwo\nthree\n")
    assert list(difference(usual, said("b", "one\n2\nthree\n"))) == [
        " one",
        "-two",
        "+2",
        " three",
    ]
    assert list(difference(usual, usual)) == []


def test_long_outputs_are_not_compared() -> None:
    usual, other = said("a", "x\n" * 1000), said("b", "y\n" * 1000)
    assert list(difference(usual, other)) == ["y"] * 1000


def test_what_a_terminal_would_act_on_is_shown_as_text() -> None:
    assert "\x1b" not in "".join(difference(said("a", ""), said("b", "\x1b[2J\n")))
