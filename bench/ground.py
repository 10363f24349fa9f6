"""What all workloads stand on: keys, servers, files in memory, and the clients' command lines."""

from __future__ import annotations

import compileall
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

# The workloads import the names written "as" themselves from here: this module sets the path.
from bench.shell import OTHER, plain_shell  # noqa: E402
from interop.clients import ME, Login  # noqa: E402
from interop.daemons import RUN_AS, State, start_sshd  # noqa: E402
from interop.daemons import Daemon as Daemon  # noqa: E402
from interop.programs import NACRE, check, require, run  # noqa: E402
from interop.programs import environment as environment  # noqa: E402

ENDS = Path(__file__).resolve().parent / "ends"
PEERS_PYTHON = ROOT / ".venv-bench" / "bin" / "python"
"""The interpreter that has AsyncSSH and Paramiko, and not nacre."""

NACRE_SSHD = f"{NACRE[0]}-sshd"

AES = "aes128-gcm@openssh.com"
CHACHA = "chacha20-poly1305@openssh.com"
MIB = 1 << 20
LONGEST = 300.0
"""Seconds after which a run is given up."""


@dataclass(frozen=True)
class Size:
    """How much each workload moves.

    :ivar bulk: bytes of the large file; ``part`` is what libraries move.
    """

    bulk: int
    part: int
    files: int
    stats: int
    logins: int
    commands: int
    idle: int
    wan: int

    @classmethod
    def of(cls, mebibytes: int) -> Size:
        """Scale everything by the size of the large file; 1024 MiB is the whole."""
        share = mebibytes / 1024
        return cls(
            bulk=mebibytes * MIB,
            part=max(1, mebibytes // 4) * MIB,
            files=max(100, int(5000 * share) // 100 * 100),
            stats=max(500, int(10000 * share)),
            logins=max(20, int(200 * share) // 20 * 20),
            commands=max(20, int(200 * share)),
            idle=max(100, int(1000 * share)),
            wan=max(8, mebibytes // 4) * MIB,
        )


class Ground:
    """A directory in memory with servers beside it; ``with`` ends and removes all.

    :ivar services: the servers of :mod:`bench.service`, by their features.
    """

    def __init__(self, size: Size, directory: Path) -> None:
        self.size = size
        self.directory = directory
        self.services: dict[str, Daemon] = {}
        self._stack = ExitStack()
        self.key, self.host_key = directory / "key", directory / "host_key"

    def __enter__(self) -> Ground:
        # As an installation does: what starts here is the program, not the compiler of Python.
        compileall.compile_dir(ROOT / "src" / "nacre", quiet=1)
        for path in (self.key, self.host_key):
            check([require("ssh-keygen"), "-q", "-N", "", "-t", "ed25519", "-f", path])
        self.files.mkdir()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def at_end(self, command: Sequence[object]) -> None:
        """Run a command before the servers end, whether it succeeds or not."""
        self._stack.callback(run, command)

    @property
    def files(self) -> Path:
        """What servers offer; the home of nacre's user."""
        return self.directory / "files"

    # --- servers ---

    @cached_property
    def nacre(self) -> Daemon:
        return self._stack.enter_context(self.start_nacre())

    def another(self, start: Callable[[], Daemon]) -> Daemon:
        """Start one more server, which ends with the others."""
        return self._stack.enter_context(start())

    def start_nacre(
        self,
        command: Sequence[str | Path] = (*NACRE, "serve"),
        state: Path | None = None,
        user: Sequence[str] = (),
    ) -> Daemon:
        """Start ``nacre serve``, or another command that takes its words.

        :param state: the new state directory; None for one in memory.
        :param user: further options of its user.
        """
        made = self.nacre_state(state)
        if user:
            with plain_shell(self.directory):
                made.set_user("bench", *user)
        return self._served_from(made, command)

    def on_disk(self) -> Path:
        """Make a directory on the disk, which is removed when all has ended."""
        made = tempfile.TemporaryDirectory(prefix="nacre-bench-service-")
        directory = Path(self._stack.enter_context(made))
        directory.chmod(0o755)  # other accounts of a server have directories in it
        return directory

    def _served_from(
        self, state: State, command: Sequence[str | Path] = (*NACRE, "serve")
    ) -> Daemon:
        words = ["--listen", "127.0.0.1:0", *RUN_AS, "-o", "MaxStartups=1000"]  # as sshd here
        with plain_shell(self.directory):
            daemon = Daemon("nacre serve", [*command, "--state", state.path, *words])
        daemon.port = int(daemon.wait_for(r"^listening on .*:(\d+)$")[1])
        return daemon

    @cached_property
    def nacre_account(self) -> Daemon:
        """A server whose user has an account that is not root's; only root can start it."""
        state = self.nacre_state()
        with plain_shell(self.directory):
            state.set_user("bench", "--home", "/", "--run-as", OTHER)
        return self._stack.enter_context(self._served_from(state))

    @cached_property
    def nacre_workers(self) -> Daemon:
        return self._stack.enter_context(self.start_nacre((*NACRE, "serve", "--workers", "2")))

    def nacre_state(self, path: Path | None = None) -> State:
        """Return a new state with the user of the benchmark; in memory, unless a path is given."""
        state = State(path or self.directory / f"state-{time.monotonic_ns()}")
        state.add_user("bench", keys=[self.key.with_suffix(".pub")], home=self.files)
        return state

    @cached_property
    def sshd(self) -> Daemon:
        return self._stack.enter_context(self.start_sshd())

    def start_sshd(self, *options: str, program: str | None = None) -> Daemon:
        """Start a server for the account that measures.

        :param options: lines of its configuration.
        :param program: one that takes sshd's configuration; None for sshd itself.
        """
        public = self.key.with_suffix(".pub")
        always = [
            "Subsystem sftp internal-sftp",
            # What an account's own shell reads at its start is not to be measured.
            f"SetEnv HOME={self.files}",
        ]
        with plain_shell(self.directory):
            return start_sshd(
                self.directory, [self.host_key], public, *options, *always, program=program
            )

    @cached_property
    def nacre_sshd(self) -> Daemon:
        return self._stack.enter_context(self.start_sshd(program=NACRE_SSHD))

    @cached_property
    def nacre_sshd_confined(self) -> Daemon:
        """A server whose users may use some files, by a process that can do nothing else."""
        forced = "ForceCommand internal-sftp -R"
        return self._stack.enter_context(self.start_sshd(forced, program=NACRE_SSHD))

    @cached_property
    def asyncssh(self) -> Daemon:
        return self._stack.enter_context(self.start_asyncssh())

    def start_asyncssh(self) -> Daemon:
        words = [self.host_key, self.key.with_suffix(".pub")]
        with plain_shell(self.directory):
            daemon = Daemon("AsyncSSH", [PEERS_PYTHON, ENDS / "asyncssh_server.py", *words])
        daemon.port = int(daemon.wait_for(r"^listening on (\d+)$")[1])
        return daemon

    def login(self, server: Daemon) -> Login:
        user = "bench" if server.name == "nacre serve" else ME
        return Login(server, user, self.directory, self.key)

    def blob(self, count: int) -> Path:
        """Return a file of so many bytes that no compression makes smaller."""
        path = self.files / f"blob-{count}"
        if not path.exists():
            draw = random.Random(count).randbytes
            with path.open("wb") as file:
                for at in range(0, count, MIB):
                    file.write(draw(min(MIB, count - at)))
            self._digests[path] = digest(path)
        return path

    @cached_property
    def _digests(self) -> dict[Path, str]:
        return {}

    def verify(self, copy: Path, original: Path) -> None:
        """Compare the hashes, and remove the copy."""
        if digest(copy) != self._digests[original]:
            raise SystemExit(f"{copy} is not {original}: {copy.stat().st_size} bytes")
        copy.unlink()

    @cached_property
    def tree(self) -> Path:
        """A tree of small files, a hundred in each directory."""
        top = self.files / "tree"
        draw = random.Random(4).randbytes
        for number in range(self.size.files):
            directory = top / f"d{number // 100}"
            directory.mkdir(parents=True, exist_ok=True)
            (directory / f"f{number % 100}").write_bytes(draw(4096))
        return top

    def verify_tree(self, copy: Path) -> None:
        wanted, found = tree_digest(self.tree), tree_digest(copy)
        if wanted != found:
            raise SystemExit(f"{copy} is not {self.tree}")

    # --- clients ---

    def program(
        self, client: str, tool: str, server: Daemon, *words: str, cipher: str = AES
    ) -> list[str]:
        """Return a command line of ``nacre`` or ``OpenSSH``: ``tool`` is ssh or sftp."""
        login = self.login(server)
        options = login.options(f"Ciphers={cipher}")
        if tool == "sftp":
            options[options.index("-p")] = "-P"
        start = [*NACRE, tool] if client == "nacre" else [require(tool)]
        return [*start, *options, *words]

    def time(
        self,
        command: Sequence[str],
        *,
        stdin: Path | None = None,
        stdout: Path | None = None,
        typed: str | None = None,
    ) -> float:
        """Return the seconds that a program takes, from its start to its end."""
        with ExitStack() as stack:
            source = stack.enter_context((stdin or Path(os.devnull)).open("rb"))
            sink = stack.enter_context((stdout or Path(os.devnull)).open("wb"))
            begin = time.perf_counter()
            done = subprocess.run(
                command,
                stdin=source if typed is None else None,
                input=None if typed is None else typed.encode(),
                stdout=sink,
                stderr=subprocess.PIPE,
                env=environment(),
                timeout=LONGEST,
                check=False,
            )
            seconds = time.perf_counter() - begin
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(command)}: {done.returncode}\n{done.stderr.decode()}")
        return seconds

    def library(
        self, library: str, server: Daemon, do: str, *, port: int = 0, **what: object
    ) -> float:
        """Return the seconds that a library says it took, what it loads before not counted."""
        login = self.login(server)
        job = {
            "port": port or server.port,
            "user": login.user,
            "key": str(self.key),
            "cipher": AES,
            "do": do,
            **what,
        }
        done = subprocess.run(
            [*self._end(library), json.dumps(job)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environment(),
            timeout=LONGEST,
            check=False,
        )
        if done.returncode != 0:
            raise SystemExit(f"{library} {job}: {done.returncode}\n{done.stderr.decode()}")
        return float(json.loads(done.stdout))

    def hold(self, server: Daemon, connections: int) -> Daemon:
        """Start a process that logs in so many times and stays; ready when it says so."""
        login = self.login(server)
        job = {
            "port": server.port,
            "user": login.user,
            "key": str(self.key),
            "cipher": AES,
            "do": "hold",
            "count": connections,
        }
        return Daemon("idle connections", [*self._end("nacre"), json.dumps(job)])

    def forwarding(self, server: Daemon, target: int) -> Daemon:
        """Start AsyncSSH as a client that forwards a port, and says which."""
        job = {
            "port": server.port,
            "user": self.login(server).user,
            "key": str(self.key),
            "cipher": AES,
            "do": "forward",
            "target": target,
        }
        return Daemon("AsyncSSH", [*self._end("asyncssh"), json.dumps(job)])

    def _end(self, library: str) -> list[str]:
        python = sys.executable if library == "nacre" else str(PEERS_PYTHON)
        return [python, str(ENDS / f"{library}_client.py")]


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tree_digest(top: Path) -> str:
    """Return a hash over the names and contents of a tree."""
    whole = hashlib.sha256()
    for path in sorted(path for path in top.rglob("*") if path.is_file()):
        whole.update(f"{path.relative_to(top)}\0".encode() + path.read_bytes())
    return whole.hexdigest()
