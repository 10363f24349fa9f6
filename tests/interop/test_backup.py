"""A backup of a server in use, and ssh on what was restored of it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from interop.clients import Login
from interop.daemons import State, start_nacre
from interop.programs import NACRE, check, run

pytestmark = pytest.mark.interop


def test_a_server_in_use_is_backed_up_and_restored(tmp_path: Path, keys: dict[str, Path]) -> None:
    key = keys["ed25519"].with_suffix(".pub")
    state, second = State(tmp_path / "state"), State(tmp_path / "second")
    state.add_user("alice", keys=[key])
    over = threading.Event()
    failed: list[bytes] = []
    with start_nacre(state) as server:
        alice = Login(server, "alice", tmp_path, keys["ed25519"])
        assert run([*alice.ssh(), "echo in"]).stdout == b"in\n"

        def log_in() -> None:
            while not over.is_set():
                done = run([*alice.ssh(), "echo in"])
                if done.stdout != b"in\n":
                    failed.append(done.stderr)

        def change_users() -> None:
            number = 0
            while not over.is_set():
                state.add_user(f"user{number}", keys=[key])
                number += 1

        threads = [threading.Thread(target=work) for work in (log_in, change_users)]
        for thread in threads:
            thread.start()
        try:
            for number in range(3):
                backup = tmp_path / f"{number}.tar"
                check([*NACRE, "state", "backup", backup, "--state", state.path])
            refused = run([*NACRE, "state", "restore", backup, "--state", state.path])
        finally:
            over.set()
            for thread in threads:
                thread.join(60)
        assert refused.returncode == 1
        assert b"stop the server" in refused.stderr or b"is not empty" in refused.stderr
    assert not failed
    check([*NACRE, "state", "restore", backup, "--state", second.path])
    with start_nacre(second) as again:
        known = (tmp_path / "known_hosts").read_text()
        again_alice = Login(again, "alice", tmp_path, keys["ed25519"])
        (tmp_path / "known_hosts").write_text(
            known.replace(f"]:{server.port} ", f"]:{again.port} ")
        )
        strict = again_alice.ssh("StrictHostKeyChecking=yes")
        assert run([*strict, "echo again"]).stdout == b"again\n"
