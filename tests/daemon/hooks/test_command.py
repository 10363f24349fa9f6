"""Hooks that are commands."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from daemon.hooks.made import plan, told
from nacre.daemon.hooks.command import MOST_OUTPUT, CommandDelivery, variables
from nacre.daemon.hooks.deliveries import DeliveryFailed, DeliveryRefused


def sh(script: str) -> str:
    return f"/bin/sh -c '{script}'"


async def run(target: str) -> str:
    async with asyncio.timeout(30):
        return await CommandDelivery().deliver(plan(target=target), told())


async def test_it_gets_the_event_as_json_and_in_its_environment() -> None:
    assert json.loads(await run("/bin/cat"))["id"] == "1.abc"
    said = await run(sh('echo "$NACRE_ID $NACRE_EVENT $NACRE_PATH $NACRE_USER"; pwd; umask'))
    assert said.splitlines()[:2] == ["1.abc upload /a alice", "/"]


async def test_no_shell_looks_at_the_words() -> None:
    assert await run("/bin/echo '$HOME' a;id") == "$HOME a;id"


def test_names_of_variables_do_not_come_from_the_event() -> None:
    event = told(fields={"path": "a\0b", "LD_PRELOAD": "x", "status": 3, "to": None})
    found = variables(event)
    assert found["NACRE_PATH"] == "ab"
    assert found["NACRE_STATUS"] == "3"
    assert not any("PRELOAD" in name for name in found)
    assert {name for name in found if not name.startswith("NACRE_")} == {"PATH", "LANG"}
    assert "NACRE_TO" not in found
    assert variables(told(fields="none"))["NACRE_ID"] == "1.abc"


async def test_a_status_other_than_0_is_a_failure() -> None:
    with pytest.raises(DeliveryFailed, match="exit status 3: why"):
        await run(sh("echo why; exit 3"))
    with pytest.raises(DeliveryFailed, match="signal 9"):
        await run(sh("kill -9 $$"))
    with pytest.raises(DeliveryRefused, match="bad"):
        await run(sh("echo bad >&2; exit 65"))
    with pytest.raises(DeliveryFailed, match="can't be run: No such file"):
        await run("/nowhere/at/all")


async def test_long_output_is_cut_off_and_does_not_hang() -> None:
    said = await run(sh("head -c 1000000 /dev/zero | tr \\\\0 x"))
    assert said == "x" * MOST_OUTPUT


async def test_what_it_leaves_behind_does_not_hold_up_the_next_event(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    said = await run(sh(f"cat {pipe} & echo begun"))
    assert said == "begun"
    pipe.write_text("")  # which ends it


async def test_its_group_is_killed_when_its_time_is_over(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    waiting = asyncio.create_task(run(sh(f"(echo begun; exec sleep 1000) >{pipe} & wait")))
    async with asyncio.timeout(30):
        with await asyncio.to_thread(pipe.open) as file:
            assert await asyncio.to_thread(file.readline) == "begun\n"
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            # Whoever could write there is gone.
            assert await asyncio.to_thread(file.read) == ""
    await CommandDelivery().close()
