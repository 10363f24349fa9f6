from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from cli.shared.scripted_master import ScriptedMaster
from nacre.client.sharing import messages as m

PROGRAM = "from nacre.cli.entry import {}; {}()"


def run(name, master, *words, **options):
    words = ("ssh", *words) if name == "nacre" else words
    return subprocess.run(
        [sys.executable, "-c", PROGRAM.format(name, name), *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=30,
        check=False,
        **options,
    )


@pytest.mark.parametrize("name", ["ssh", "nacre"])
def test_the_status_is_that_of_the_session(name):
    with ScriptedMaster({m.NewSession: [m.SessionOpened(0, 1), m.Exited(1, 9)]}) as master:
        done = run(name, master, "-F", "none", "-S", master.path, "host", "true")
    assert (done.returncode, done.stdout, done.stderr) == (9, b"", b"")


@pytest.mark.parametrize(("level", "said"), [("INFO", 1), ("ERROR", 1), ("QUIET", 0)])
def test_a_master_that_refuses_is_asked_once(level, said):
    """The program goes on with a connection of its own."""
    refused = m.Forbidden(0, "no")
    with ScriptedMaster({m.NewSession: [refused]}) as master:
        words = ["-F", "none", "-S", master.path, f"-oLogLevel={level}"]
        done = run("ssh", master, *words, "-oProxyCommand=false", "host", "true")
    assert done.returncode == 255
    assert done.stderr.count(b"Master refused session request: no\n") == said
    assert sum(isinstance(one, m.NewSession) for one in master.taken) == 1


def test_closed_descriptors_are_not_passed():
    """The socket would have the number of the one that is closed."""
    with ScriptedMaster({m.NewSession: [m.SessionOpened(0, 1), m.Exited(1, 4)]}) as master:
        words = ["-F", "none", "-S", master.path, "host", "true"]
        script = 'exec "$@" <&-'
        done = subprocess.run(
            ["sh", "-c", script, "sh", sys.executable, "-c", PROGRAM.format("ssh", "ssh"), *words],
            capture_output=True,
            timeout=30,
            check=False,
        )
    assert done.returncode == 4  # by the whole program, which opens /dev/null first
    assert master.descriptors == 3


def test_an_interrupt_before_the_session():
    """A master that says nothing is waited for, as by ssh(1); Ctrl-C ends that."""
    with ScriptedMaster({m.NewSession: [m.SessionOpened(0, 1)]}) as master:
        words = ["-F", "none", "-S", master.path, "host", "true"]
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM.format("ssh", "ssh"), *words],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        while master.descriptors < 3 and process.poll() is None:
            os.sched_yield()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert process.returncode in (255, -signal.SIGINT)
    assert b"Traceback" not in said
