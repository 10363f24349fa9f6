"""Takes the pictures of the console for docs/images: a server with people who do something.

PYTHONPATH=src:tests .venv/bin/python tests/interop/console/screenshots.py [DIRECTORY]
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from playwright.sync_api import Browser, Page

from interop.console.browsing import PHONE, Visitors, chromium
from interop.console.served import ServedConsole, served_console
from interop.daemons import State
from interop.programs import check, environment, require
from nacre.daemon.audit.events import AuditEvent
from nacre.daemon.audit.table import FILE, AuditTable

IMAGES = Path(__file__).parents[3] / "docs" / "images"

LARGEST = 150_000
"""Bytes of a picture."""

_WORK = (
    "exec bash --noprofile --norc -c 'while sleep 0.3; do head -c 200000 /dev/urandom; done'",
    "exec tail -f /dev/null",
)
"""What connections do that nobody watches: one sends, one is silent."""

_SHOWN = (
    "PS1='alice@files:~$ '; clear",
    "ls -l /etc/ssh | head -5",
    "df -h / | tail -1",
    "for n in 1 2 3 4 5 6; do echo backup of disk $n: done; done",
)
"""What is typed at the terminal that is watched."""


def add_a_day(state: State) -> None:
    """Put events of yesterday and of the last hour into the audit."""
    chance = random.Random(1)
    table = AuditTable(state.path / FILE, create=True)
    now = time.time()
    midnight = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0) - timedelta(1)
    found: list[tuple[float, AuditEvent]] = []

    def tell(at: float, number: int, event: str, outcome: str = "success") -> None:
        found.append(
            (at, AuditEvent(f"1.0.{number}", "alice", "192.0.2.7:4022", event, outcome, "{}"))
        )

    for number, hour in enumerate((6.2, 8, 8.4, 11, 13.5, 15.2, 20), 1):
        begun = midnight.timestamp() + hour * 3600
        if number == 4:
            tell(begun - 60, number, "login", "failure")
        tell(begun, number, "login")
        length = chance.uniform(0.3, 3) * 3600
        for _ in range(chance.randrange(4, 14)):
            event = chance.choice(["file", "command", "file", "forward"])
            tell(
                begun + chance.uniform(0, length),
                number,
                event,
                chance.choice(["success"] * 9 + ["refused"]),
            )
        tell(begun + length, number, "closed")
    for number in range(100, 170):
        outcome = chance.choice(["success", "success", "success", "failure"])
        tell(now - chance.uniform(90, 3500), number, "login", outcome)
    table.add([(int(at * 1_000_000), event) for at, event in sorted(found, key=lambda one: one[0])])
    table.close()


@contextmanager
def busy(served: ServedConsole) -> Iterator[subprocess.Popen[bytes]]:
    """Have connections that do something; yield the one at a terminal, which is watched."""
    with ExitStack() as stack:
        for command in _WORK:
            client = subprocess.Popen(
                [*served.alice.ssh("BatchMode=yes"), command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=environment(),
                start_new_session=True,
            )
            stack.callback(client.wait)
            stack.callback(client.kill)
        yield stack.enter_context(served.terminal())


def _keep(page: Page, directory: Path, name: str) -> None:
    path = directory / f"{name}.png"
    page.screenshot(path=path, animations="disabled", caret="hide")
    size = path.stat().st_size
    print(f"{path}: {size} bytes")
    assert size <= LARGEST, "a picture is too large"


def take(served: ServedConsole, browser: Browser, directory: Path) -> None:
    """Take all pictures."""
    visitors = Visitors(browser, served.url)
    with visitors.page("ada") as ada, busy(served) as client:
        page = ada.page
        ada.open("/now")
        page.get_by_role("link", name="Watch the session").nth(2).wait_for()
        # The throughput is measured every two seconds.
        page.locator("rect.out").nth(9).wait_for(state="attached", timeout=90_000)
        _keep(page, directory, "console-now")
        watch = page.get_by_role("row", name="shell").get_by_role("link", name="Watch").first
        watch.click()
        page.get_by_text("ada through").wait_for()
        assert client.stdin is not None
        for line in _SHOWN:
            client.stdin.write(line.encode() + b"\n")
            client.stdin.flush()
        page.get_by_text("backup of disk 6: done", exact=False).first.wait_for()
        _keep(page, directory, "console-watch")
        yesterday = datetime.now(UTC).date() - timedelta(1)
        ada.open(f"/audit/day?user=alice&day={yesterday}")
        _keep(page, directory, "console-day")
        page.emulate_media(color_scheme="dark")
        page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
        ada.open("/now")
        page.get_by_role("link", name="Watch the session").first.wait_for()
        _keep(page, directory, "console-phone")


def main(directory: Path) -> int:
    """Take all pictures into a directory."""
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        key = Path(place) / "key"
        check([require("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", key])
        with served_console(Path(place), key, add_a_day) as served, chromium() as browser:
            take(served, browser, directory)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if sys.argv[1:] else IMAGES))
