"""The server's side of the one that it follows."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from daemon.handover.test_successor import PREPARE, started
from nacre.daemon.handover.predecessor import VARIABLE, predecessor, report_failure
from nacre.errors import StateError


def test_a_first_server_has_no_predecessor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert predecessor() is None
    report_failure("nobody hears it")


@pytest.mark.parametrize("value", ["", "x", "-1", "99999", "file"])
def test_a_variable_of_somebody_else_is_refused(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    descriptor = os.open(os.devnull, os.O_RDONLY)
    monkeypatch.setenv(VARIABLE, str(descriptor) if value == "file" else value)
    with pytest.raises(StateError, match="and by nobody else"):
        predecessor()
    os.close(descriptor)
    assert VARIABLE not in os.environ


def test_only_the_parent_hands_over(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        monkeypatch.setenv(VARIABLE, str(theirs.detach()))
        with pytest.raises(StateError, match="the server before has ended"):
            predecessor()


def test_a_predecessor_that_does_not_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import nacre.daemon.handover.predecessor as it; from nacre.errors import StateError\n"
        "it._PATIENCE = 0.2; before = predecessor()\n"
        "try: before.take_over()\n"
        "except StateError as error: print(error)"
    )
    read, write = os.pipe()
    saved = os.dup(1)
    os.dup2(write, 1)
    try:
        successor = started(code)
    finally:
        os.dup2(saved, 1)
        os.close(saved)
        os.close(write)
    with open(read) as said:
        assert said.read() == "the server before does not answer\n"
    successor.end()


def test_its_end_is_noticed() -> None:
    code = (
        "import sys; before = predecessor(); print(before.gone, flush=True); before.take_over()\n"
        "print(before.wait(30), flush=True); import signal; before.signal(signal.SIGTERM)"
    )
    parent = (
        "import os, sys\n"
        "from nacre.daemon.handover.estate import NOTHING, Estate\n"
        "from nacre.daemon.handover.successor import Invocation, Successor\n"
        f"words = [sys.executable, '-c', {PREPARE + chr(10) + code!r}]\n"
        "one = Successor(Invocation(words, '/', dict(os.environ)), "
        "Estate(sockets=NOTHING, asking=0, limits={}))\n"
        "while not one.listens(): pass\n"
        "one.go(); os._exit(0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", parent], capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("False\nTrue\n", "")
