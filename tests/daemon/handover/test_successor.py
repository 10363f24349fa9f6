"""A successor is started, takes over or fails, as both sides see it."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest

from nacre.daemon.handover.estate import NOTHING, Estate
from nacre.daemon.handover.successor import Invocation, Successor
from nacre.errors import StateError

ESTATE = Estate(sockets=NOTHING, asking=0, first=100, limits={})
PREPARE = "from nacre.daemon.handover.predecessor import predecessor, report_failure"


def started(code: str) -> Successor:
    """Start a successor that does this."""
    words = [sys.executable, "-c", f"{PREPARE}\n{code}"]
    return Successor(Invocation(words, os.getcwd(), os.environ), ESTATE)


def outcome(successor: Successor) -> bool:
    deadline = time.monotonic() + 30
    while not successor.listens():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return True


def test_one_takes_over_when_it_is_told_to() -> None:
    code = "before = predecessor(); before.take_over(); assert before.estate.first == 100; input()"
    successor = started(code)
    assert outcome(successor)
    successor.go()
    successor.end()


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("predecessor().fail('the file is wrong')", "^the file is wrong$"),
        ("report_failure('line 3 is wrong')", "^line 3 is wrong$"),
        ("raise SystemExit(1)", "has ended before it listened"),
    ],
)
def test_one_that_fails_says_why(code: str, why: str) -> None:
    successor = started(code)
    with pytest.raises(StateError, match=why):
        outcome(successor)
    successor.end()
    successor.end()  # which it may be already


def test_one_that_ends_before_it_is_told_to_take_over_is_noticed() -> None:
    successor = started("predecessor().take_over()")
    assert outcome(successor)
    os.kill(successor.pid, signal.SIGKILL)
    os.waitpid(successor.pid, 0)
    with pytest.raises(StateError, match="when it was to take over"):
        successor.go()
    successor.end()


def test_a_program_that_is_missing_is_named() -> None:
    with pytest.raises(StateError, match="/no/such/program can't be started"):
        Successor(Invocation(["/no/such/program"], "/", {}), ESTATE)


def test_its_own_invocation_can_be_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_PID", "1")
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "nacre", "serve"])
    own = Invocation.own()
    assert own.words == [sys.executable, "-m", "nacre", "serve"]
    assert own.directory == os.getcwd()
    assert "WATCHDOG_PID" not in own.environment
