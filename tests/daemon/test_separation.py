"""The memory of the processes of a server has no host key, but for that of the first one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_ssh_private_key

from daemon.conftest import SystemAccount
from daemon.served import KEY, make_state, serving
from nacre.daemon.hostkeys import FILES
from parties import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root reads the memory of a process"),
]


def holds(pid: int, secret: bytes) -> bool:
    """Return whether a process has ``secret`` in memory that it can write to."""
    maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            span, rights, *_ = line.split()
            if not rights.startswith("rw"):
                continue
            start, end = (int(number, 16) for number in span.split("-"))
            memory.seek(start)
            if secret in memory.read(end - start):
                return True
    return False


async def test_only_the_server_has_the_host_key(
    tmp_path: Path, system_account: SystemAccount
) -> None:
    system_account.authorize(f"{KEY.public}\n")
    state = make_state(tmp_path)
    async with (
        serving(state, "--users", "system") as server,
        server.connect(system_account.name) as ssh,
        ssh.sftp() as sftp,
    ):
        await sftp.realpath(".")
        file = state / FILES["ssh-ed25519"]
        secret = load_ssh_private_key(file.read_bytes(), None).private_bytes_raw()  # type: ignore[union-attr]
        assert holds(server.process.pid, secret)

        def found() -> dict[str, int]:
            return {status["Name"]: int(status["Pid"]) for status in server.statuses()}

        names = {"nacre-gate", "nacre-pam", "nacre-session", "nacre-spare", "nacre-template"}
        await until(lambda: found().keys() == names)
        assert [name for name, pid in found().items() if holds(pid, secret)] == []
