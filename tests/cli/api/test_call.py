"""What calls work with, and how they fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from nacre.cli.api.call import Problem, Resources
from nacre.daemon.audit.table import FILE, AuditTable
from nacre.errors import StateError


def test_a_problem_is_one_of_rfc_9457() -> None:
    problem = Problem(409, "there is one already", {"Retry-After": "5"})
    assert problem.members() == {
        "type": "about:blank",
        "title": "Conflict",
        "status": 409,
        "detail": "there is one already",
    }
    assert problem.headers == {"Retry-After": "5"}


def test_the_audit_is_opened_once_and_never_made(tmp_path: Path) -> None:
    resources = Resources(tmp_path)
    try:
        with pytest.raises(StateError, match="`nacre serve --audit` makes it"):
            resources.audit()
        AuditTable(tmp_path / FILE, create=True).close()
        table = resources.audit()
        assert resources.audit() is table
        table.close()
    finally:
        resources.store.close()
