"""Quotas and rates: OpenSSH's programs, many uploads at once, and servers that are killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import nacre
from interop.clients import Login
from interop.daemons import RUN_AS, Daemon, State, start_nacre
from interop.programs import NACRE, check, manage, require, run
from interop.stores import BUCKET, Store, environment_of, moto
from nacre.errors import NacreError
from nacre.limits import KIB, MIB
from procfs import below

pytestmark = pytest.mark.interop

KINDS: list[list[str]] = [[], ["--gates", "0"], ["--gates", "0", "--workers", "2"]]
UNHURRIED = ["-o", "MaxStartups=1000", "-o", "PerSourcePenalties=no"]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    path = tmp_path / "files"
    path.mkdir()
    return path


@pytest.fixture
def state(files: Path, keys: dict[str, Path], tmp_path: Path) -> State:
    made = State(tmp_path / "state")
    key = keys["ed25519"].with_suffix(".pub")
    words = ["--key", key, "--service", "sftp", "--root", files]
    manage("user", "add", "alice", "--state", made.path, *RUN_AS, *words)
    return made


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with moto(tmp_path_factory.mktemp("store")) as store:
        yield store


@pytest.fixture
def objects(state: State, store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """An object store, in which alice's files are from now on."""
    for name, value in environment_of(store.url).items():
        monkeypatch.setenv(name, value)
    state.set_user("alice", "--root", f"s3://{BUCKET}/alice")
    yield store
    store.client.rm(f"{BUCKET}/alice", recursive=True)


@pytest.fixture(params=KINDS, ids=str)
def kind(request: pytest.FixtureRequest) -> list[str]:
    found: list[str] = request.param
    return found


def sftp(login: Login) -> list[str]:
    where = ["-P" if word == "-p" else word for word in login.options()]
    return [require("sftp"), "-b", "-", *where, "alice@127.0.0.1"]


def scp(login: Login, source: Path, target: str, *flags: str) -> list[str]:
    where = ["-P" if word == "-p" else word for word in login.options()]
    return [require("scp"), *flags, *where, str(source), f"alice@127.0.0.1:{target}"]


def usage(state: State, *words: str) -> dict[str, Any]:
    (found,) = json.loads(manage("user", "usage", "alice", "--json", "--state", state.path, *words))
    return dict(found)


def stored(files: Path) -> tuple[int, int]:
    found = list(files.rglob("*"))
    return sum(one.stat().st_size for one in found if one.is_file()), len(found)


def counted(state: State, *words: str) -> tuple[int, int]:
    found = usage(state, *words)
    assert found["counted"]
    return found["bytes"], found["files"]


def test_what_openssh_sees(
    state: State, kind: list[str], files: Path, keys: dict[str, Path], tmp_path: Path
) -> None:
    state.set_user("alice", "--quota-bytes", "1M", "--quota-files", "3")
    large, rest = tmp_path / "large", tmp_path / "rest"
    large.write_bytes(os.urandom(600 * KIB))
    rest.write_bytes(os.urandom(424 * KIB))
    with start_nacre(state, *kind) as server:
        login = Login(server, "alice", tmp_path, keys["ed25519"])
        done = run(sftp(login), input=f"put {large} a\ndf\n-put {large} b\nrm b\n".encode())
        assert done.returncode == 0, done.stderr
        size, used = done.stdout.split(b"%Capacity")[1].split()[:2]
        assert (int(size), int(used)) == (1024, 600)
        server.wait_for(r'reason="your quota is 1 MiB: \d+ \w+ of it are left, and this needs')
        assert counted(state) == stored(files) == (600 * KIB, 1)
        for flags in ([], ["-O"]):
            done = run(scp(login, large, "c", *flags))
            assert done.returncode == 1
            check([*sftp(login)], input=b"rm c\n")
        # What is left can be used to the last byte, and no further.
        check(scp(login, rest, "b", "-O"))
        assert counted(state) == stored(files) == (1 * MIB, 2)
        (tmp_path / "byte").write_bytes(b"x")
        assert run(scp(login, tmp_path / "byte", "c")).returncode == 1
        # Its name stays, and is the third one.
        assert run(sftp(login), input=b"mkdir d\n").returncode == 1
        check(sftp(login), input=b"rm c\nrm a\nmkdir d\n")
        assert counted(state) == stored(files) == (424 * KIB, 2)
        assert counted(state, "--recount") == (424 * KIB, 2)


