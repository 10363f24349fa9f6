"""Start a demo server whose state stays in .run/, and say how to log in to it."""

from __future__ import annotations

import os
import secrets
import shlex
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUN = ROOT / ".run"
STATE = RUN / "state"
NACRE = [str(Path(sys.executable).parent / "nacre")]
RUN_AS = ["--run-as", "root"] if os.geteuid() == 0 else []
"""A demo that root starts runs its sessions as root, on the loopback address alone."""


def main() -> int:
    port = sys.argv[1]
    try:
        RUN.mkdir(mode=0o700, exist_ok=True)
        password = kept_password(RUN / "password")
        add_demo_user(password)
    except PermissionError as error:
        print(f"{error}: was it made by another account? Remove {RUN} and try again.")
        return 1
    except subprocess.CalledProcessError as error:
        print(error.stderr or error, end="")
        return 1
    serve = [*NACRE, "serve", "--state", str(STATE), "--listen", f"127.0.0.1:{port}", *RUN_AS]
    server = subprocess.Popen(serve, stderr=subprocess.PIPE, text=True, start_new_session=True)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: server.terminate())
    assert server.stderr is not None
    for line in server.stderr:
        print(line, end="", flush=True)
        if line.startswith("listening on "):
            print(invitation(port, password), flush=True)
    return server.wait()


def kept_password(path: Path) -> str:
    """The demo user's password: drawn at the first start, for this account's eyes only."""
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(12) + "\n")
    return path.read_text().strip()


def add_demo_user(password: str) -> None:
    listed = nacre("user", "list", "--state", str(STATE))
    if "demo" in listed.stdout.split():
        return
    home = RUN / "home"
    home.mkdir(exist_ok=True)
    policy = ["--auth", "any", "--service", "all", "--home", str(home)]
    nacre("user", "add", "demo", "--state", str(STATE), "--password-stdin", *policy, *RUN_AS,
          typed=password + "\n")  # fmt: skip


def nacre(*arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*NACRE, *arguments], input=typed, capture_output=True, text=True, check=True
    )


def invitation(port: str, password: str) -> str:
    options = [
        # Keys that an agent offers would use up the attempts.
        "PreferredAuthentications=password",
        # A file of its own: another demo on this port had other keys, and ssh would refuse these.
        f"UserKnownHostsFile={RUN / 'known_hosts'}",
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
    sys.exit(main())
