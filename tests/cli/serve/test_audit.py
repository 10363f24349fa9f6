"""The options of ``nacre serve`` for the audit."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from nacre.cli.serve.audit import audit_options
from nacre.daemon.audit.events import NO_AUDIT, AuditPlan

given: list[AuditPlan] = []


@click.command()
@audit_options
def command(audit: AuditPlan) -> None:
    given.append(audit)


@pytest.mark.parametrize(
    ("words", "plan"),
    [
        ("", NO_AUDIT),
        ("--audit", AuditPlan("on")),
        ("--audit-hashes", AuditPlan("hashes")),
        ("--audit-sync", AuditPlan("on", sync=True)),
        ("--audit-connections", AuditPlan("on", connections=True)),
        ("--audit-store", AuditPlan("on", copied=True)),
        ("--audit-sync --audit-hashes", AuditPlan("hashes", sync=True)),
    ],
)
def test_they_are_one_argument(words: str, plan: AuditPlan) -> None:
    given.clear()
    done = CliRunner().invoke(command, words.split())
    assert done.exit_code == 0, done.output
    assert given == [plan]