def test_transfers_and_rates(
    state: State, kind: list[str], files: Path, keys: dict[str, Path], tmp_path: Path
) -> None:
    state.set_user("alice", "--transfer-up", "300K", "--transfer-down", "200K")
    source = tmp_path / "source"
    source.write_bytes(os.urandom(200 * KIB))
    with start_nacre(state, *kind) as server:
        login = Login(server, "alice", tmp_path, keys["ed25519"])
        check(scp(login, source, "a"))
        assert run(scp(login, source, "b")).returncode == 1
        server.wait_for('reason="you may upload 300 KiB a month, of which')
        check(sftp(login), input=f"get a {tmp_path / 'back'}\n".encode())
        assert (tmp_path / "back").read_bytes() == source.read_bytes()
        assert run(sftp(login), input=f"get a {tmp_path / 'again'}\n".encode()).returncode == 1
        server.wait_for('reason="you may download 200 KiB a month, of which 0 bytes are left')
        found = usage(state)
        assert (found["down"], found["transfer_down"]) == (200 * KIB, 200 * KIB)
        # Both have a rate from the next session on, and the files are whole.
        words = ["transfer-up", "transfer-down"]
        inherits = [part for word in words for part in ("--inherit", word)]
        state.set_user("alice", *inherits, "--rate-up", "1M", "--rate-down", "1M")
        check(scp(login, source, "c"))
        check(sftp(login), input=f"get c {tmp_path / 'again'}\n".encode())
        assert (files / "c").read_bytes() == (tmp_path / "again").read_bytes()


def objects_stored(store: Store) -> tuple[int, int]:
    names = store.names("alice")
    sizes = [len(store.content(f"alice/{name}")) for name in names if name[-1] != "/"]
    return sum(sizes), len(names)


@pytest.mark.parametrize("kind", KINDS[:2], ids=str)
def test_objects_are_counted(
    state: State, kind: list[str], objects: Store, keys: dict[str, Path], tmp_path: Path
) -> None:
    state.set_user("alice", "--quota-bytes", "1M", "--quota-files", "3")
    large, rest = tmp_path / "large", tmp_path / "rest"
    large.write_bytes(os.urandom(600 * KIB))
    rest.write_bytes(os.urandom(424 * KIB))
    with start_nacre(state, *kind) as server:
        login = Login(server, "alice", tmp_path, keys["ed25519"])
        lines = f"mkdir d\nput {large} d/a\ndf\n-put {large} b\nput {rest} b\n-mkdir e\n"
        done = run(sftp(login), input=lines.encode())
        assert done.returncode == 0, done.stderr
        size, used = done.stdout.split(b"%Capacity")[1].split()[:2]
        assert (int(size), int(used)) == (1024, 600)
        server.wait_for(r'reason="your quota is 1 MiB: \d+ \w+ of it are left, and this needs')
        assert counted(state) == objects_stored(objects) == (1 * MIB, 3)
        (tmp_path / "byte").write_bytes(b"x")
        assert run(scp(login, tmp_path / "byte", "d/a/c", "-O")).returncode == 1
        check(sftp(login), input=b"rename d f\nrm b\n")
        assert counted(state) == objects_stored(objects) == (600 * KIB, 2)
        # What another program stores is seen when the objects are counted.
        objects.client.pipe(f"{BUCKET}/alice/unseen", b"12345")
        assert counted(state) == (600 * KIB, 2)
        assert counted(state, "--recount") == objects_stored(objects) == (600 * KIB + 5, 3)


