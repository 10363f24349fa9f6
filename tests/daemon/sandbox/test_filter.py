"""Filters of system calls, interpreted here for each processor, and put on a forked child."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import socket
import threading
from collections.abc import Sequence

import pytest

from daemon.sandbox.children import in_a_child
from nacre.daemon.sandbox import filter as system_calls
from nacre.daemon.sandbox.filter import Instruction, has_filters, program, put_on
from nacre.daemon.sandbox.rules import (
    ALLOW,
    CONFINED,
    FILES,
    KILL,
    PROCESSORS,
    REFUSE,
    STORAGE,
    Processor,
    Rule,
    gate_rules,
    this_processor,
)

filters = pytest.mark.skipif(not has_filters(), reason="this kernel has no seccomp(2)")

LOAD, EQUAL, AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06


def judged(code: Sequence[Instruction], number: int, arch: int, first: int = 0) -> int:
    """Interpret a filter, as the kernel does, and return the action."""
    data = {0: number, 4: arch, 16: first}
    at, loaded = 0, 0
    while True:
        name, holds, fails, constant = code[at]
        at += 1
        if name == LOAD:
            loaded = data[constant]
        elif name == RETURN:
            return constant
        else:
            true = loaded == constant if name == EQUAL else loaded >= constant
            assert name in (EQUAL, AT_LEAST)
            at += holds if true else fails


@pytest.mark.parametrize("processor", PROCESSORS.values(), ids=list(PROCESSORS))
@pytest.mark.parametrize("rules", [STORAGE, FILES, CONFINED, gate_rules(77)])
def test_what_the_rules_name_is_refused_and_nothing_else(
    processor: Processor, rules: tuple[Rule, ...]
) -> None:
    code = program(rules, processor)
    refused = {
        processor.number(name): rule.action
        for rule in rules
        for name in rule.calls
        if processor.number(name) is not None
    }
    for number in range(500):
        wanted = refused.get(number, ALLOW)
        assert judged(code, number, processor.arch) == wanted, number
    # More instructions than this, and the kernel takes no filter.
    assert len(code) < 4096


@pytest.mark.parametrize("processor", PROCESSORS.values(), ids=list(PROCESSORS))
def test_calls_with_other_numbers_end_the_process(processor: Processor) -> None:
    code = program((), processor)
    i386, x32 = 0x40000003, 0x40000000
    assert judged(code, 0, processor.arch) == ALLOW
    assert judged(code, 0, i386) == KILL
    assert judged(code, x32, processor.arch) == KILL


@pytest.mark.parametrize("processor", PROCESSORS.values(), ids=list(PROCESSORS))
def test_sockets_of_this_system_are_left_to_those_who_serve_all_files(processor: Processor) -> None:
    number = processor.number("socket")
    assert number is not None
    for family in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, 16, 17, 38):
        wanted = ALLOW if family == socket.AF_UNIX else REFUSE
        assert judged(program(FILES, processor), number, processor.arch, family) == wanted
        assert judged(program(CONFINED, processor), number, processor.arch, family) == REFUSE
        assert judged(program(STORAGE, processor), number, processor.arch, family) == ALLOW


@pytest.mark.parametrize("processor", PROCESSORS.values(), ids=list(PROCESSORS))
@pytest.mark.parametrize("name", ["tgkill", "rt_tgsigqueueinfo"])
def test_a_gate_sends_signals_to_its_own_threads_alone(processor: Processor, name: str) -> None:
    number, code = processor.number(name), program(gate_rules(77), processor)
    assert number is not None
    assert judged(code, number, processor.arch, 77) == ALLOW
    for pid in (0, 1, 76, 78, 77 + (1 << 31), 0xFFFFFFFF):
        assert judged(code, number, processor.arch, pid) == REFUSE


ROWS = [
    (name, rule.action)
    for rule in gate_rules(77)
    for name in rule.calls
    if (processor := this_processor()) is not None and processor.number(name) is not None
]


@filters
@pytest.mark.parametrize(("name", "action"), ROWS, ids=[name for name, _ in ROWS])
def test_the_kernel_refuses_each_call(name: str, action: int) -> None:
    here = this_processor()
    assert here is not None

    def attempt() -> int:
        put_on(gate_rules(77))
        with open("/proc/self/status") as file:
            assert "Seccomp:\t2\n" in file.read()
        library = ctypes.CDLL(None, use_errno=True)
        library.syscall(here.number(name), 0, 0, 0, 0, 0, 0)
        return ctypes.get_errno()

    ended = in_a_child(attempt)
    assert ended == (errno.EPERM if action == REFUSE else -signal.SIGSYS)


@filters
def test_a_gate_can_not_send_signals_to_others_and_can_to_itself() -> None:
    def attempt() -> int:
        put_on(gate_rules(os.getpid()))
        signal.pthread_kill(threading.get_ident(), signal.SIGCONT)
        for pid in (os.getppid(), os.getpid()):
            with pytest.raises(PermissionError):
                os.kill(pid, signal.SIGCONT)
        return 0

    assert in_a_child(attempt) == 0


@filters
def test_programs_and_sockets_fail_as_any_library_reports_it() -> None:
    def attempt() -> int:
        put_on(FILES)
        socket.socket(socket.AF_UNIX).close()
        with pytest.raises(PermissionError):
            socket.create_connection(("127.0.0.1", 9), timeout=1)
        try:
            os.execv("/bin/true", ["true"])
        except OSError as error:
            return error.errno or 0
        return 0

    assert in_a_child(attempt) == errno.EPERM


@filters
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="x32 is a convention of x86_64")
def test_the_other_convention_of_the_machine_ends_the_process() -> None:
    def attempt() -> int:
        put_on(())
        ctypes.CDLL(None).syscall(0x40000000 | 39)  # getpid of x32
        return 0

    assert in_a_child(attempt) == -signal.SIGSYS


@filters
def test_a_filter_that_the_kernel_does_not_take_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        system_calls, "program", lambda rules, processor: [(RETURN, 0, 0, 0)] * 5000
    )
    with pytest.raises(OSError, match="does not take"):
        put_on(())
