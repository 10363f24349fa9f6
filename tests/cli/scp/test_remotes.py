"""Commands that the program of ``-S`` runs, and what is passed between two of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from nacre.cli.common.log import Log, open_log
from nacre.cli.common.transfer_options import OtherProgram
from nacre.cli.scp.remotes import End, ProgramCommand, RemoteCommand, Remotes, relay
from nacre.client.target import Target
from nacre.config.client.config import ClientConfig
from nacre.errors import ConnectFailed, StreamClosed

DEADLINE = 20


@asynccontextmanager
async def running(directory: Path, *lines: str) -> AsyncIterator[list[RemoteCommand]]:
    """Run command lines by a program that runs its last word here."""
    program = directory / "program"
    program.write_text('#!/bin/sh\nfor last; do :; done\nexec sh -c "$last"\n')
    program.chmod(0o700)
    async with asyncio.timeout(DEADLINE), AsyncExitStack() as stack:
        made = remotes(str(program))
        yield [await stack.enter_async_context(made.command(end(), line)) for line in lines]


def remotes(program: str) -> Remotes:
    with open_log() as file:
        log = Log(ClientConfig().log_level, file)
    other = OtherProgram(program, ())
    return Remotes(log, server=None, program=other, options={}, rate=None)


def end() -> End:
    return End(Target.of("host", ClientConfig()), ClientConfig(), "", "host:")


async def test_the_streams_and_the_end_of_a_command(tmp_path: Path) -> None:
    async with running(tmp_path, "cat; exit 3", "kill -KILL $$") as (cat, killed):
        await cat.stdin.write(b"data")
        cat.stdin.write_eof()
        assert await cat.stdout.read() == b"data"
        assert (await cat.wait(), cat.exit_signal) == (3, None)
        assert (await killed.wait(), killed.exit_signal) == (None, "KILL")
        assert isinstance(killed, ProgramCommand)
        with pytest.raises(StreamClosed):
            await killed.stdin.write(bytes(1_000_000))


async def test_a_program_that_is_not_there() -> None:
    with pytest.raises(ConnectFailed, match=r"^can't run /no/such: No such file"):
        async with remotes("/no/such").command(end(), "true"):
            pass


async def test_what_one_prints_the_other_reads(tmp_path: Path) -> None:
    asks = "echo question; read answer; echo $answer > asked; head -c 3000000 /dev/zero"
    answers = "read question; echo $question to you; wc -c > counted"
    here = f"cd {tmp_path};"
    async with running(tmp_path, here + asks, here + answers) as (one, other):
        await relay(one, other, 65536)
        assert (await one.wait(), await other.wait()) == (0, 0)
    assert (tmp_path / "asked").read_text() == "question to you\n"
    assert (tmp_path / "counted").read_text().strip() == "3000000"


async def test_one_that_ends_early_ends_the_input_of_the_other(tmp_path: Path) -> None:
    async with running(tmp_path, "exit 1", "head -c 3000000 /dev/zero; cat") as (one, other):
        await relay(one, other, 65536)
        assert (await one.wait(), await other.wait()) == (1, 0)
