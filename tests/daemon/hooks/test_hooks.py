"""``nacre serve --hooks`` with OpenSSH's clients: what they were told has happened is told on."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import nacre
from daemon.audit.test_served import kill_all, options, run, sftp
from daemon.hooks.receiver import HANG, SECRET, Receiver, receiving
from daemon.separate.watched import processes
from daemon.served import KEY, Server, make_state, serving
from nacre.cli.hook.command import command
from nacre.daemon.audit.table import FILE
from nacre.daemon.hooks.table import HookTable
from nacre.daemon.hooks.values import Progress
from procfs import below, children, name_of

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(shutil.which("sftp") is None, reason="OpenSSH's sftp is not installed"),
]

MODES = {"gates": (), "one process": ("--gates", "0"), "workers": ("--workers", "2")}
CLIENTS, FILES_EACH = 5, 40
KILLS = 20
"""Rounds of kills, of one mode after another."""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "files").mkdir()
    (tmp_path / "key").write_bytes(nacre.dump_private(KEY))
    (tmp_path / "key").chmod(0o600)
    (tmp_path / "small").write_bytes(b"x" * 4096)
    (tmp_path / "hook.key").touch(0o600)
    (tmp_path / "hook.key").write_bytes(SECRET + b"\n")
    return make_state(tmp_path)


@pytest.fixture(params=list(MODES.values()), ids=list(MODES))
def mode(request: pytest.FixtureRequest) -> tuple[str, ...]:
    found: tuple[str, ...] = request.param
    return found


def hook(state: Path, *words: str) -> Result:
    found = CliRunner().invoke(command, [*words, "--state", str(state)])
    assert found.exit_code == 0, found.output
    return found


def add_url(state: Path, receiver: Receiver, name: str = "url", *words: str) -> None:
    secret = str(state.parent / "hook.key")
    hook(state, "add", name, "--url", receiver.url, "--secret-file", secret, *words)


def status_of(state: Path, name: str) -> str:
    return hook(state, "status", name, "--json").output


def progress(state: Path, name: str = "url") -> Progress:
    with closing(HookTable(state / FILE)) as table:
        return table.one(name).progress


async def until(found: Callable[[], Any]) -> None:
    """Return when something is so that only the server's files tell."""
    async with asyncio.timeout(60):
        # Another process changes them.
        while not await asyncio.to_thread(found):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def shown_to_work(state: Path, name: str) -> None:
    """Return when the server has told a hook of a test: it knows the hook then."""
    await asyncio.to_thread(hook, state, "test", name, "--wait", "50")


def names(receiver: Receiver) -> list[str]:
    return [one.told["event"] for one in receiver.taken]


async def test_what_happens_is_told(state: Path, mode: tuple[str, ...]) -> None:
    async with receiving() as receiver, serving(state, "--hooks", *mode) as server:
        add_url(state, receiver, "url", "--on", "login,upload,download,rename,delete,mkdir")
        await shown_to_work(state, "url")
        status, text = await run(
            server,
            state,
            "files",
            *("put small a", "get a back", "rename a b", "mkdir d", "rmdir d", "-rm none", "rm b"),
        )
        assert status == 0, text
        await receiver.until(lambda: names(receiver).count("delete") == 2)
        assert [one.signed for one in receiver.taken] == [True] * len(receiver.taken)
        wanted = ["test", "login", "upload", "download", "rename", "mkdir", "delete", "delete"]
        assert names(receiver) == wanted
        upload = next(one.told for one in receiver.taken if one.told["event"] == "upload")
        assert upload["user"] == "files"
        assert upload["fields"]["path"] == "/a"
        assert upload["fields"]["written"] == 4096
        assert upload["peer"].startswith("127.0.0.1:")
        numbers = [one.told["number"] for one in receiver.taken]
        assert numbers == sorted(set(numbers))


