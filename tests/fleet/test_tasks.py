"""What a run does at a host, with a server of nacre."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any, cast

import pytest

import nacre
from fleet.endpoints import LOGIN, at
from nacre.aio.waiting import Opening
from nacre.errors import ConfigurationError, DeadlineExceeded
from nacre.fleet.attempts import Attempts
from nacre.fleet.hosts import FleetHost
from nacre.fleet.tasks import (
    CopyFiles,
    FleetTask,
    GetFiles,
    RunCommand,
    of_task_object,
    script,
    task_object,
)
from nacre.fleet.verdicts import FleetVerdict


async def began() -> None:
    """Do nothing where a task begins."""


async def do(task: FleetTask, host: FleetHost) -> FleetVerdict:
    task.check(host)
    return await Attempts(task, 20.0, LOGIN)(host, 20.0, began)


@pytest.fixture
async def files(make_server: Any, tmp_path: Path) -> nacre.Server:
    """A server that has the files of a directory."""
    (tmp_path / "there").mkdir()
    server: nacre.Server = await make_server(
        sftp=lambda session: nacre.LocalFilesystem(tmp_path / "there")
    )
    return server


async def test_files_are_copied_with_the_variables_of_the_host(
    files: nacre.Server, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_text(name * 1000)
    sources = (f"{tmp_path}/%{{which}}",)
    for which in ("one", "two"):
        host = at(which, files.port, which=which)
        verdict = await do(CopyFiles(sources, "/%{host}.copy"), host)
        assert verdict == FleetVerdict(which, "ok")
        assert (tmp_path / "there" / f"{which}.copy").read_text() == which * 1000


async def test_directories_are_copied_and_fetched_whole(
    files: nacre.Server, tmp_path: Path
) -> None:
    tree = tmp_path / "tree" / "below"
    tree.mkdir(parents=True)
    (tree / "file").write_text("text")
    host = at("h", files.port)
    assert (await do(CopyFiles((str(tmp_path / "tree"),), "/copy", recursive=True), host)).ok
    assert (await do(GetFiles(("/copy",), str(tmp_path / "got"), recursive=True), host)).ok
    assert (tmp_path / "got" / "h" / "copy" / "below" / "file").read_text() == "text"


async def test_a_file_that_is_not_there_is_a_failure(files: nacre.Server, tmp_path: Path) -> None:
    verdict = await do(GetFiles(("/none",), str(tmp_path)), at("h", files.port))
    assert (verdict.ending, verdict.phase) == ("failed", "done")
    assert "/none" in verdict.reason


async def test_a_copy_ends_at_its_deadline() -> None:
    class Hanging:
        def sftp(self) -> Opening[Any]:
            return Opening(asyncio.Event().wait)

    with pytest.raises(DeadlineExceeded, match=r"did not end within 0\.01 seconds"):
        await CopyFiles(("/x",), "/x").perform(cast(Any, Hanging()), at("h", 1), 0.01)


def test_what_a_host_lacks_is_noticed_before_anything_is_done(tmp_path: Path) -> None:
    host = at("h", 22)
    for task in (
        RunCommand("echo %{rack}"),
        CopyFiles((str(tmp_path),), "/%{rack}"),
        GetFiles(("/%{rack}",), "."),
    ):
        with pytest.raises(ConfigurationError, match="no variable rack"):
            task.check(host)
    with pytest.raises(ConfigurationError, match="there is no file"):
        CopyFiles((str(tmp_path / "none"),), "/").check(host)
    with pytest.raises(ConfigurationError, match="that of a directory"):
        GetFiles(("/x",), ".").check(at("../h", 22))
    with pytest.raises(ConfigurationError, match="name the files"):
        GetFiles(("/",), ".").check(host)


@pytest.mark.parametrize(
    "task",
    [
        RunCommand("x", b"\xff", idempotent=True, max_output=3),
        CopyFiles(("a", "b"), "c", recursive=True),
        GetFiles(("a",), "b", preserve=True),
    ],
)
def test_a_task_goes_through_json(task: FleetTask) -> None:
    assert of_task_object(json.loads(json.dumps(task_object(task)))) == task


def test_a_task_of_a_program_can_not_be_kept() -> None:
    with pytest.raises(ConfigurationError, match="can't be kept"):
        task_object(object())  # type: ignore[arg-type]


def test_a_script_runs_from_a_file_that_is_gone_afterwards(tmp_path: Path) -> None:
    for head in (b"", b"#!/bin/sh\n"):
        task = script(head + b'echo "$0" "$@"; cat; exit 3\n', "'a b' c")
        done = subprocess.run(
            ["sh", "-c", task.command],
            input=task.input,
            capture_output=True,
            timeout=60,
            env={"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path)},
            check=False,
        )
        assert (done.returncode, done.stderr) == (3, b"")
        name, *words = done.stdout.decode().split(" ")
        assert name.startswith(str(tmp_path))
        assert words == ["a", "b", "c\n"]
        assert list(tmp_path.iterdir()) == []
