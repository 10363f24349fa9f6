"""Quotas over two servers with one store and the same files: at once, and after SIGKILL."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import nacre
from daemon.store.postgres.cluster import running_cluster
from interop.clients import Login
from interop.daemons import RUN_AS, Daemon, State, start_nacre
from interop.programs import NACRE, check, run
from interop.test_quotas import sftp
from nacre.errors import NacreError
from nacre.limits import KIB, MIB

pytestmark = pytest.mark.timeout(180)

KINDS: list[list[str]] = [[], ["--gates", "0", "--workers", "2"]]


@dataclass
class Pair:
    """Two servers."""

    url: str
    nodes: list[Daemon]
    files: Path
    key: Path

    def manage(self, *words: str) -> bytes:
        return check([*NACRE, *words], NACRE_STORE=self.url)

    def usage(self, kind: str, name: str) -> dict[str, Any]:
        (found,) = json.loads(self.manage(kind, "usage", name, "--json"))
        return dict(found)

    def counted(self, kind: str, name: str, **wanted: object) -> None:
        """Wait until the figures in the database are these: servers write them there."""
        deadline = time.monotonic() + 30
        while True:
            found = self.usage(kind, name)
            if found["counted"] and all(found[one] == value for one, value in wanted.items()):
                return
            assert time.monotonic() < deadline, found

    def add_user(self, name: str, *words: str) -> Path:
        root = self.files / name
        root.mkdir()
        if RUN_AS:
            check(["chown", RUN_AS[1], root])
        key = self.key.with_suffix(".pub")
        where = ["--key", key, "--service", "sftp", "--root", root, *RUN_AS]
        self.manage("user", "add", name, *map(str, where), *words)
        return root

    def connect(self, number: int, user: str) -> Any:
        return nacre.connect(
            "127.0.0.1",
            self.nodes[number].port,
            user=user,
            keys=[self.key],
            agent=False,
            trust=nacre.AnyHostKey(),
            config=None,
        )


@pytest.fixture(scope="module", params=KINDS, ids=str)
def pair(
    request: pytest.FixtureRequest,
    keys: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Pair]:
    """Two servers, for all tests, of which the last one kills one."""
    tmp_path = tmp_path_factory.mktemp("nodes")
    files = tmp_path / "files"
    files.mkdir()
    with running_cluster() as cluster, ExitStack() as stack:
        url = cluster.database().text
        check([*NACRE, "group", "add", "partners"], NACRE_STORE=url)
        options = ["--store", url, "--share-quotas", "-o", "PerSourcePenalties=no"]

        def start(number: int) -> Daemon:
            words = [*options, *request.param, "--node", f"web{number}"]
            return stack.enter_context(start_nacre(State(tmp_path / f"state{number}"), *words))

        with ThreadPoolExecutor(2) as threads:
            nodes = list(threads.map(start, (1, 2)))
        yield Pair(url, nodes, files, keys["ed25519"])


async def upload(pair: Pair, number: int, user: str, names: Sequence[str], size: int) -> list[str]:
    """Upload files until one does not fit; return those that were acknowledged."""
    done: list[str] = []
    try:
        async with pair.connect(number, user) as ssh, ssh.sftp() as files:
            for name in names:
                await files.write_bytes(name, bytes(size))
                done.append(name)
    except (NacreError, OSError):
        pass
    return done


def sizes(root: Path) -> int:
    return sum(path.stat().st_size for path in root.iterdir())


async def test_what_two_servers_store_at_once_is_never_too_much(pair: Pair) -> None:
    root = pair.add_user("alice", "--quota-bytes", "2M")
    names = [[f"{number}-{count}" for count in range(40)] for number in range(4)]
    done = await asyncio.gather(
        *(upload(pair, number % 2, "alice", names[number], 20 * KIB) for number in range(4))
    )
    acknowledged = [name for one in done for name in one]
    assert len(acknowledged) == 2 * MIB // (20 * KIB)
    assert sizes(root) <= 2 * MIB
    assert all((root / name).stat().st_size == 20 * KIB for name in acknowledged)
    await asyncio.to_thread(pair.counted, "user", "alice", bytes=sizes(root))


async def test_a_group_of_which_each_server_serves_one_user_has_no_more_than_it_may(
    pair: Pair,
) -> None:
    pair.manage("group", "set", "partners", "--shared-quota-bytes", "1M")
    roots = [pair.add_user(name, "--group", "partners") for name in ("bob", "carol")]
    names = [str(count) for count in range(40)]
    done = await asyncio.gather(
        upload(pair, 0, "bob", names, 40 * KIB), upload(pair, 1, "carol", names, 40 * KIB)
    )
    assert sum(map(len, done)) == MIB // (40 * KIB)
    assert sum(map(sizes, roots)) <= MIB
    await asyncio.to_thread(
        pair.counted, "group", "partners", bytes=sum(map(sizes, roots)), users=2
    )


async def test_after_sigkill_of_a_server_the_other_counts_what_was_stored_there(
    pair: Pair, tmp_path: Path
) -> None:
    root = pair.add_user("dora", "--quota-bytes", "20M", "--transfer-up", "64M")
    async with pair.connect(0, "dora") as ssh, ssh.sftp() as files:
        for number in range(10):
            await files.write_bytes(f"a{number}", bytes(MIB))
        pair.nodes[0].process.kill()
        await asyncio.to_thread(pair.nodes[0].process.wait, 30)
    login = Login(pair.nodes[1], "dora", tmp_path, pair.key)
    rest = tmp_path / "rest"
    rest.write_bytes(bytes(11 * MIB))
    command = [word.replace("alice@", "dora@") for word in sftp(login)]
    # It waits for the end of the lease, and then there is room for ten.
    done = await asyncio.to_thread(run, command, input=f"-put {rest} b\n".encode(), timeout=90.0)
    assert b"Failure" in done.stderr, done
    assert sizes(root) <= 20 * MIB
    assert all((root / f"a{number}").stat().st_size == MIB for number in range(10))
    await asyncio.to_thread(pair.counted, "user", "dora", bytes=sizes(root))
    up = pair.usage("user", "dora")["up"]
    assert sizes(root) <= up <= sizes(root) + 4 * MIB + 11 * MIB
