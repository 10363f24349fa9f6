"""Recordings of accounts of this system."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from daemon.conftest import SystemAccount
from daemon.separate.watched import echo, processes, separated
from daemon.served import KEY, make_state

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes other accounts")


async def test_they_are_recorded_too(tmp_path: Path, system_account: SystemAccount) -> None:
    system_account.authorize(f"{KEY.public}\n")
    directory = tmp_path / "recordings"
    arguments = ["--record", str(directory), "--record-user", "daemon"]
    async with separated(make_state(tmp_path), *arguments) as server:
        async with server.connect(system_account.name) as ssh:
            await echo(ssh)
        (recorder,) = (one for one in processes(server) if one.name == "nacre-recorder")
        assert 0 not in recorder.uids
        assert recorder.capabilities == 0
        assert recorder.status["NoNewPrivs"] == "1"
    (file,) = directory.glob("*/*")
    head, *events = map(json.loads, file.read_text().splitlines())
    assert head["nacre"]["user"] == system_account.name
    assert [event[1:] for event in events] == [["o", "x\n"], ["x", "0"]]