async def test_sessions_are_told_from_beginning_to_end(state: Path, mode: tuple[str, ...]) -> None:
    async with receiving() as receiver, serving(state, "--hooks", *mode) as server:
        add_url(state, receiver, "url", "--on", "login,command,exit,closed", "--any-outcome")
        await shown_to_work(state, "url")
        words = ("ssh", *options(state), "-p", str(server.port), "alice@127.0.0.1", "exit 3")
        process = await asyncio.create_subprocess_exec(
            *words, stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
        async with asyncio.timeout(50):
            assert await process.wait() == 3
        with pytest.raises(nacre.AuthenticationFailed):
            async with server.connect("nobody", keys=[], password="guess"):
                pass
        await receiver.until(lambda: {"closed", "exit"} <= set(names(receiver)))
        await receiver.until(lambda: any(one.told["user"] == "nobody" for one in receiver.taken))
        events = {
            one.told["event"]: one.told for one in receiver.taken if one.told["user"] == "alice"
        }
        assert events["command"]["fields"]["command"] == "exit 3"
        assert events["exit"]["fields"]["status"] == 3
        outcomes = {one.told["outcome"] for one in receiver.taken if one.told["user"] == "nobody"}
        assert outcomes <= {"failure", "refused"}


async def test_a_client_that_connects_is_told_of_once_whether_it_logs_in_or_not(
    state: Path, mode: tuple[str, ...]
) -> None:
    async with receiving() as receiver, serving(state, "--hooks", *mode) as server:
        add_url(state, receiver, "url", "--on", "connect,login,closed")
        await shown_to_work(state, "url")
        # What has renewed its keys is the same connection.
        more = ("-oRekeyLimit=16K", "-p", str(server.port), "alice@127.0.0.1")
        words = ("ssh", *options(state), *more, "head -c 200000 /dev/zero")
        process = await asyncio.create_subprocess_exec(
            *words, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL
        )
        async with asyncio.timeout(50):
            assert await process.wait() == 0
        await receiver.until(lambda: "closed" in names(receiver))
        assert names(receiver) == ["test", "connect", "login", "closed"]
        connected, login = receiver.taken[1].told, receiver.taken[2].told
        assert (connected["user"], connected["fields"]) == ("", {})
        assert connected["connection"] == login["connection"]
        assert connected["peer"] == login["peer"]
        process = await asyncio.create_subprocess_exec(
            *("ssh", *options(state), "-oPreferredAuthentications=none", *more[1:]),
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        async with asyncio.timeout(50):
            assert await process.wait() == 255
        await receiver.until(lambda: names(receiver).count("connect") == 2)


async def test_no_connection_is_in_the_table_if_no_hook_asks_for_it(state: Path) -> None:
    async with receiving() as receiver, serving(state, "--hooks") as server:
        add_url(state, receiver, "url", "--on", "login")
        await shown_to_work(state, "url")
        async with server.connect("alice"):
            pass
        await receiver.until(lambda: "login" in names(receiver))
        with closing(HookTable(state / FILE)) as table:
            assert {one.event for one in table.events(0, 100)} >= {"audit", "login"}
            assert not [one for one in table.events(0, 100) if one.event == "connect"]


async def test_a_hook_that_fails_or_hangs_holds_nothing_up(
    state: Path, mode: tuple[str, ...]
) -> None:
    """Logins and uploads go on, other hooks are told, and nothing is lost when it works again."""
    async with receiving() as ill, receiving() as well, serving(state, "--hooks", *mode) as server:
        ill.answer = lambda request: HANG
        add_url(state, ill, "ill", "--on", "upload", "--timeout", "1")
        add_url(state, well, "well", "--on", "upload")
        await shown_to_work(state, "well")
        puts = [f"put small {number}" for number in range(10)]
        status, text = await run(server, state, "files", *puts)
        assert status == 0, text
        await well.until(lambda: names(well).count("upload") == 10)
        await ill.until(lambda: ill.requests)
        await server.until("event=hook hook=ill .*outcome=failing")
        await until(lambda: json.loads(status_of(state, "ill"))["state"] == "failing")
        assert json.loads(status_of(state, "ill"))["problem"] == "it was not done within 1 seconds"
        # Each failure costs a pause of a second.
        ill.answer = lambda request: "200 OK" if len(ill.requests) % 6 else "500 No"
        await ill.until(lambda: names(ill).count("upload") == 10)
        paths = [one.told["fields"]["path"] for one in ill.taken]
        assert paths == [f"/{number}" for number in range(10)]
        await server.until('event=hook hook=ill .*outcome="works again"')


async def test_commands_run_as_an_account_without_rights(state: Path) -> None:
    async with serving(state, "--hooks") as server:
        script = "id -u; echo $NACRE_EVENT $NACRE_PATH; cat >/dev/null"
        hook(state, "add", "sh", "--on", "upload", "--command", f"/bin/sh -c '{script}'")
        await shown_to_work(state, "sh")
        status, text = await run(server, state, "files", "put small a")
        assert status == 0, text
        line = await server.until("event=hook hook=sh .*upload")
        account = 65534 if os.geteuid() == 0 else os.geteuid()
        assert f'output="{account}' in line


async def test_copies_by_scp_are_told(state: Path) -> None:
    async with receiving() as receiver, serving(state, "--hooks") as server:
        add_url(state, receiver, "url", "--on", "upload,download")
        place = "files@127.0.0.1:copy"
        for words in (["small", place], [place, "back"]):
            process = await asyncio.create_subprocess_exec(
                *("scp", "-O", *options(state), "-P", str(server.port), *words),
                cwd=state.parent,
                stdin=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )
            async with asyncio.timeout(50):
                assert await process.wait() == 0
        await receiver.until(lambda: names(receiver) == ["upload", "download"])
        assert receiver.taken[0].told["fields"]["op"] == "upload"


async def test_what_a_hook_refuses_is_given_up_and_told_again_on_request(state: Path) -> None:
    async with receiving() as receiver, serving(state, "--hooks") as server:
        receiver.answer = lambda request: (
            "400 No" if request.told["event"] == "upload" else "200 OK"
        )
        add_url(state, receiver, "url", "--on", "upload,delete")
        await shown_to_work(state, "url")
        status, text = await run(server, state, "files", "put small a", "rm a")
        assert status == 0, text
        await server.until("event=hook hook=url .*outcome=dead")
        await until(lambda: json.loads(status_of(state, "url"))["dead"] == 1)
        (dead,) = json.loads(status_of(state, "url"))["given_up"]
        assert dead["reason"] == "HTTP status 400"
        receiver.answer = lambda request: "200 OK"
        hook(state, "rewind", "url", str(dead["event"]))
        await receiver.until(lambda: "upload" in names(receiver))
        assert names(receiver)[-2:] in (["delete", "upload"], ["upload", "delete"])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root takes another account")
async def test_the_process_has_no_rights_and_no_files(state: Path) -> None:
    async with receiving() as receiver, serving(state, "--hooks") as server:
        add_url(state, receiver)
        await shown_to_work(state, "url")
        (process,) = [one for one in processes(server) if one.name == "nacre-hooks"]
        assert 0 not in process.uids
        assert process.capabilities == 0
        assert process.status["Groups"] == ""
        assert not any(str(state) in one for one in process.descriptors())


async def test_a_worker_that_dies_takes_no_event_along(state: Path) -> None:
    async with receiving() as receiver, serving(state, "--hooks", "--workers", "2") as server:
        add_url(state, receiver, "url", "--on", "upload")
        await shown_to_work(state, "url")
        (feeds,) = [
            one
            for one in children(server.process.pid)
            for child in children(one)
            if name_of(child) == "nacre-hooks"
        ]
        os.kill(feeds, signal.SIGKILL)
        await server.until('what="a worker died"')
        status, text = await run(server, state, "files", "put small a")
        assert status == 0, text
        await receiver.until(lambda: "upload" in names(receiver))


async def test_the_process_of_hooks_may_die(state: Path) -> None:
    async with receiving() as receiver, serving(state, "--hooks") as server:
        receiver.answer = lambda request: HANG
        add_url(state, receiver, "url", "--on", "upload")
        status, text = await run(server, state, "files", "put small a")
        assert status == 0, text
        await receiver.until(lambda: receiver.requests)
        (process,) = [one for one in processes(server) if one.name == "nacre-hooks"]
        receiver.answer = lambda request: "200 OK"
        os.kill(process.pid, signal.SIGKILL)
        await server.until('what="the process of hooks died"')
        await receiver.until(lambda: names(receiver) == ["upload"])
        first, last = receiver.requests[0], receiver.requests[-1]
        assert first.headers["nacre-id"] == last.headers["nacre-id"]
        assert first.body == last.body


async def test_it_ends_with_the_server_and_goes_on_with_the_next(state: Path) -> None:
    async with receiving() as receiver:
        async with serving(state, "--hooks") as server:
            receiver.answer = lambda request: HANG
            add_url(state, receiver, "url", "--on", "upload")
            status, text = await run(server, state, "files", "put small a")
            assert status == 0, text
            await receiver.until(lambda: receiver.requests)
            server.process.terminate()
            assert await server.end() == 0
        receiver.answer = lambda request: "200 OK"
        async with serving(state, "--hooks"):
            await receiver.until(lambda: names(receiver) == ["upload"])
            await until(lambda: progress(state).delivered == 1)


async def uploaded(server: Server, state: Path, number: int, began: asyncio.Event) -> list[str]:
    """Upload files until the server is gone, and return those that sftp saw succeed."""
    files = [f"{number}-{one}" for one in range(FILES_EACH)]
    async with sftp(server, state, "files") as process, asyncio.timeout(50):
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("".join(f"put small {name}\n" for name in files).encode())
        with suppress(ConnectionError):
            process.stdin.close()
        # It prints a command before it does it, and ends at the first one that fails.
        told = 0
        while line := await process.stdout.readline():
            told += line.startswith(b"sftp> put")
            if told > 2:
                began.set()
        status = await process.wait()
    return files if status == 0 else files[: max(0, told - 1)]


@pytest.mark.parametrize(
    "round_",
    [
        pytest.param(number, marks=[pytest.mark.long] * (number >= len(MODES)))
        for number in range(KILLS)
    ],
)
async def test_no_upload_is_lost_when_all_processes_are_killed(state: Path, round_: int) -> None:
    mode = list(MODES.values())[round_ % len(MODES)]
    async with receiving() as receiver:
        # Some are under way, some fail and are tried again, when the end comes.
        receiver.answer = lambda request: (
            "500 No" if len(receiver.requests) % 20 == 19 else "200 OK"
        )
        async with serving(state, "--hooks", "-o", "MaxStartups=100", *mode) as server:
            add_url(state, receiver, "url", "--on", "upload")
            await shown_to_work(state, "url")
            began = [asyncio.Event() for _ in range(CLIENTS)]
            work = [
                asyncio.ensure_future(uploaded(server, state, number, one))
                for number, one in enumerate(began)
            ]
            async with asyncio.timeout(40):
                for one in began[: 1 + round_ % CLIENTS]:
                    await one.wait()
            assert below(server.process.pid)
            kill_all(server)
            seen = {name for found in await asyncio.gather(*work) for name in found}
        assert seen
        receiver.answer = lambda request: "200 OK"
        async with serving(state, "--hooks", *mode):
            wanted = {f"/{name}" for name in seen}

            def arrived() -> bool:
                uploads = (one for one in receiver.taken if one.told["event"] == "upload")
                return wanted <= {one.told["fields"]["path"] for one in uploads}

            await receiver.until(arrived)
        assert all(one.signed for one in receiver.requests)
        # What came twice had the same identifier.
        for path in wanted:
            same = {
                one.headers["nacre-id"]
                for one in receiver.taken
                if one.told["fields"].get("path") == path
            }
            assert len(same) == 1, path
