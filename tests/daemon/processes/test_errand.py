"""Errands: how they are told to have gone, and that none is left behind."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import pytest

from daemon.processes.forked import children, with_setup
from nacre.daemon.processes import errand as errand_module
from nacre.daemon.processes.errand import run_errand
from nacre.daemon.processes.template import Template
from parties import open_files, until

SETUP = """
from nacre.daemon.processes.kinds import device_process
def main(given, link):
    import os
    exec(given["do"])
device_process.main = main
"""


@pytest.fixture(autouse=True)
async def used(template: Template, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Have errands do what they are given as Python; only the template and its spare are left."""
    before = len(children())
    with_setup(monkeypatch, SETUP)
    monkeypatch.setattr(errand_module, "TEMPLATE", template)
    yield
    await until(lambda: len(children()) == before + 2)


async def do(code: str) -> str:
    errand = await run_errand("device", {"do": code}, 1)
    errand.release()
    return errand.word


async def test_the_word_of_an_errand() -> None:
    assert await do("link.sendall(b'0 tun7\\n')") == "tun7"


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("link.sendall(b'13\\n')", "Permission denied"),
        ("link.sendall(b'x\\n')", "the process failed"),
        ("raise SystemExit(1)", "the process failed"),
    ],
)
async def test_an_errand_that_fails(code: str, error: str) -> None:
    with pytest.raises(OSError, match=error):
        await do(code)


async def test_an_errand_that_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errand_module, "_PATIENCE", 0.1)
    with pytest.raises(TimeoutError, match="nothing has accepted it"):
        await do("link.recv(1)")


@pytest.mark.parametrize("begun", [False, True], ids=["at its start", "at work"])
async def test_an_errand_that_is_cancelled_is_not_left(begun: bool) -> None:
    await do("link.sendall(b'0\\n')")
    descriptors = open_files()
    reading, writing = os.pipe()
    task = asyncio.create_task(
        run_errand("device", {"do": "os.write(4, b'!'); link.recv(1)"}, writing)
    )
    if begun:
        assert await asyncio.to_thread(os.read, reading, 1) == b"!"
    else:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    os.close(reading)
    os.close(writing)
    # What other tests left may be closed meanwhile.
    await until(lambda: open_files() <= descriptors)
