"""Start a demo server, and say how to log in to it: scripts/demo.py PORT [DIRECTORY]

What it needs stays in the directory, by default .run beside this one, for the next start.
"""

from __future__ import annotations

import os
import secrets
import shlex
import signal
import subprocess
import sys
from pathlib import Path

DIRECTORY = Path(__file__).resolve().parent.parent / ".run"
NACRE = [str(Path(sys.executable).parent / "nacre")]
RUN_AS = ["--run-as", "root"] if os.geteuid() == 0 else []
"""A demo that root starts runs its sessions as root, on the loopback address alone."""


def main(port: str, directory: Path) -> int:
    state = directory / "state"
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        password = kept_password(directory / "password")
        add_demo_user(state, directory / "home", password)
    except PermissionError as error:
        print(f"{error}: was it made by another account? Remove {directory} and try again.")
        return 1
    except subprocess.CalledProcessError as error:
        print(error.stderr or error, end="")
        return 1
    serve = [*NACRE, "serve", "--state", str(state), "--listen", f"127.0.0.1:{port}", *RUN_AS]
    server = subprocess.Popen(serve, stderr=subprocess.PIPE, text=True, start_new_session=True)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: server.terminate())
    assert server.stderr is not None
    for line in server.stderr:
        print(line, end="", flush=True)
        if line.startswith("listening on "):
            listens = line.rpartition(":")[2].strip()
            print(invitation(listens, directory / "known_hosts", password), flush=True)
    return server.wait()


def kept_password(path: Path) -> str:
    """The demo user's password: drawn at the first start, for this account's eyes only."""
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(12) + "\n")
    return path.read_text().strip()


def add_demo_user(state: Path, home: Path, password: str) -> None:
    if state.exists() and "demo" in nacre("user", "list", "--state", str(state)).stdout.split():
        return
    home.mkdir(exist_ok=True)
    policy = ["--auth", "any", "--service", "all", "--home", str(home), *RUN_AS]
    user = ["user", "add", "demo", "--state", str(state), "--password-stdin", *policy]
    nacre(*user, typed=password + "\n")


def nacre(*arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*NACRE, *arguments], input=typed, capture_output=True, text=True, check=True
    )


def invitation(port: str, known_hosts: Path, password: str) -> str:
    options = [
        # Keys that an agent offers would use up the attempts.
        "PreferredAuthentications=password",
        # A file of its own: another demo on this port had other keys, and ssh would refuse these.
        f"UserKnownHostsFile={known_hosts}",
        "StrictHostKeyChecking=accept-new",
    ]
    said = " ".join(f"-o {shlex.quote(option)}" for option in options)
    return (
        f"\nLog in from another terminal:\n\n"
        f"    ssh -p {port} {said} demo@127.0.0.1\n\n"
        f"    password: {password}\n\n"
        f"Ctrl-C stops the server.\n"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]).absolute() if sys.argv[2:] else DIRECTORY))
