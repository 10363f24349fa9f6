"""One attempt at one host: each way to fail is a verdict."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import nacre
from fleet.endpoints import LOGIN, at, free_port, saying
from nacre.errors import StateError
from nacre.fleet.attempts import Attempts
from nacre.fleet.hosts import FleetHost
from nacre.fleet.tasks import CopyFiles, FleetTask, RunCommand
from nacre.fleet.verdicts import FleetVerdict
from parties import hangs_up_after

EXIT = RunCommand("exit 0")


async def attempt(
    host: FleetHost, task: FleetTask = EXIT, seconds: float | None = 20.0, **options: Any
) -> tuple[FleetVerdict, bool]:
    """Try a host; return the verdict, and whether the task was begun."""
    begun = asyncio.Event()

    async def begin() -> None:
        begun.set()

    made = Attempts(task, 20.0, {**LOGIN, **options})
    return await made(host, seconds, begin), begun.is_set()


async def test_a_command_ends_with_its_output(make_server: Any) -> None:
    server = await make_server()
    verdict, begun = await attempt(at("h", server.port), RunCommand("print 3 2"))
    assert verdict == FleetVerdict("h", "ok", exit_status=0, stdout=bytes(3), stderr=b"ee")
    assert begun


async def test_a_command_that_fails_is_told_from_one_whose_end_was_not_seen(
    make_server: Any,
) -> None:
    server = await make_server()
    failed, _ = await attempt(at("h", server.port), RunCommand("exit 3"))
    assert (failed.ending, failed.exit_status) == ("failed", 3)
    killed, _ = await attempt(at("h", server.port), RunCommand("kill"))
    assert (killed.ending, killed.exit_signal) == ("failed", "TERM")
    dies = await make_server(handler=hangs_up_after())
    unknown, begun = await attempt(at("h", dies.port))
    assert (unknown.ending, unknown.phase, unknown.stdout) == ("unknown", "run", b"answer\n")
    assert begun


async def test_a_command_that_hangs_is_out_of_time_with_what_it_has_printed(
    make_server: Any,
) -> None:
    server = await make_server()
    verdict, begun = await attempt(at("h", server.port), RunCommand("say-and-hang"), 1.0)
    assert (verdict.ending, verdict.phase) == ("timeout", "run")
    assert (verdict.stdout, verdict.stderr) == (b"out", b"err")
    assert begun


async def test_a_command_that_prints_too_much_has_failed(make_server: Any) -> None:
    server = await make_server()
    verdict, _ = await attempt(at("h", server.port), RunCommand("print 99 0", max_output=10))
    assert verdict.ending == "failed"
    assert "more than 10 bytes" in verdict.reason


@pytest.mark.parametrize(
    ("text", "closes", "ending", "phase"),
    [
        (b"", False, "timeout", "version"),
        (b"SSH-2.0-x\r\n", False, "timeout", "kex"),
        (b"HTTP/1.1 400\r\n", True, "refused", "version"),
        (b"SSH-2.0-x\r\n", True, "refused", "kex"),
    ],
)
async def test_a_host_that_hangs_or_dies_before_the_login_names_the_phase(
    text: bytes, closes: bool, ending: str, phase: str
) -> None:
    async with saying(text, closes=closes) as port:
        verdict, begun = await attempt(at("h", port), seconds=20.0 if closes else 0.1)
    assert (verdict.ending, verdict.phase) == (ending, phase)
    assert verdict.reason
    assert not begun


async def test_a_login_that_is_refused_names_the_phase(make_server: Any) -> None:
    refused, _ = await attempt(at("h", await free_port()))
    assert (refused.ending, refused.phase) == ("refused", "connect")
    server = await make_server()
    wrong, _ = await attempt(at("h", server.port), password="wrong")
    assert (wrong.ending, wrong.phase) == ("refused", "authentication")
    stranger, begun = await attempt(at("h", server.port), trust=None, known_hosts="/dev/null")
    assert (stranger.ending, stranger.phase) == ("refused", "kex")
    assert not begun


async def test_the_user_of_a_host_counts_before_that_of_all(make_server: Any) -> None:
    server = await make_server()
    host = FleetHost("h", "127.0.0.1", server.port, "alice")
    verdict, _ = await attempt(host, user="bob")
    assert verdict.ok


async def test_an_error_of_a_file_here_is_the_hosts(make_server: Any) -> None:
    server = await make_server(sftp=lambda session: nacre.MemoryFilesystem())
    task = CopyFiles(("/nowhere/file",), "file")
    verdict, _ = await attempt(at("h", server.port), task)
    assert verdict.ending == "failed"
    assert "/nowhere/file" in verdict.reason


async def test_an_error_of_the_journal_is_the_runs(make_server: Any) -> None:
    server = await make_server()

    async def begin() -> None:
        raise StateError("the disk is full")

    with pytest.raises(StateError, match="disk is full"):
        await Attempts(EXIT, 20.0, LOGIN)(at("h", server.port), None, begin)


async def test_an_error_of_the_program_does_not_end_the_run(make_server: Any) -> None:
    class Broken(RunCommand):
        async def perform(self, *about: Any) -> FleetVerdict:
            raise ValueError("as asked")

    server = await make_server()
    verdict, _ = await attempt(at("h", server.port), Broken("x"))
    assert (verdict.ending, verdict.phase) == ("unknown", "run")
    assert "as asked" in verdict.reason
