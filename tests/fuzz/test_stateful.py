"""State machines: both engines, one with a hostile peer, SFTP beside the system, the monitor."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from fuzz.engine_machine import EngineMachine
from fuzz.hostile_machine import HostileMachine
from fuzz.monitor_machine import MonitorMachine
from fuzz.mutate import BUDGET
from fuzz.sftp_machine import LaterSFTPMachine, SFTPMachine
from nacre.daemon.separate import visit
from nacre.daemon.separate.visit import LEGAL, LoginState
from nacre.protocol.phases import Role
from nacre.sftp.filesystems.local import LocalFilesystem
from nacre.wire.numbers import MAIN

# Hypothesis takes at most five minutes to make a failure short.
pytestmark = pytest.mark.timeout(600 + 20 * BUDGET)


@pytest.mark.slow
@pytest.mark.parametrize(
    "machine", [EngineMachine, HostileMachine, SFTPMachine, LaterSFTPMachine, MonitorMachine]
)
def test_random_calls_in_any_order(machine: type[RuleBasedStateMachine]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=max(1, int(15 * BUDGET)),
            stateful_step_count=60,
            deadline=None,
            # The same calls each time: `make fuzz` makes others.
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_reads_of_no_bytes_among_others() -> None:
    """What a run found: the data of the READs behind it was shifted."""
    machine = SFTPMachine()
    try:
        machine.begin(files=300, flags=[1])
        machine.pipeline(parts=[(0, 100), (0, 0), (0, 1000), (0, 0)], start=0, which=0)
    finally:
        machine.teardown()


def test_the_oracle_of_sftp_sees_a_change_that_the_system_does_not_make(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(LocalFilesystem, "permitted", 0o7777)
    machine = SFTPMachine()
    try:
        machine.begin(3, [3])
        machine.set_attributes("a", None, 0o755, None)
        machine.both_hold_the_same()
        machine.set_attributes("a", None, 0o4755, None)
        with pytest.raises(AssertionError):
            machine.both_hold_the_same()
    finally:
        machine.teardown()


def test_the_model_of_the_engines_sees_data_that_is_lost() -> None:
    machine = EngineMachine()
    machine.log_in(70_000, 32_768, 1 << 31, 1 << 30, "aes128-ctr", "none", 1 << 20, 2)
    machine.send_data(Role.CLIENT, 0, 99, MAIN)
    machine.bounds_hold()
    client = machine.sides[Role.CLIENT]
    client.ends[0].sent[MAIN] += 1
    machine.close_channel(Role.CLIENT, 0)
    with pytest.raises(AssertionError):
        machine.deliver(Role.CLIENT, 1 << 20)


@pytest.mark.parametrize(
    ("check", "instead", "claim"),
    [
        ("satisfied", lambda *_: True, lambda machine: machine.hand_over(0, 5)),
        ("HASHES", range(100), lambda machine: machine.sign_as_one_should(0, b"no hash")),
        ("check_length", lambda *_: None, lambda machine: machine.name_user(0, "x" * 5000, 1)),
        (
            "LEGAL",
            {**LEGAL, LoginState.NEW: LEGAL[LoginState.NAMED]},
            lambda machine: (machine.arrive(1, "stream"), machine.name_user(1, "alice", 1)),
        ),
    ],
    ids=["satisfied", "HASHES", "check_length", "LEGAL"],
)
def test_the_model_of_the_monitor_sees_a_check_that_is_missing(
    check: str,
    instead: object,
    claim: Callable[[MonitorMachine], object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = MonitorMachine()
    try:
        machine.begin()
        machine.log_in(0, "carol", bytes(32))
        monkeypatch.setattr(visit, check, instead)
        with pytest.raises(AssertionError):
            claim(machine)
    finally:
        machine.monitor.uncaught.clear()
        machine.monitor.policy.faults.clear()
        machine.monitor.close()
