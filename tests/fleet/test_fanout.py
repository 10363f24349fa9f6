"""Files from host to host: who hands them on, and what becomes of hosts that do not."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nacre
from fleet.endpoints import LOGIN, at
from nacre.fleet import CopyFiles, FleetHost, FleetPlan, FleetReport, fanout
from nacre.fleet.fanout import MOST_FAILED, CopyTree, Holder
from nacre.sftp.client.places import RemotePlace
from parties import until

KEY = nacre.generate("ssh-ed25519")


def host(number: int) -> FleetHost:
    return FleetHost(f"h{number}", "h")


def names(*holders: Holder) -> list[str]:
    return ["here" if one.host is None else one.host.name for one in holders]


async def test_hosts_come_first_and_in_turn() -> None:
    tree = CopyTree(2)
    first = [await tree.take(), await tree.take()]
    assert names(*first) == ["here", "here"]
    for number, one in enumerate(first):
        tree.add(host(number), ())
        tree.give_back(one)
    taken = [await tree.take() for _ in range(6)]
    assert names(*taken) == ["h0", "h1", "h0", "h1", "here", "here"]
    waiting = asyncio.ensure_future(tree.take())
    await asyncio.sleep(0)
    assert not waiting.done()
    tree.give_back(taken[1])
    assert names(await waiting) == ["h1"]


async def test_a_login_without_a_key_takes_this_machine() -> None:
    tree = CopyTree(1)
    tree.add(host(0), ())
    assert names(await tree.take(own=True), await tree.take()) == ["here", "h0"]


async def test_a_host_that_has_failed_is_asked_no_more() -> None:
    tree = CopyTree(2)
    for number in range(2):
        tree.add(host(number), ())
    taken = [await tree.take() for _ in range(4)]
    assert names(*taken) == ["h0", "h1", "h0", "h1"]
    tree.give_back(taken[0], failed=True)
    tree.give_back(taken[2])
    tree.give_back(taken[1])
    tree.give_back(taken[3])
    assert names(*[await tree.take() for _ in range(3)]) == ["h1", "h1", "here"]


async def test_after_some_failures_all_files_come_from_here() -> None:
    tree = CopyTree(8)
    for number in range(MOST_FAILED + 1):
        tree.add(host(number), ())
    for _ in range(MOST_FAILED):
        tree.give_back(await tree.take(), failed=True)
    assert names(await tree.take()) == ["here"]


Handler = Callable[[nacre.Session], Any]


async def _fails(session: nacre.Session) -> int:
    await session.stderr.write(b"no sftp here\n")
    return 127


async def _lies(session: nacre.Session) -> int:
    async for line in session.stdin:
        if line.startswith(b"!echo "):
            await session.stdout.write(line.removeprefix(b"!echo "))
    return 0


async def _floods(session: nacre.Session) -> int:
    while True:
        await session.stdout.write(bytes(1 << 16))


async def _hangs(session: nacre.Session) -> int:
    await asyncio.Event().wait()
    return 0


async def copy(
    server: nacre.Server,
    source: Path,
    *,
    key: bool = True,
    count: int = 2,
    recursive: bool = False,
) -> FleetReport:
    """Copy files to some names of a server, one after the other."""
    login = {**LOGIN, "keys": [KEY] if key else []}
    return await nacre.fleet.run(
        [at(f"h{number}", server.port) for number in range(count)],
        CopyFiles((str(source),), "/%{host}", recursive, fanout=1),
        plan=FleetPlan(parallel=1),
        **login,
    )


@pytest.fixture
async def start(make_server: Any, tmp_path: Path) -> Callable[[Handler], Any]:
    """Return what starts a server that has the files of a directory, and runs commands somehow."""
    (tmp_path / "there").mkdir()
    (tmp_path / "file").write_bytes(b"text" * 5000)
    policy = nacre.Users({"alice": [KEY.public, LOGIN["password"]]})
    return lambda handler: make_server(
        handler=handler,
        policy=policy,
        sftp=lambda session: nacre.LocalFilesystem(tmp_path / "there"),
    )


@pytest.mark.parametrize(
    ("handler", "why"),
    [
        (_fails, "no sftp here"),
        (_lies, "No such file"),
        (_floods, "no line ends"),
        (_hangs, "not grown"),
    ],
)
async def test_what_a_host_does_not_hand_on_comes_from_here(
    start: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, handler: Handler, why: str
) -> None:
    if handler is _hangs:
        monkeypatch.setattr(fanout, "_STALLED", 0.3)
        monkeypatch.setattr(fanout, "_LOOK", 0.05)
    report = await copy(await start(handler), tmp_path / "file")
    assert report.ok
    first, second = report.verdicts["h0"], report.verdicts["h1"]
    assert first.reason == ""
    assert second.reason.startswith("h0 did not hand the files on: ")
    assert why in second.reason
    there = tmp_path / "there"
    assert sorted(one.name for one in there.iterdir()) == ["h0", "h1"]
    assert (there / "h1").read_bytes() == (tmp_path / "file").read_bytes()


async def test_a_directory_that_is_not_handed_on_is_not_copied_into_itself(
    start: Any, tmp_path: Path
) -> None:
    source = tmp_path / "tree"
    (source / "inner").mkdir(parents=True)
    (source / "inner" / "file").write_bytes(b"text")
    report = await copy(await start(_fails), source, recursive=True)
    assert report.ok
    assert report.verdicts["h1"].reason.startswith("h0 did not hand the files on: ")
    for name in ("h0", "h1"):
        found = (tmp_path / "there" / name).rglob("*")
        assert sorted(one.name for one in found) == ["file", "inner"]


async def test_a_login_by_a_password_is_never_handed_to(start: Any, tmp_path: Path) -> None:
    commands: list[bytes | None] = []

    async def note(session: nacre.Session) -> int:
        commands.append(session.command)
        return 1

    report = await copy(await start(note), tmp_path / "file", key=False)
    assert report.ok
    assert {one.reason for one in report.verdicts.values()} == {""}
    assert commands == []


async def test_hosts_are_asked_until_some_have_failed(start: Any, tmp_path: Path) -> None:
    commands: list[bytes | None] = []

    async def note(session: nacre.Session) -> int:
        commands.append(session.command)
        return 1

    report = await copy(await start(note), tmp_path / "file", count=MOST_FAILED + 3)
    assert report.ok
    await until(lambda: len(commands) == MOST_FAILED)
    assert [bool(one.reason) for one in report.verdicts.values()] == [
        False,
        *[True] * MOST_FAILED,
        False,
        False,
    ]


@pytest.mark.parametrize("seen", [True, False])
async def test_hashes_are_those_of_the_host_if_its_shell_sees_the_files(
    start: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen: bool
) -> None:
    monkeypatch.setattr("nacre.sftp.client.places.RemotePlace.hashes_itself", lambda place: False)
    read: list[str] = []

    async def shell(session: nacre.Session) -> int | None:
        command = (session.command or b"").decode()
        if seen:
            command = command.replace(" /", f" {tmp_path}/there/")
        process = await asyncio.create_subprocess_shell(command, stdout=subprocess.PIPE)
        printed, _ = await process.communicate()
        await session.stdout.write(printed)
        return process.returncode

    digest = RemotePlace._read_and_hash

    async def note(place: RemotePlace, handle: bytes, size: int) -> bytes:
        read.append("")
        return await digest(place, handle, size)

    monkeypatch.setattr(RemotePlace, "_read_and_hash", note)
    report = await copy(await start(shell), tmp_path / "file", count=1)
    assert report.ok, report.verdicts
    assert bool(read) != seen
