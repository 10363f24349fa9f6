"""What the template forks: children of this process with nothing of its memory or files."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from daemon.processes.forked import (
    Piped,
    ask_for_version,
    files,
    sh,
    spare_of,
    status,
    template_of,
    with_setup,
)
from nacre.daemon.processes import template_process
from nacre.daemon.processes.template import LIMITS, Template
from nacre.daemon.processes.template_process import serve_copy

NOBODY = 65534, 65534, (65534, 1234), 0o022

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes other accounts")


def test_a_process_is_this_ones_child_and_leads_a_session(template: Template) -> None:
    process = Piped(template, "files", files())
    ask_for_version(process)
    found = status(process.pid)
    assert found["PPid"] == str(os.getpid())
    assert found["NSsid"] == found["NSpgid"] == str(process.pid)
    assert found["Name"] == "nacre-files"
    assert process.communicate(20)[1] == b""
    assert process.returncode == 0


@as_root
def test_a_process_has_the_accounts_rights_and_nothing_of_the_server(
    template: Template, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "of the server")
    before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    inherited = os.open("/", os.O_RDONLY)
    os.set_inheritable(inherited, True)
    try:
        process = Piped(template, "files", files(NOBODY))
    finally:
        os.close(inherited)
        signal.signal(signal.SIGUSR1, before)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    ask_for_version(process)
    found, directory = status(process.pid), Path(f"/proc/{process.pid}")
    assert set(found["Uid"].split()) == set(found["Gid"].split()) == {"65534"}
    assert set(found["Groups"].split()) == {"65534", "1234"}
    assert int(found["Umask"], 8) == 0o022
    assert int(found["SigBlk"], 16) == 0
    assert not int(found["SigCgt"], 16) & (1 << 63) - 1
    # The C library may ignore signals of its own, which no program can use.
    ignored = int(found["SigIgn"], 16)
    assert {one for one in signal.Signals if ignored >> (one - 1) & 1} == {
        *(signal.SIGPIPE, signal.SIGXFSZ)
    }
    assert (directory / "environ").read_bytes() == b""
    assert os.readlink(directory / "cwd") == "/"
    limits = (directory / "limits").read_text()
    assert f"Max open files            {LIMITS['RLIMIT_NOFILE'][0]} " in limits
    # Standard streams, the link, whose other end this test has kept, and the root of the files.
    open_there = {int(one.name): os.readlink(one) for one in (directory / "fd").iterdir()}
    ours = {os.readlink(f"/proc/self/fd/{one.fileno()}") for one in (process.stdin, process.stdout)}
    assert open_there.pop(4) == "/"
    assert open_there.keys() == {0, 1, 2, 3}
    assert {open_there[0], open_there[1]} == ours
    assert open_there[3].startswith("socket:")
    process.end()


def test_a_program_gets_every_signal_and_three_streams(template: Template) -> None:
    process = Piped(
        template, "program", sh("grep Sig /proc/self/status; ls /proc/$$/fd; echo; env")
    )
    shown = process.communicate(20)[0].decode()
    signals, _, rest = shown.partition("0\n1\n2\n")
    masks = {name: int(mask, 16) for name, mask in (x.split(":") for x in signals.splitlines()[1:])}
    assert [masks[name] & (1 << 31) - 1 for name in ("SigBlk", "SigIgn")] == [0, 0]
    assert set(rest.split()) == {"PWD=/"}


def test_limits_are_those_of_the_start_of_the_server(
    template: Template, monkeypatch: pytest.MonkeyPatch
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    monkeypatch.setitem(LIMITS, "RLIMIT_NOFILE", (soft - 1, hard))
    process = Piped(template, "program", sh("ulimit -n"))
    assert process.communicate(20)[0] == b"%d\n" % (soft - 1)


def test_more_descriptors_arrive_in_their_order(
    template: Template, monkeypatch: pytest.MonkeyPatch
) -> None:
    show = "print([os.readlink(f'/proc/self/fd/{n}') for n in (4, 5)], os.listdir('/proc/self/fd'))"
    with_setup(
        monkeypatch,
        "from nacre.daemon.processes.kinds import file_process\n"
        f"file_process.main = lambda given, link: {show}",
    )
    first, second = os.open("/etc", os.O_RDONLY), os.open("/usr", os.O_RDONLY)
    try:
        process = Piped(template, "files", {}, first, second)
    finally:
        os.close(first)
        os.close(second)
    shown = process.communicate(20)[0].decode().strip()
    # The last one is the listing's own.
    assert shown == f"{['/etc', '/usr']} {[str(number) for number in range(7)]}"


def test_a_system_without_more_processes_is_an_error(
    template: Template, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail = "def fail(): raise OSError(11, '')"
    module = "nacre.daemon.processes.template_process"
    with_setup(monkeypatch, f"import {module}\n{fail}\n{module}.clone_into_parent = fail")
    with pytest.raises(BlockingIOError):
        Piped(template, "program", sh("true"))


# --- the copy of a process as its template ---

Copy = Callable[[bool], Template]


@pytest.fixture
def copy() -> Iterator[Copy]:
    made = Template()

    def split(ahead: bool) -> Template:
        made.split(partial(serve_copy, ahead=ahead))
        return made

    yield split
    made.close()


def test_a_copy_has_a_spare_after_a_request(copy: Copy) -> None:
    template = copy(False)
    first = Piped(template, "program", sh("echo $$"))
    assert first.communicate(20)[0] == b"%d\n" % first.pid
    spare = spare_of(template)
    second = Piped(template, "program", sh("echo $$"))
    assert second.communicate(20)[0] == b"%d\n" % spare
    assert second.pid == spare


def test_a_copy_has_a_spare_from_the_beginning(copy: Copy) -> None:
    template = copy(True)
    spare = spare_of(template)
    served = Piped(template, "files", files())
    ask_for_version(served)
    assert served.pid == spare
    found = status(spare)
    assert found["PPid"] == str(os.getpid())
    assert found["NSsid"] == found["NSpgid"] == str(spare)
    served.end()


def test_a_spare_that_nobody_needs_ends(copy: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template_process, "SPARE_FOR", 0.0)
    template = copy(False)
    first = Piped(template, "program", sh("echo first"))
    assert first.communicate(20)[0] == b"first\n"
    ended = os.waitid(os.P_PGID, template_of(template), os.WEXITED | os.WNOWAIT)
    assert ended is not None
    assert ended.si_status == 0
    second = Piped(template, "program", sh("echo second"))
    assert second.communicate(20)[0] == b"second\n"
    assert not Path(f"/proc/{ended.si_pid}").exists()


def test_the_spare_of_a_copy_ends_with_it(copy: Copy) -> None:
    template = copy(True)
    spare, pid = spare_of(template), template_of(template)
    template.close()
    assert not Path(f"/proc/{spare}").exists()
    assert not Path(f"/proc/{pid}").exists()
