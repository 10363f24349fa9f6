"""Processes that ask directories: their rights, their reuse, and what ends them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nacre.daemon.accounts.directories.helpers import pool
from nacre.daemon.accounts.directories.helpers.pool import AskedHelpers
from nacre.errors import AccountError

STUB = "daemon.accounts.directories.helpers.helper_stub"
RIGHTS = (65534, 65534) if os.geteuid() == 0 else None


@pytest.fixture
def helpers() -> Iterator[Any]:
    helpers = AskedHelpers(STUB, {"a": "b"}, RIGHTS)
    yield helpers
    helpers.close()


def test_a_helper_is_used_again(helpers: Any) -> None:
    first, second = helpers({"deed": "answer"}), helpers({"deed": "answer"})
    assert first == second
    assert first["settings"] == {"a": "b"}
    assert first["uid"] == (65534 if RIGHTS else os.geteuid())
    assert "PATH" not in first


def test_authorities_of_tls_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/etc/ssl/own.pem")
    made: Any = AskedHelpers(STUB, {}, RIGHTS)
    assert made({"deed": "answer"})["SSL_CERT_FILE"] == "/etc/ssl/own.pem"
    made.close()


@pytest.mark.parametrize(
    ("deed", "reason"),
    [
        ("end", "has ended"),
        ("flood", "more than 65536 bytes"),
        ("rubbish", "can't be read"),
        ("hang", "took more than"),
    ],
)
def test_one_that_does_not_answer_is_replaced(
    helpers: Any, deed: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = helpers({"deed": "answer"})["pid"]
    with monkeypatch.context() as patch:
        if deed == "hang":
            patch.setattr(pool, "SECONDS", 0.5)
        with pytest.raises(AccountError, match=reason):
            helpers({"deed": deed})
    assert helpers({"deed": "answer"})["pid"] != first or deed == "rubbish"
    if deed == "hang":
        assert not Path(f"/proc/{first}").exists()


def test_a_refusal_is_an_answer(helpers: Any) -> None:
    first = helpers({"deed": "answer"})["pid"]
    with pytest.raises(AccountError, match=r"^it is refused$"):
        helpers({"deed": "refuse"})
    with pytest.raises(AccountError, match=r"failed \(ValueError\)$"):
        helpers({"deed": "fail"})
    assert helpers({"deed": "answer"})["pid"] == first


def test_one_that_has_ended_while_it_was_idle_is_not_used(helpers: Any) -> None:
    first = helpers({"deed": "answer"})["pid"]
    os.kill(first, 9)
    os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
    assert helpers({"deed": "answer"})["pid"] != first


def test_there_are_so_many(helpers: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "SECONDS", 0.1)
    taken = [helpers._places.acquire(blocking=False) for _ in range(pool._MOST_HELPERS)]
    assert all(taken)
    with pytest.raises(AccountError, match="wait for the directory already"):
        helpers({"deed": "answer"})


def test_a_long_password_fits(helpers: Any) -> None:
    assert helpers({"deed": "answer", "password": "\0" * 30_000})["settings"] == {"a": "b"}