@pytest.mark.parametrize("count", [1, pytest.param(5, marks=pytest.mark.long)])
async def test_a_server_that_is_killed_while_objects_are_stored(
    state: State, objects: Store, keys: dict[str, Path], tmp_path: Path, count: int
) -> None:
    state.set_user("alice", "--quota-bytes", "3M")
    for _ in range(count):
        server = start_nacre(state, *UNHURRIED)
        enough = asyncio.Event()

        async def upload(who: int, server: Daemon = server, enough: asyncio.Event = enough) -> None:
            try:
                async with connect(server, keys["ed25519"]) as ssh, ssh.sftp() as talk:
                    for number in range(1000):
                        await talk.write_bytes(f"{who}-{number % 4}", os.urandom(300 * KIB))
                        if number == 3:
                            enough.set()
            except (OSError, NacreError):
                return

        try:
            tasks = [asyncio.ensure_future(upload(who)) for who in range(3)]
            async with asyncio.timeout(120):
                await enough.wait()
            kill(server)
            async with asyncio.timeout(60):
                await asyncio.gather(*tasks)
        finally:
            server.stop()
        with start_nacre(state) as server:
            async with connect(server, keys["ed25519"]) as ssh, ssh.sftp() as talk:
                await talk.write_bytes("one", b"x")
        found = objects_stored(objects)
        assert counted(state) == found
        assert found[0] <= 3 * MIB
        assert counted(state, "--recount") == found


