"""``nacre serve --config``: a server that a file of TOML configures, and that reads it again."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from interop.clients import Login
from interop.daemons import State, start_nacre
from interop.programs import run

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

MODES = {"gates": "gates = 2", "one-process": "gates = 0", "workers": "workers = 2"}


@pytest.mark.parametrize("mode", MODES)
def test_a_reload_changes_keywords_and_says_what_needs_a_restart(
    tmp_path: Path, keys: dict[str, Path], mode: str
) -> None:
    state = State(tmp_path / "state")
    state.add_user("alice", keys=[keys["ed25519"].with_suffix(".pub")])
    file = tmp_path / "serve.toml"
    file.write_text(f'{MODES[mode]}\n[log]\nformat = "text"\n[option]\nAllowUsers = "alice"\n')
    with start_nacre(state, "--config", str(file)) as server:
        command = [
            *Login(server, "alice", tmp_path, keys["ed25519"]).ssh("BatchMode=yes"),
            "echo in",
        ]
        assert run(command).stdout == b"in\n"
        file.write_text(f'{MODES[mode]}\nusers = "x"\n[option]\nAllowUsers = "bob"\n')
        server.process.send_signal(signal.SIGHUP)
        server.wait_for(rf"nothing was reloaded.*{file} line 2: users: ")
        assert run(command).stdout == b"in\n"
        file.write_text(f'{MODES[mode]}\naudit = true\n[option]\nAllowUsers = "bob"\n')
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("event=reloaded .*needs_restart=audit,log-format")
        if mode == "workers":  # each of them reads it
            server.wait_for("worker=1 .*event=reloaded|event=reloaded .*worker=1")
            server.wait_for("worker=2 .*event=reloaded|event=reloaded .*worker=2")
        assert run(command).returncode == 255
