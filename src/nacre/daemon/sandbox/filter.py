"""Filters of system calls (seccomp(2)): made of rules, and put on all threads of this process.

A filter is a program for the kernel's packet filter; its data is what seccomp(2) calls
``seccomp_data``: the number of the call, the architecture, and the arguments.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable, Iterator
from functools import lru_cache

from nacre.daemon.sandbox.kernel import call
from nacre.daemon.sandbox.rules import ALLOW, KILL, Processor, Rule, this_processor

_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
"""BPF_LD|BPF_W|BPF_ABS, BPF_JMP|BPF_JEQ|BPF_K, BPF_JMP|BPF_JGE|BPF_K, BPF_RET|BPF_K."""

_NUMBER, _ARCH, _FIRST = 0, 4, 16
"""Offsets in ``seccomp_data``; the first argument's lower half, which is all of an ``int``."""

_INSTRUCTION = struct.Struct("HBBI")

_SET_FILTER, _ACTION_AVAILABLE = 1, 2
_ALL_THREADS = 1  # SECCOMP_FILTER_FLAG_TSYNC

Instruction = tuple[int, int, int, int]
"""The code, the instructions to skip if a comparison holds and if not, and the constant."""


def program(rules: Iterable[Rule], processor: Processor) -> list[Instruction]:
    """Return the filter that refuses what ``rules`` name, and allows all other calls.

    A call in the convention of another kind of processor ends the process: it has other numbers.
    """
    kill = (_RETURN, 0, 0, KILL)
    return [
        *((_LOAD, 0, 0, _ARCH), (_EQUAL, 1, 0, processor.arch), kill),
        *((_LOAD, 0, 0, _NUMBER), (_AT_LEAST, 0, 1, processor.end), kill),
        *(one for rule in rules for one in _instructions(rule, processor)),
        (_RETURN, 0, 0, ALLOW),
    ]


def _instructions(rule: Rule, processor: Processor) -> Iterator[Instruction]:
    refuse = (_RETURN, 0, 0, rule.action)
    for name in rule.calls:
        number = processor.number(name)
        if number is None:
            continue
        if rule.unless is None:
            yield from ((_EQUAL, 0, 1, number), refuse)
            continue
        yield from ((_EQUAL, 0, 4, number), (_LOAD, 0, 0, _FIRST))
        yield from ((_EQUAL, 1, 0, rule.unless), refuse, (_LOAD, 0, 0, _NUMBER))


def has_filters() -> bool:
    """Return whether this kernel filters system calls, and nacre knows their numbers."""
    processor = this_processor()
    if processor is None:
        return False
    kill = struct.pack("I", KILL)
    return call("syscall", _seccomp(processor), _ACTION_AVAILABLE, 0, kill) == 0


def put_on(rules: Iterable[Rule]) -> None:
    """Refuse the calls of ``rules`` in all threads of this process, and in what it forks.

    It can't be undone. The process may gain no rights any more (PR_SET_NO_NEW_PRIVS).

    :raises OSError: the kernel did not take the filter.
    """
    processor = this_processor()
    assert processor is not None
    code = array("B", encoded(tuple(rules), processor))
    address, _ = code.buffer_info()
    given = struct.pack("HP", len(code) // _INSTRUCTION.size, address)
    if call("syscall", _seccomp(processor), _SET_FILTER, _ALL_THREADS, given) != 0:
        raise OSError("the kernel does not take the filter of system calls")


@lru_cache(8)
def encoded(rules: tuple[Rule, ...], processor: Processor) -> bytes:
    """Return the filter as the kernel reads it. A process that forks others can make it ahead."""
    return b"".join(_INSTRUCTION.pack(*one) for one in program(rules, processor))


def _seccomp(processor: Processor) -> int:
    number = processor.number("seccomp")
    assert number is not None
    return number
