"""What open pages of the web console cost: python -m bench.console [--watchers N] [--pages N]

A session at a terminal is watched by many pages, and many pages follow the connections. Beside
them a command's output goes over SSH, in turns with and without the pages. A row for each turn has
the rate, the memory that is no other process's (USS) of the console and of the processes of the
API, and the share of a processor that they took. The exit status is 1 if the memory has grown by
more than 150 MB, or the median of the rates is more than 10 % lower with pages.

The pages' readers are on this machine, too. They have the lowest priority, as they would be on
other machines.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.ground import LONGEST
from bench.ground import Daemon as Daemon  # that module sets the path of the tests
from bench.logins import Held

# isort: split
import bcrypt
import httpx

from interop.clients import Login
from interop.daemons import State, start_nacre
from interop.programs import NACRE, check, environment, require
from nacre.console.web.browsers import MOST_OF_USER, MOST_STREAMS
from nacre.daemon.store.store import FILE, UserStore
from nacre.daemon.store.values import StoredUser

MOST_GROWTH = 150_000
"""KB by which console and API may grow."""

MOST_SLOWED = 0.10

_PASSWORD = "words of a bench"
_OF_USER = MOST_OF_USER * MOST_STREAMS
"""Pages that one user may have."""

_PRINTS = "while sleep 0.5; do date; done"
_PATIENCE = 120.0
_LEAST = 10.0
"""Seconds that a turn takes."""


@dataclass(frozen=True)
class Turn:
    """A transfer.

    :ivar rate: MB per second; ``held`` KB of console and API meanwhile.
    :ivar load: the share of a processor that these took.
    """

    pages: int
    rate: float
    held: int
    load: float

    def __str__(self) -> str:
        return f"{self.pages:6} {self.rate:8.1f} {self.held:9} {self.load:8.1%}"


class PageReader(asyncio.Protocol):
    """Reads what a page gets.

    :ivar begun: whether the answer has begun, which is its status.
    """

    def __init__(self, request: bytes) -> None:
        self._request = request
        self.begun: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the page."""
        assert isinstance(transport, asyncio.Transport)
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Take what comes, and forget it."""
        if not self.begun.done():
            self.begun.set_result(data[:12])


async def _read_pages(port: int, requests: Sequence[bytes]) -> None:
    loop = asyncio.get_running_loop()
    readers = [PageReader(request) for request in requests]
    for reader in readers:
        await loop.create_connection(partial(_same, reader), "127.0.0.1", port)
    async with asyncio.timeout(_PATIENCE):
        statuses = [await one.begun for one in readers]
    wrong = [one for one in statuses if not one.endswith(b" 200")]
    print("open" if not wrong else f"refused: {wrong[0]!r}", flush=True)
    await asyncio.Event().wait()


def _same(reader: PageReader) -> PageReader:
    return reader


def read_pages(port: int) -> None:
    """Open the pages that standard input names, each a path and a cookie, until it is ended."""
    os.nice(19)
    requests = []
    for line in sys.stdin:
        path, cookie = line.split()
        head = f"GET {path} HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n\r\n"
        requests.append(head.encode())
    asyncio.run(_read_pages(port, requests))


@contextmanager
def opened(port: int, pages: Sequence[tuple[str, str]]) -> Iterator[None]:
    """Have pages open, each a path and a cookie, up to the end of the context."""
    words = [sys.executable, "-m", "bench.console", "--read", str(port)]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.writelines(f"{path} {cookie}\n" for path, cookie in pages)
            process.stdin.close()
            if (said := process.stdout.readline()) != "open\n":
                raise SystemExit(f"the pages can't be opened: {said}")
            yield
        finally:
            process.kill()


# --- the server, the console, and who signs in ---


def add_users(state: State, count: int) -> list[str]:
    """Add users who may see everything."""
    store = UserStore(state.path / FILE)
    # A hash that is checked at once: what a sign-in costs is not measured here.
    password = bcrypt.hashpw(_PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    names = [f"viewer-{number}" for number in range(count)]
    for name in names:
        store.add(StoredUser(name=name, role="auditor", password=password))
    store.close()
    return names


def sign_in(http: httpx.Client, name: str, number: int) -> str:
    """Return the cookie of a session, which begins from an address of its own."""
    headers = {"X-Forwarded-For": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"}
    http.cookies.clear()
    page = http.get("/sign-in", headers=headers)
    key = re.search(r'name="key" value="([^"]+)"', page.text)
    assert key is not None
    form = {"name": name, "password": _PASSWORD, "key": key[1]}
    kept = page.headers["set-cookie"].partition(";")[0]
    answer = http.post("/sign-in", data=form, headers={**headers, "Cookie": kept})
    assert answer.status_code == 303, answer.text
    return str(answer.headers["set-cookie"].partition(";")[0])


def cookies_of(url: str, names: Sequence[str]) -> Iterator[str]:
    """Yield a cookie for each page of each user."""
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as http:
        for place, name in enumerate(names):
            for number in range(MOST_OF_USER):
                cookie = sign_in(http, name, place * MOST_OF_USER + number)
                yield from [cookie] * MOST_STREAMS


def serving_pages(server: int, console: int) -> list[int]:
    """Return the processes of the console and of the API."""
    found = [console]
    for entry in Path("/proc").glob("[0-9]*/comm"):
        pid = int(entry.parent.name)
        try:
            if entry.read_text().startswith("nacre-api") and _is_below(pid, server):
                found.append(pid)
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def held(pids: Sequence[int]) -> int:
    """Return the KB that only these processes hold."""
    return sum(Held.by(pid, "").uss for pid in pids) * 1024 // 1000


def taken(pids: Sequence[int]) -> float:
    """Return the seconds of a processor that processes have taken."""
    stats = (Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids)
    return sum(int(one[11]) + int(one[12]) for one in stats) / os.sysconf("SC_CLK_TCK")


def _is_below(pid: int, ancestor: int) -> bool:
    while pid > 1 and pid != ancestor:
        status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        pid = int(status[1])
    return pid == ancestor


def transfer(alice: Login, file: Path) -> float:
    """Return the rate at which a file's content comes, in MB per second."""
    began = time.monotonic()
    words = alice.ssh("BatchMode=yes", "Ciphers=aes128-gcm@openssh.com")
    check([*words, f"cat {file}"], timeout=LONGEST)
    return file.stat().st_size / 1e6 / (time.monotonic() - began)


