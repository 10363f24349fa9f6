"""The numbers of system calls, compared with those that libseccomp knows."""

from __future__ import annotations

import ctypes

import pytest

from interop.programs import missing
from nacre.daemon.sandbox.rules import CONFINED, FILES, NUMBERS, PROCESSORS, Processor


@pytest.mark.parametrize("processor", PROCESSORS.values(), ids=list(PROCESSORS))
def test_numbers_are_those_of_libseccomp(processor: Processor) -> None:
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError:
        missing("libseccomp")
    resolve = library.seccomp_syscall_resolve_name_arch
    resolve.argtypes = [ctypes.c_uint32, ctypes.c_char_p]
    known = {name: resolve(processor.arch, name.encode()) for name in NUMBERS}
    # What a kind of processor does not have is a negative number.
    assert {name: processor.number(name) for name in NUMBERS} == {
        name: number if number >= 0 else None for name, number in known.items()
    }


def test_every_call_of_a_rule_has_a_number() -> None:
    named = {name for rule in (*FILES, *CONFINED) for name in rule.calls}
    assert named <= set(NUMBERS)
    for processor in PROCESSORS.values():
        numbers = [processor.number(name) for name in NUMBERS]
        present = [number for number in numbers if number is not None]
        assert len(set(present)) == len(present) > 50
