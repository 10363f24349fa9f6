"""The memory of a process that holds secrets."""

from __future__ import annotations

import subprocess
import sys

import pytest

from nacre.crypto import secrecy

PROGRAM = """
import ctypes, os, subprocess, sys
import nacre.crypto.secrecy
from {module} import {function}
def opened():
    try:
        os.close(os.open("/proc/self/mem", os.O_RDWR))
    except PermissionError:
        return False
    return True
if os.geteuid() == 0:  # root may open everything
    os.setresuid(65534, 65534, 65534)
    ctypes.CDLL(None).prctl(4, 1)  # as after an exec
before = opened()
{function}()
pid = os.fork()
if pid == 0:
    os._exit(opened())
child = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
shell = os.popen("test -r /proc/$$/mem && echo readable").read().strip()
print(before, opened(), bool(child), shell)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="prctl(2) is Linux's")
@pytest.mark.parametrize(
    ("module", "function"),
    [
        ("nacre.crypto.secrecy", "hide_memory"),
        ("nacre.daemon.memory", "keep_secrets"),
        ("nacre.cli.common.start", "prepare"),
    ],
)
def test_memory_can_not_be_opened_afterwards(module: str, function: str) -> None:
    """By the process itself, which serves files, or what it forks; a program that it starts can."""
    done = subprocess.run(
        [sys.executable, "-B", "-c", PROGRAM.format(module=module, function=function)],
        stdout=subprocess.PIPE,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout == "True False False readable\n"


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setitem(sys.modules, "_ctypes", None)
    secrecy.hide_memory()
    monkeypatch.setattr(sys, "platform", "linux")
    secrecy.hide_memory()  # a Python without ctypes
