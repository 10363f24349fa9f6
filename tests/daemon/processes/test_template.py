"""The template of the server: asked by several threads, gone, replaced, ended."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from daemon.processes.forked import Piped, children, files, sh, spare_of, template_of, with_setup
from nacre.daemon.processes import template as template_module
from nacre.daemon.processes.template import Kind, Template
from parties import open_files


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_a_template_that_is_gone_is_replaced(
    template: Template, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    first = Piped(template, "program", sh("read line; echo $line"))
    before, plain = template_of(template), template_module._start

    def start_with_patience(more: Mapping[Kind, str]) -> Any:
        monkeypatch.setattr(template_module, "_PATIENCE", 20.0)
        return plain(more)

    monkeypatch.setattr(template_module, "_PATIENCE", 0.2)
    monkeypatch.setattr(template_module, "_start", start_with_patience)
    os.killpg(before, number)
    second = Piped(template, "program", sh("echo next"))
    assert second.communicate(20)[0] == b"next\n"
    assert template_of(template) != before
    assert not Path(f"/proc/{before}").exists()
    # What it had forked goes on.
    first.stdin.write(b"alive\n")
    assert first.communicate(20)[0] == b"alive\n"


def test_a_template_that_can_not_start_is_an_error(
    template: Template, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_setup(monkeypatch, "sys.exit()")
    before = open_files()
    with pytest.raises(OSError, match="does not answer"):
        Piped(template, "program", sh("true"))
    assert open_files() == before


def test_a_process_that_hangs_stops_no_other(template: Template) -> None:
    first = Piped(template, "program", sh("kill -STOP $$; echo first"))
    second = Piped(template, "program", sh("echo second"))
    assert second.communicate(20)[0] == b"second\n"
    os.waitid(os.P_PID, first.pid, os.WSTOPPED | os.WNOWAIT)
    os.kill(first.pid, signal.SIGCONT)
    assert first.communicate(20)[0] == b"first\n"


def test_threads_fork_at_the_same_time(template: Template) -> None:
    shown: list[bytes] = []

    def run(number: int) -> None:
        process = Piped(template, "program", sh(f"echo {number}"))
        shown.append(process.communicate(20)[0])

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(shown) == [b"%d\n" % number for number in range(8)]


def test_a_spare_that_is_gone_takes_the_template_along(template: Template) -> None:
    Piped(template, "program", sh("true")).end()
    before = template_of(template)
    spare = spare_of(template)
    os.kill(spare, signal.SIGKILL)
    os.waitid(os.P_PID, before, os.WEXITED | os.WNOWAIT)
    Piped(template, "program", sh("true")).end()
    assert not Path(f"/proc/{before}").exists()
    assert not Path(f"/proc/{spare}").exists()


def test_it_ends_with_its_server(template: Template) -> None:
    Piped(template, "program", sh("true")).end()
    spare_of(template)
    assert template._running is not None
    pid = template._running.pid
    template._running.requests.close()
    ended = [os.waitpid(-pid, 0)[1] for _ in ("the template", "its spare")]
    assert ended == [0, 0]
    template._running = None


@pytest.mark.slow
def test_nothing_grows_over_500_sessions(template: Template) -> None:
    null = os.open(os.devnull, os.O_RDWR)

    def serve() -> None:
        forked = template.fork("files", files(), (null, null, null))
        forked.link.close()
        forked.wait()

    def in_template() -> int:
        # Its memory is hidden, so root alone sees its descriptors.
        return len(os.listdir(f"/proc/{template_of(template)}/fd")) if os.geteuid() == 0 else 0

    serve()
    spare_of(template)
    before = open_files(), len(children())
    before_in_template = in_template()
    for _ in range(500):
        serve()
    spare_of(template)
    assert (open_files(), len(children())) == before
    # It may be about to close its end of the pipe to the spare.
    assert in_template() <= before_in_template + 1
    os.close(null)


def test_none_is_left_at_the_end(template: Template) -> None:
    before = children()
    Piped(template, "program", sh("true")).end()
    spare_of(template)
    template.close()
    assert children() == before