def judged(turns: Sequence[Turn]) -> list[str]:
    """Return which bounds are exceeded."""
    without = [one for one in turns if not one.pages]
    beside = [one for one in turns if one.pages]
    growth = max(one.held for one in beside) - without[0].held
    slow = 1 - statistics.median(one.rate for one in beside) / statistics.median(
        one.rate for one in without
    )
    print(f"the memory grew by {growth} KB, {growth / beside[0].pages:.0f} for each page")
    print(f"the transfer was {slow:.1%} slower")
    found = [f"more than {MOST_GROWTH} KB"] if growth > MOST_GROWTH else []
    return found + ([f"more than {MOST_SLOWED:.0%} slower"] if slow > MOST_SLOWED else [])


@contextmanager
def serving(directory: Path, users: int) -> Iterator[tuple[Daemon, Daemon, Login, list[str]]]:
    """Serve; yield the server, the console, alice's login, and the users who sign in."""
    key = directory / "key"
    check([require("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", key])
    state = State(directory / "state")
    state.add_user("alice", keys=[key.with_suffix(".pub")])
    names = add_users(state, users)
    api = directory / "api"
    with start_nacre(state, "--api", str(api)) as server:
        words = [*NACRE, "console", "--listen", "127.0.0.1:0", "--api", str(api)]
        with Daemon("nacre console", [*words, "--proxy-from", "127.0.0.1/32"]) as console:
            yield server, console, Login(server, "alice", directory, key), names


def _turn(pages: int, alice: Login, file: Path, pids: Sequence[int]) -> Turn:
    began, before = time.monotonic(), taken(pids)
    rate = transfer(alice, file)
    # A transfer may be shorter than the time from one event to the next.
    time.sleep(max(0.0, began + _LEAST - time.monotonic()))
    load = (taken(pids) - before) / (time.monotonic() - began)
    return Turn(pages, rate, held(pids), load)


def measure(told: argparse.Namespace) -> list[Turn]:
    """Measure with and without pages, in turns."""
    watching, following = (-(-one // _OF_USER) for one in (told.watchers, told.pages))
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nacre-bench-")))
        file = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/dev/shm"))) / "file"
        file.write_bytes(os.urandom(1 << 20) * told.size)
        server, console, alice, names = stack.enter_context(serving(place, watching + following))
        url = console.wait_for(r"nacre console: https?://(\S+)/")[1]
        port = int(url.rpartition(":")[2])
        watched = subprocess.Popen(
            [*alice.ssh("BatchMode=yes", flags=["-tt"]), _PRINTS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(),
        )
        stack.callback(watched.wait)
        stack.callback(watched.kill)
        assert watched.stdout is not None
        watched.stdout.readline()
        number = server.wait_for(r"event=session connection=(\S+) .*request=exec .*gate=(\d+)")
        path = f"/watch/{number[2]}.{number[1]}/events"
        cookies = list(cookies_of(f"http://{url}", names))
        mine = cookies[: watching * _OF_USER][: told.watchers]
        pages = [(path, one) for one in mine]
        pages += [("/now/events", one) for one in cookies[watching * _OF_USER :][: told.pages]]
        turns = []
        pids = serving_pages(server.pid, console.pid)
        print(f"{'pages':>6} {'MB/s':>8} {'KB':>9} {'CPU':>8}")
        transfer(alice, file)
        for _ in range(told.pairs):
            for some in ([], pages):
                with opened(port, some):
                    turns.append(_turn(len(some), alice, file, pids))
                print(turns[-1], flush=True)
        return turns


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.console")
    parser.add_argument("--watchers", type=int, default=200, help="pages that watch a session")
    parser.add_argument("--pages", type=int, default=500, help="pages that follow the connections")
    parser.add_argument("--pairs", type=int, default=5, help="transfers with and without pages")
    parser.add_argument("--size", type=int, default=512, help="MiB of a transfer")
    parser.add_argument("--read", type=int, help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.read is not None:
        read_pages(told.read)
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    if wrong := judged(measure(told)):
        raise SystemExit(", ".join(wrong))


if __name__ == "__main__":
    main()
