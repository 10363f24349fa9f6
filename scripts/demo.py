"""Start a demo server and its console, and say how to log in: scripts/demo.py PORT [DIRECTORY]

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
    socket = str(directory / "api.sock")
    serve = [*NACRE, "serve", "--state", str(state), "--listen", f"127.0.0.1:{port}", *RUN_AS]
    serve += ["--api", socket, "--audit"]
    server = subprocess.Popen(serve, stderr=subprocess.PIPE, text=True, start_new_session=True)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: server.terminate())
    assert server.stderr is not None
    console: subprocess.Popen[str] | None = None
    try:
        for line in server.stderr:
            print(line, end="", flush=True)
            if line.startswith("listening on "):
                listens = line.rpartition(":")[2].strip()
                console, url = start_console(socket)
                told = invitation(listens, url, directory / "known_hosts", password)
                print(told, flush=True)
    finally:
        if console is not None:
            console.terminate()
            console.wait()
    return server.wait()


def start_console(socket: str) -> tuple[subprocess.Popen[str], str]:
    """Start the console on a free port. It has the server's account here, so it needs no key."""
    words = [*NACRE, "console", "--listen", "127.0.0.1:0", "--api", socket]
    console = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert console.stdout is not None
    return console, console.stdout.readline().rpartition(" ")[2].strip()


def kept_password(path: Path) -> str:
    """The demo user's password: drawn at the first start, for this account's eyes only."""
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(12) + "\n")
    return path.read_text().strip()


def add_demo_user(state: Path, home: Path, password: str) -> None:
    if state.exists() and "demo" in nacre("user", "list", "--state", str(state)).stdout.split():
        nacre("user", "set", "demo", "--state", str(state), "--role", "admin")
        return
    home.mkdir(exist_ok=True)
    policy = ["--auth", "any", "--service", "all", "--role", "admin", "--home", str(home), *RUN_AS]
    user = ["user", "add", "demo", "--state", str(state), "--password-stdin", *policy]
    nacre(*user, typed=password + "\n")


def nacre(*arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*NACRE, *arguments], input=typed, capture_output=True, text=True, check=True
    )


def invitation(port: str, url: str, known_hosts: Path, password: str) -> str:
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
        f"or look at the web console: {url}\n\n"
        f"    name: demo, with the same password\n\n"
        f"Ctrl-C stops the server.\n"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]).absolute() if sys.argv[2:] else DIRECTORY))
