"""How fast a command's output comes down: nacre at both ends against OpenSSH at both ends.

Both run on this machine over loopback, by turns, so that what else runs here slows both. What
counts is the ratio of the medians.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from interop.clients import ME, Login  # noqa: E402
from interop.daemons import State, start_nacre, start_sshd  # noqa: E402
from interop.programs import check, environment, require  # noqa: E402

MEBIBYTES = 256
ROUNDS = 3
CIPHER = "Ciphers=aes128-gcm@openssh.com"
"""The same at both, OpenSSH's fastest."""


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        key, host_key = directory / "key", directory / "host_key"
        for path in (key, host_key):
            check([require("ssh-keygen"), "-q", "-N", "", "-t", "ed25519", "-f", path])
        state = State(directory / "state")
        state.add_user("bench", keys=[key.with_suffix(".pub")])
        with (
            start_nacre(state) as nacre,
            start_sshd(directory, [host_key], key.with_suffix(".pub")) as sshd,
        ):
            commands = {
                "nacre": Login(nacre, "bench", directory, key).nacre_ssh(CIPHER),
                "OpenSSH": Login(sshd, ME, directory, key).ssh(CIPHER),
            }
            rates: dict[str, list[float]] = {pair: [] for pair in commands}
            for _ in range(ROUNDS):
                for pair, command in commands.items():
                    rates[pair].append(rate(command))
    for pair, measured in rates.items():
        each = "  ".join(f"{value:5.0f}" for value in measured)
        print(f"{pair:8} {each}   median {statistics.median(measured):5.0f} MB/s")
    nacre_rate, openssh_rate = (statistics.median(rates[pair]) for pair in ("nacre", "OpenSSH"))
    print(f"nacre moves {nacre_rate / openssh_rate:.2f} times what OpenSSH moves")


def rate(command: Sequence[str]) -> float:
    """Return MB/s of a command's output, login and start of the client included."""
    begin = time.perf_counter()
    with subprocess.Popen(
        [*command, f"head -c {MEBIBYTES << 20} /dev/zero"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env=environment(),
    ) as client:
        assert client.stdout is not None
        received = 0
        while block := client.stdout.read(1 << 20):
            received += len(block)
    if received != MEBIBYTES << 20 or client.returncode != 0:
        raise SystemExit(f"{command[0]} brought {received} octets, status {client.returncode}")
    return received / (time.perf_counter() - begin) / 1e6


if __name__ == "__main__":
    main()