@contextmanager
def sending(data: bytes) -> Iterator[int]:
    """Serve one client, which gets ``data``; return the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            client = server.accept()[0]
            with client:
                client.sendall(data)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        thread.join(30)


@pytest.mark.parametrize("kind", KINDS[:2], ids=str)
def test_shells_and_forwards_have_rates(
    state: State, kind: list[str], files: Path, keys: dict[str, Path], tmp_path: Path
) -> None:
    data = os.urandom(128 * KIB)
    rates = ["--rate-up", "256K", "--rate-down", "256K", "--transfer-down", "300K"]
    state.set_user("alice", "--service", "all", "--inherit", "root", *rates)
    with start_nacre(state, *kind) as server:
        login = Login(server, "alice", tmp_path, keys["ed25519"])
        begun = time.monotonic()
        assert check([*login.ssh(), "cat"], input=data) == data
        with sending(data) as port:
            done = run(login.ssh(flags=["-W", f"127.0.0.1:{port}"]), input=b"")
        assert done.stdout == data
        # Both ways at the same time, and all but the last advance of each has been waited for.
        assert time.monotonic() - begun > 0.8
        deadline = time.monotonic() + 30
        passed = {"up": 128 * KIB, "down": 256 * KIB}
        while not (found := usage(state)).items() >= passed.items():
            assert time.monotonic() < deadline, found  # what was taken in advance is given back
        done = run([*login.ssh("LogLevel=INFO"), "head -c 200000 /dev/zero"])
        assert done.returncode == 255
        assert b"you may download 300 KiB a month, of which" in done.stderr
        server.wait_for('event=refused .*reason="you may download 300 KiB a month')
        # Files of the same user are counted in the same ledger.
        (tmp_path / "source").write_bytes(data)
        check(sftp(login), input=f"put {tmp_path / 'source'} {files / 'target'}\n".encode())
        assert (files / "target").read_bytes() == data
        assert usage(state)["up"] == 256 * KIB


def test_a_user_with_a_shell_has_none(state: State) -> None:
    words = ["--service", "all", "--quota-bytes", "1M", "--state", state.path]
    done = run([*NACRE, "user", "set", "alice", *words])
    assert done.returncode == 1
    assert b"which does not hold in a shell: give --service sftp" in done.stderr


def connect(server: Daemon, key: Path, user: str = "alice") -> Any:
    return nacre.connect(
        "127.0.0.1",
        server.port,
        user=user,
        keys=[key],
        agent=False,
        trust=nacre.AnyHostKey(),
        config=None,
    )


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_hundred_uploads_at_once(
    state: State, kind: list[str], files: Path, keys: dict[str, Path], tmp_path: Path
) -> None:
    state.set_user("alice", "--quota-bytes", "4M", "--partial-uploads", "remove")
    sizes = [50_000 + 1_000 * number for number in range(100)]  # together more than twice as many
    sources = [tmp_path / f"source{number}" for number in range(100)]
    for source, size in zip(sources, sizes, strict=True):
        source.write_bytes(os.urandom(size))
    together = asyncio.Barrier(100)

    async def upload(server: Daemon, number: int) -> bool:
        async with connect(server, keys["ed25519"]) as ssh, ssh.sftp() as talk:
            await together.wait()
            try:
                await talk.put(sources[number], f"f{number}")
            except OSError:
                return False
            return True

    with start_nacre(state, *kind, *UNHURRIED) as server:
        async with asyncio.timeout(240):
            done = await asyncio.gather(*(upload(server, number) for number in range(100)))
        there = {number for number, whole in enumerate(done) if whole}
        assert 0 < len(there) < 100
        for number in there:
            assert (files / f"f{number}").read_bytes() == sources[number].read_bytes()
        assert counted(state) == stored(files)
        left = 4 * MIB - stored(files)[0]
        assert left >= 0
        async with connect(server, keys["ed25519"]) as ssh, ssh.sftp() as talk:
            await talk.write_bytes("rest", bytes(left))
            with pytest.raises(OSError, match="quota"):
                await talk.write_bytes("more", b"x")
    assert counted(state, "--recount") == stored(files)
    assert stored(files)[0] == 4 * MIB


def kill(server: Daemon) -> None:
    """End a server and all its processes at once, and wait until they are gone."""
    pids = [server.pid, *below(server.pid)]
    held = []
    for pid in pids:
        try:
            held.append(os.pidfd_open(pid))
        except ProcessLookupError:
            continue
    for one in held:
        try:
            signal.pidfd_send_signal(one, signal.SIGKILL)
        except ProcessLookupError:
            continue
    server.process.wait(30)
    for one in held:
        os.close(one)


async def rounds(
    state: State, kind: Sequence[str], files: Path, key: Path, source: Path, count: int
) -> None:
    """Kill servers amid uploads, again and again."""
    content = source.read_bytes()
    kept: set[str] = set()
    for turn in range(count):
        server = start_nacre(state, *kind, *UNHURRIED)
        enough = asyncio.Event()

        async def upload(
            who: int, server: Daemon = server, turn: int = turn, enough: asyncio.Event = enough
        ) -> None:
            try:
                async with connect(server, key) as ssh, ssh.sftp() as talk:
                    for number in range(1000):
                        name = f"{turn}-{who}-{number}"
                        await talk.put(source, name)
                        kept.add(name)
                        if number % 3 == 2:
                            kept.discard(f"{turn}-{who}-{number - 1}")
                            await talk.remove(f"{turn}-{who}-{number - 1}")
                        if number == 2 + turn % 4:
                            enough.set()
            except (OSError, NacreError):
                return

        try:
            tasks = [asyncio.ensure_future(upload(who)) for who in range(6)]
            async with asyncio.timeout(60):
                await enough.wait()
            kill(server)
            async with asyncio.timeout(60):
                await asyncio.gather(*tasks)
        finally:
            server.stop()
        for name in kept:
            assert (files / name).read_bytes() == content, name
        # The next upload counts what the dead have left, if it must.
        with start_nacre(state, *kind) as server:
            async with connect(server, key) as ssh, ssh.sftp() as talk:
                await talk.write_bytes("one", bytes(turn))
        assert counted(state) == stored(files)
        assert counted(state, "--recount") == stored(files)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("kind", "count"),
    [
        pytest.param(KINDS[0], 3, id="gates"),
        pytest.param(KINDS[1], 3, id="no gates"),
        pytest.param(KINDS[2], 3, id="workers"),
        pytest.param(KINDS[0], 20, id="often", marks=pytest.mark.long),
    ],
)
async def test_servers_that_are_killed(
    state: State,
    kind: list[str],
    count: int,
    files: Path,
    keys: dict[str, Path],
    tmp_path: Path,
) -> None:
    state.set_user("alice", "--quota-bytes", "1G")
    source = tmp_path / "source"
    source.write_bytes(os.urandom(300 * KIB + 7))
    await rounds(state, kind, files, keys["ed25519"], source, count)


def share(state: State, files: Path, key: Path, *limits: str) -> None:
    """Give alice, and bob, who is new, a group that shares limits."""
    where = ["--state", state.path]
    check([*NACRE, "group", "add", "staff", "--service", "sftp", *limits, *where])
    for name in ("alice", "bob"):
        (files / name).mkdir()
    words = ["--key", key.with_suffix(".pub"), "--root", files / "bob", "--group", "staff"]
    check([*NACRE, "user", "add", "bob", *RUN_AS, *words, *where])
    state.set_user("alice", "--root", str(files / "alice"), "--group", "staff")


def counted_together(state: State, *words: str) -> tuple[int, int]:
    (found,) = json.loads(
        check([*NACRE, "group", "usage", "staff", "--json", "--state", state.path, *words])
    )
    assert found["counted"]
    return found["bytes"], found["files"]


def stored_by(files: Path, *names: str) -> tuple[int, int]:
    found = [stored(files / name) for name in names]
    return sum(one[0] for one in found), sum(one[1] for one in found)


def batch(login: Login, user: str) -> list[str]:
    return [*sftp(login)[:-1], f"{user}@127.0.0.1"]


async def test_two_members_who_upload_at_once_have_what_the_group_may_have(
    state: State, kind: list[str], files: Path, keys: dict[str, Path], tmp_path: Path
) -> None:
    share(state, files, keys["ed25519"], "--shared-quota-bytes", "1M")
    source = tmp_path / "source"
    source.write_bytes(os.urandom(90 * KIB))
    with start_nacre(state, *kind) as server:
        login = Login(server, "alice", tmp_path, keys["ed25519"])
        puts = "".join(f"-put {source} f{number}\n" for number in range(9)).encode()
        async with asyncio.timeout(120):
            done = await asyncio.gather(
                *(
                    asyncio.to_thread(run, batch(login, user), input=puts)
                    for user in ("alice", "bob")
                )
            )
        assert [one.returncode for one in done] == [0, 0]
        server.wait_for(r'reason="the quota of the group staff is 1 MiB: \d+ \w+ of it are left')
        size, count = stored_by(files, "alice", "bob")
        assert size <= MIB < size + 90 * KIB
        assert counted_together(state) == (size, count)
        check(batch(login, "bob"), input=b"-rm f0\n-rm f1\n-rm f2\n")
        assert counted_together(state) == stored_by(files, "alice", "bob")
    assert counted_together(state, "--recount") == stored_by(files, "alice", "bob")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("kind", "count"),
    [
        pytest.param(KINDS[0], 2, id="gates"),
        pytest.param(KINDS[2], 2, id="workers"),
        pytest.param(KINDS[0], 20, id="often", marks=pytest.mark.long),
    ],
)
async def test_a_group_whose_server_is_killed(
    state: State, kind: list[str], count: int, files: Path, keys: dict[str, Path], tmp_path: Path
) -> None:
    share(state, files, keys["ed25519"], "--shared-quota-bytes", "1G")
    source = tmp_path / "source"
    source.write_bytes(os.urandom(300 * KIB + 7))
    for turn in range(count):
        server = start_nacre(state, *kind, *UNHURRIED)
        enough = asyncio.Event()

        async def upload(
            user: str, server: Daemon = server, turn: int = turn, enough: asyncio.Event = enough
        ) -> None:
            try:
                async with (
                    connect(server, keys["ed25519"], user) as ssh,
                    ssh.sftp() as talk,
                ):
                    for number in range(1000):
                        await talk.put(source, f"{turn}-{number % 7}")
                        if number == 3 + turn % 4:
                            enough.set()
            except (OSError, NacreError):
                return

        try:
            tasks = [asyncio.ensure_future(upload(user)) for user in ("alice", "bob") * 2]
            async with asyncio.timeout(60):
                await enough.wait()
            kill(server)
            async with asyncio.timeout(60):
                await asyncio.gather(*tasks)
        finally:
            server.stop()
        # The next upload of each counts what the dead have left, if it must.
        with start_nacre(state, *kind) as server:
            for user in ("alice", "bob"):
                async with connect(server, keys["ed25519"], user) as ssh, ssh.sftp() as talk:
                    await talk.write_bytes("one", bytes(turn))
        assert counted_together(state) == stored_by(files, "alice", "bob")
    assert counted_together(state, "--recount") == stored_by(files, "alice", "bob")
