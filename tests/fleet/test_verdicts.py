"""Verdicts, and reports of them."""

from __future__ import annotations

import json

import pytest

from nacre.fleet.verdicts import FleetReport, FleetVerdict, as_object, of_object


@pytest.mark.parametrize("output", [b"", b"text\n", "ümläut".encode(), b"\xff\x00"])
def test_a_verdict_goes_through_json(output: bytes) -> None:
    verdict = FleetVerdict("h", "failed", "done", 3, None, output, output, "why", 2, 1.5)
    assert of_object(json.loads(json.dumps(as_object(verdict)))) == verdict


@pytest.mark.parametrize(
    ("verdict", "summary"),
    [
        (FleetVerdict("h", "ok"), "ok"),
        (FleetVerdict("h", "failed", exit_status=3), "failed (exit status 3)"),
        (FleetVerdict("h", "failed", exit_signal="KILL"), "failed (signal KILL)"),
        (FleetVerdict("h", "failed"), "failed"),
        (FleetVerdict("h", "timeout", "kex"), "timeout (kex)"),
        (FleetVerdict("h", "refused", "connect"), "refused (connect)"),
    ],
)
def test_a_verdict_has_a_summary(verdict: FleetVerdict, summary: str) -> None:
    assert verdict.summary == summary


def test_a_report_keeps_outputs_that_are_the_same_once() -> None:
    report = FleetReport(FleetVerdict(f"h{n}", "ok", stdout=bytes([n % 2]) * 99) for n in range(9))
    assert len({id(one.stdout) for one in report.verdicts.values()}) == 2


def test_a_report_keeps_no_more_than_its_bound() -> None:
    report = FleetReport(max_kept=300)
    for number in range(5):
        report.add(FleetVerdict(f"h{number}", "ok", stdout=bytes([number]) * 99, stderr=b"e"))
    report.add(FleetVerdict("again", "ok", stdout=bytes(99)))
    assert [len(one.stdout) for one in report.verdicts.values()] == [99, 99, 99, 0, 0, 99]
    assert [one.left_out for one in report.verdicts.values()] == [0, 0, 0, 99, 99, 0]
    assert {one.stderr for one in report.verdicts.values()} == {b"e", b""}


def test_a_report_is_well_if_every_host_is() -> None:
    report = FleetReport([FleetVerdict("a", "ok")])
    assert report.ok
    report.add(FleetVerdict("b", "skipped"))
    assert not report.ok
    assert report.counts() == {"ok": 1, "skipped": 1}
    assert report.ended("skipped", "failed") == ["b"]
