"""Servers as child processes: ready when their log says so, ended by pid and reaped."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from interop.programs import NACRE, check, environment, require


class Daemon:
    """A server in the foreground, its log collected line by line."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        directory: Path | None = None,
        more_environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.log: list[str] = []
        self.port = 0
        self._changed = threading.Condition()
        self.process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=environment(**(more_environment or {})),
            cwd=directory,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self.process.pid

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                with self._changed:
                    self.log.append(line.rstrip("\r\n"))
                    self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    def wait_for(self, pattern: str, *, since: int = 0, timeout: float = 30.0) -> re.Match[str]:
        """Return the first match in the log from line ``since`` on."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                for line in self.log[since:]:
                    if match := re.search(pattern, line):
                        return match
                left = deadline - time.monotonic()
                if left <= 0 or not self._reader.is_alive():
                    raise AssertionError(f"{self.name} never said {pattern!r}:\n{self.tail()}")
                self._changed.wait(left)

    def tail(self, lines: int = 100) -> str:
        return "\n".join(self.log[-lines:])

    def stop(self) -> int:
        """End the server as its administrator would, and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(15)
            raise AssertionError(f"{self.name} did not stop:\n{self.tail()}") from None
        # What its sessions left running may hold the log open: nobody waits for that.
        self._reader.join(1)
        return status


def on_free_port(start: Callable[[int], Daemon], ready: str) -> Daemon:
    """Start a server that can't take port 0: pick one, and again when somebody was faster."""
    for _ in range(10):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        daemon = start(port)
        daemon.port = port
        try:
            daemon.wait_for(ready)
        except AssertionError:
            daemon.stop()
            if "ddress already in use" not in daemon.tail():
                raise
        else:
            return daemon
    raise AssertionError("no free port")


def start_sshd(
    directory: Path, host_keys: Sequence[Path], authorized_keys: Path, *options: str
) -> Daemon:
    """Start OpenSSH's server with a configuration of its own; ``options`` are lines of it."""
    sshd = require("sshd")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # it does not start without

    def start(port: int) -> Daemon:
        config = directory / f"sshd_config_{port}"
        lines = [
            *options,
            f"ListenAddress 127.0.0.1:{port}",
            *(f"HostKey {key}" for key in host_keys),
            f"AuthorizedKeysFile {authorized_keys}",
            "StrictModes no",
            "UsePAM no",
            "UseDNS no",
            "PidFile none",
            "PermitRootLogin yes",
            "MaxStartups 1000",
            "MaxSessions 100",
            "LogLevel VERBOSE",
            "AcceptEnv NACRE_*",
        ]
        config.write_text("\n".join(lines) + "\n")
        return Daemon("sshd", [sshd, "-D", "-e", "-f", config])

    return on_free_port(start, r"Server listening on 127\.0\.0\.1")


def start_dropbear(directory: Path, *options: str) -> Daemon:
    """Start Dropbear with host keys of its own; it takes keys from home directories alone."""
    dropbear, dropbearkey = require("dropbear"), require("dropbearkey")
    keys: list[str | Path] = []
    for kind in ("ed25519", "ecdsa", "rsa"):
        key = directory / f"dropbear_{kind}"
        check([dropbearkey, "-t", kind, "-f", key])
        keys += ["-r", key]

    def start(port: int) -> Daemon:
        where = ["-F", "-E", "-p", f"127.0.0.1:{port}", "-P", str(directory / "dropbear.pid")]
        return Daemon("dropbear", [dropbear, *where, *keys, *options])

    return on_free_port(start, "Not backgrounding")


RUN_AS = ["--run-as", "root"] if os.geteuid() == 0 else []
"""Under root, sessions of virtual users need an account named for them."""


class State:
    """A state directory of ``nacre serve``, filled through ``nacre user``."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add_user(
        self,
        name: str,
        *,
        password: str | None = None,
        keys: Sequence[Path] = (),
        auth: str = "any",
        service: str = "all",
        home: Path | None = None,
    ) -> None:
        command: list[str | Path] = [*NACRE, "user", "add", name, "--state", self.path, *RUN_AS]
        command += ["--auth", auth, "--service", service]
        if home is None:
            home = self.path.parent / f"home-{name}"
        home.mkdir(exist_ok=True)
        command += ["--home", home]
        for key in keys:
            command += ["--key", key]
        if password is None:
            check(command)
        else:
            check([*command, "--password-stdin"], input=password.encode() + b"\n")


def start_nacre(state: State, *arguments: str) -> Daemon:
    """Start ``nacre serve`` on a port of the system's choice."""
    listen = ["--listen", "127.0.0.1:0"]
    daemon = Daemon(
        "nacre serve", [*NACRE, "serve", "--state", str(state.path), *listen, *RUN_AS, *arguments]
    )
    try:
        daemon.port = int(daemon.wait_for(r"^listening on .*:(\d+)$")[1])
    except AssertionError:
        daemon.stop()
        raise
    return daemon
