"""Servers as child processes: ready when their log says so, ended by pid and reaped."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from select import PIPE_BUF
from typing import Self

from interop.config_cases.programs import version_of
from interop.programs import NACRE, check, environment, manage, require
from nacre.daemon.control.place import connected
from nacre.daemon.control.values import ControlError


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
        self._held = self._parked = False
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
                    self._parked = self._held
                    self._changed.notify_all()
                    self._changed.wait_for(lambda: not self._held)
        with self._changed:
            self._changed.notify_all()

    def wait_for(self, pattern: str, *, since: int = 0, timeout: float = 60.0) -> re.Match[str]:
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

    @contextmanager
    def unread(self) -> Iterator[None]:
        """Read nothing of the log meanwhile: its pipe is full, as with a reader that hangs."""
        assert self.process.stdout is not None
        with open(f"/proc/self/fd/{self.process.stdout.fileno()}", "wb", buffering=0) as pipe:
            with self._changed:
                self._held = True
                pipe.write(b"\n")  # the last line that is read
                assert self._changed.wait_for(lambda: self._parked, 30)
            os.set_blocking(pipe.fileno(), False)
            while pipe.write(b"\n" * PIPE_BUF):
                pass
        try:
            yield
        finally:
            with self._changed:
                self._held = False
                self._changed.notify_all()

    def tail(self, lines: int = 100) -> str:
        return "\n".join(self.log[-lines:])

    def stop(self) -> int:
        """End the server as its administrator would, and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(30)
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


async def until_it_listens(port: int) -> None:
    """Wait for a server that says nothing when it is ready."""
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


def without_penalties(server: str) -> list[str]:
    """Return lines for a server whose clients fail on purpose, which would shut out the next ones.

    :param server: ``sshd``, which knows the keyword since OpenSSH 9.8, or ``nacre``.
    """
    known = server == "nacre" or version_of("ssh") >= (9, 8)
    return ["PerSourcePenalties no"] if known else []


def start_sshd(
    directory: Path,
    host_keys: Sequence[Path],
    authorized_keys: Path,
    *options: str,
    program: str | None = None,
) -> Daemon:
    """Start OpenSSH's server with a configuration of its own; ``options`` are lines of it.

    :param program: another program that takes it.
    """
    sshd = program or require("sshd")
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
            *without_penalties("sshd" if program is None else "nacre"),
        ]
        config.write_text("\n".join(lines) + "\n")
        return Daemon("sshd", [sshd, "-D", "-e", "-f", config])

    return on_free_port(start, r"istening on 127\.0\.0\.1")


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

    @property
    def in_use(self) -> bool:
        """Whether a server runs with it."""
        try:
            connected(self.path).close()
        except ControlError:
            return False
        return True

    def copy(self) -> State:
        """Return another state with the same keys and users."""
        path = Path(tempfile.mkdtemp(prefix=f"{self.path.name}-", dir=self.path.parent))
        shutil.copytree(
            self.path, path, ignore=shutil.ignore_patterns("control"), dirs_exist_ok=True
        )
        path.chmod(0o700)
        return State(path)

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
        words: list[str | Path] = ["add", name, *RUN_AS, "--auth", auth, "--service", service]
        if home is None:
            home = self.path.parent / f"home-{name}"
        home.mkdir(exist_ok=True)
        words += ["--home", home]
        for key in keys:
            words += ["--key", key]
        if password is None:
            manage("user", *words, "--state", self.path)
        else:
            words += ["--password-stdin", "--state", self.path]
            manage("user", *words, typed=f"{password}\n")

    def set_user(self, name: str, *options: str) -> None:
        """Change settings of a user."""
        manage("user", "set", name, *options, "--state", self.path)


def start_nacre(state: State, *arguments: str) -> Daemon:
    """Start ``nacre serve`` on a port of the system's choice.

    With a state that a server of another fixture has it gets a copy: a state is one server's.
    """
    path = (state.copy() if state.in_use else state).path
    listen = ["--listen", "127.0.0.1:0"]
    daemon = Daemon(
        "nacre serve", [*NACRE, "serve", "--state", str(path), *listen, *RUN_AS, *arguments]
    )
    try:
        daemon.port = int(daemon.wait_for(r"^listening on .*:(\d+)$")[1])
    except AssertionError:
        daemon.stop()
        raise
    return daemon
