"""``nacre agent`` beside OpenSSH's ssh-agent: ssh-add and ssh must see no difference."""

from __future__ import annotations

import contextlib
import os
import pwd
import select
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from interop.clients import Account, Login
from interop.daemons import Daemon
from interop.programs import NACRE, check, require, run, sk_dummy

Agents = dict[str, "RunningAgent"]

MAKERS = ("nacre", "OpenSSH")

pytestmark = pytest.mark.untraced


class RunningAgent:
    """An agent in the foreground, with a program that answers its questions.

    :ivar sock: its socket.
    :ivar asked: the file with the questions that its program got.
    """

    def __init__(self, maker: str, *options: str) -> None:
        command = [*NACRE, "agent"] if maker == "nacre" else [require("ssh-agent")]
        self.directory = Path(tempfile.mkdtemp(dir="/tmp"))
        self.sock = str(self.directory / "agent")
        self.asked = self.directory / "asked"
        self._answer = self.directory / "answer"
        self.confirms(True)
        program = self.directory / "askpass"
        program.write_text(
            f'#!/bin/sh\nprintf "%s|%s\\n" "$SSH_ASKPASS_PROMPT" "$1" >> {self.asked}\n'
            f"exit $(cat {self._answer})\n"
        )
        program.chmod(0o755)
        self.daemon = Daemon(
            maker,
            [*command, "-D", "-a", self.sock, *options],
            more_environment={"SSH_ASKPASS": str(program), "SSH_ASKPASS_REQUIRE": "force"},
        )
        self.daemon.wait_for("Agent pid")

    def confirms(self, answer: bool) -> None:
        """Set what the user answers from now on."""
        self._answer.write_text("0" if answer else "1")

    def add(self, *words: object, **environment: str) -> tuple[int, str]:
        """Run ssh-add; return its exit status and what it printed."""
        more: Any = {"SSH_AUTH_SOCK": self.sock, "SSH_ASKPASS_REQUIRE": "never"} | environment
        done = run([require("ssh-add"), *words], **more)
        printed = (done.stdout + done.stderr).decode().replace(str(self.directory), "DIRECTORY")
        return done.returncode, printed

    def stop(self) -> int:
        status = self.daemon.stop()
        shutil.rmtree(self.directory)
        return status


@pytest.fixture
def agents() -> Iterator[Agents]:
    started = {maker: RunningAgent(maker) for maker in MAKERS}
    yield started
    for one in started.values():
        one.stop()


@pytest.fixture(scope="module")
def certified(keys: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Private keys of each type, with a certificate beside each."""
    directory = tmp_path_factory.mktemp("certified")
    made = []
    for name, path in keys.items():
        copy = directory / name
        shutil.copy(path, copy)
        shutil.copy(f"{path}.pub", f"{copy}.pub")
        sign = [require("ssh-keygen"), "-q", "-s", keys["ed25519"], "-I", name, "-n", "alice"]
        check([*sign, f"{copy}.pub"])
        made.append(copy)
    return made


@pytest.fixture
def passphrase(tmp_path: Path) -> Callable[[str], dict[str, str]]:
    """Return the environment in which ssh-add gets an answer to each question."""

    def environment(answer: str) -> dict[str, str]:
        program = tmp_path / f"askpass-{answer}"
        program.write_text(f"#!/bin/sh\necho {answer}\n")
        program.chmod(0o755)
        return {"SSH_ASKPASS": str(program), "SSH_ASKPASS_REQUIRE": "force"}

    return environment


def same(agents: Agents, *words: object, **environment: str) -> tuple[int, str]:
    """Run ssh-add with both agents, which must make no difference; return what it did."""
    done = {maker: one.add(*words, **environment) for maker, one in agents.items()}
    assert done["nacre"] == done["OpenSSH"]
    return done["nacre"]


def test_keys_are_listed_used_and_removed(agents: Agents, certified: list[Path]) -> None:
    assert same(agents, "-l") == (1, "The agent has no identities.\n")
    assert same(agents, "-L")[0] == 1
    for key in certified:
        assert same(agents, key)[0] == 0
    for listing in (["-l"], ["-L"], ["-l", "-E", "md5"]):
        status, printed = same(agents, *listing)
        assert status == 0
        assert len(printed.splitlines()) == 2 * len(certified)
    public = [f"{key}.pub" for key in certified] + [f"{key}-cert.pub" for key in certified]
    assert same(agents, "-T", *public)[0] == 0
    assert same(agents, "-d", certified[0])[0] == 0
    assert same(agents, "-d", certified[0])[0] == 1
    assert same(agents, "-T", f"{certified[0]}.pub")[0] != 0
    assert same(agents, "-l")[0] == 0
    assert same(agents, "-D")[0] == 0
    assert same(agents, "-l")[0] == 1


def test_plain_keys_alone_and_quietly(agents: Agents, certified: list[Path]) -> None:
    assert same(agents, "-k", "-q", certified[0]) == (0, "")
    assert len(same(agents, "-l")[1].splitlines()) == 1


def test_a_lock(
    agents: Agents, keys: dict[str, Path], passphrase: Callable[[str], dict[str, str]]
) -> None:
    assert same(agents, keys["ed25519"])[0] == 0
    assert same(agents, "-x", **passphrase("right"))[0] == 0
    assert same(agents, "-x", **passphrase("right"))[0] != 0
    assert same(agents, "-l") == (1, "The agent has no identities.\n")
    assert same(agents, keys["ecdsa256"])[0] != 0
    assert same(agents, "-T", f"{keys['ed25519']}.pub")[0] != 0
    assert same(agents, "-D")[0] != 0
    assert same(agents, "-X", **passphrase("wrong"))[0] != 0
    assert same(agents, "-X", **passphrase("right"))[0] == 0
    assert same(agents, "-X", **passphrase("right"))[0] != 0
    assert same(agents, "-l")[0] == 0


def test_confirmation(agents: Agents, keys: dict[str, Path]) -> None:
    public = f"{keys['ed25519']}.pub"
    assert same(agents, "-c", keys["ed25519"])[0] == 0
    assert same(agents, "-T", public)[0] == 0
    for one in agents.values():
        one.confirms(False)
    assert same(agents, "-T", public)[0] != 0
    nacre, openssh = (agents[maker].asked.read_text() for maker in MAKERS)
    assert nacre == openssh
    assert nacre.count("confirm|Allow use of key") == 2


def test_lifetimes(agents: Agents, keys: dict[str, Path]) -> None:
    assert same(agents, "-t", "1h", keys["ecdsa256"])[0] == 0
    assert same(agents, "-t", "1", keys["ed25519"])[0] == 0
    agent = agents["nacre"]
    forgotten(agent, "ED25519")
    assert "ECDSA" in agent.add("-l")[1]


def test_tokens_are_refused(
    agents: Agents, passphrase: Callable[[str], dict[str, str]], tmp_path: Path
) -> None:
    library = tmp_path / "pkcs11.so"
    library.write_bytes(b"")
    assert same(agents, "-s", library, **passphrase("1234"))[0] == 1
    # OpenSSH 10's agent is content to forget a token that it has never had.
    assert agents["nacre"].add("-e", library, **passphrase("1234"))[0] == 1


def test_a_key_for_one_host_is_not_used_for_anything_else(
    agents: Agents, keys: dict[str, Path], known: Path
) -> None:
    assert same(agents, "-H", known, "-h", "here", keys["ed25519"])[0] == 0
    assert same(agents, "-H", known, "-h", "here>alice@there", keys["ecdsa256"])[0] == 0
    assert len(same(agents, "-l")[1].splitlines()) == 2
    for name in ("ed25519", "ecdsa256"):
        assert same(agents, "-T", f"{keys[name]}.pub")[0] != 0


@pytest.fixture
def known(host_keys: dict[str, Path], tmp_path: Path) -> Path:
    path = tmp_path / "known_hosts"
    public = Path(f"{host_keys['ed25519']}.pub").read_text()
    other = Path(f"{host_keys['ecdsa256']}.pub").read_text()
    path.write_text(f"here {public}there {other}")
    return path


# --- logins ---


def with_agent(login: Login) -> list[str]:
    """Return the command line of a login with the agent's keys alone."""
    return login.using(None).ssh("PubkeyAuthentication=yes", "BatchMode=yes")


@pytest.mark.parametrize("name", ["ed25519", "ecdsa521", "rsa"])
def test_ssh_logs_in(name: str, keys: dict[str, Path], to_sshd: Login) -> None:
    agent = RunningAgent("nacre")
    try:
        assert agent.add(keys[name])[0] == 0
        done = run([*with_agent(to_sshd), "echo", "in"], SSH_AUTH_SOCK=agent.sock)
        assert done.stdout == b"in\n", done.stderr.decode()
    finally:
        agent.stop()


@pytest.mark.parametrize("right", [True, False], ids=["its host", "another host"])
def test_ssh_logs_in_with_a_key_for_a_host(
    right: bool, keys: dict[str, Path], host_keys: dict[str, Path], to_sshd: Login, tmp_path: Path
) -> None:
    known = tmp_path / "known"
    host = host_keys if right else keys
    known.write_text("".join(f"it {Path(f'{path}.pub').read_text()}" for path in host.values()))
    agent = RunningAgent("nacre")
    try:
        assert agent.add("-H", known, "-h", "it", keys["ed25519"])[0] == 0
        done = run([*with_agent(to_sshd), "echo", "in"], SSH_AUTH_SOCK=agent.sock)
    finally:
        agent.stop()
    assert (done.stdout == b"in\n") is right, done.stderr.decode()


# --- security keys ---


@pytest.mark.parametrize("type", ["ed25519-sk", "ecdsa-sk"])
def test_security_keys_sign_through_a_library(type: str, tmp_path: Path) -> None:
    library = sk_dummy()
    path = tmp_path / "key"
    keygen = require("ssh-keygen")
    check([keygen, "-q", "-t", type, "-w", library, "-N", "", "-f", path])
    check([keygen, "-q", "-s", path, "-w", library, "-I", "x", "-n", "alice", f"{path}.pub"])
    agents = {maker: RunningAgent(maker, "-P", "/usr/lib/*") for maker in MAKERS}
    try:
        assert same(agents, "-S", "/tmp/other.so", path)[0] == 1
        assert same(agents, "-S", library, path)[0] == 0
        assert len(same(agents, "-L")[1].splitlines()) == 2
        assert same(agents, "-T", f"{path}.pub", f"{path}-cert.pub")[0] == 0
        told = [agents[maker].asked.read_text() for maker in MAKERS]
    finally:
        for one in agents.values():
            one.stop()
    assert all("none|Confirm user presence for key" in each for each in told)


# --- the program ---


def command(maker: str) -> list[str]:
    return [*NACRE, "agent"] if maker == "nacre" else [require("ssh-agent")]


@pytest.mark.parametrize("options", [["-s"], ["-c"], []], ids=["sh", "csh", "by SHELL"])
def test_what_is_printed_for_shells(options: list[str]) -> None:
    shown = {}
    for maker in MAKERS:
        printed = check([*command(maker), *options], SHELL="/bin/tcsh").decode()
        pid = printed.split("pid ")[1].strip().rstrip(";")
        sock = printed.split("agent.")[0].split("/ssh-")[1]
        killed = check([*command(maker), *options, "-k"], SHELL="/bin/tcsh", SSH_AGENT_PID=pid)
        own = printed.split("agent.")[1].split(";")[0]
        printed = printed.replace(own, "OWN").replace(pid, "PID").replace(sock, "XXXX/")
        shown[maker] = printed, killed.decode().replace(pid, "PID")
    assert shown["nacre"] == shown["OpenSSH"]


@pytest.mark.parametrize(
    "options",
    [["-k"], ["-x"], ["-c", "-s"], ["-D", "true"], ["-t", "soon"], ["-a", "/nonexistent/agent"]],
    ids=" ".join,
)
def test_exit_statuses_of_what_can_not_be(options: list[str]) -> None:
    done = {maker: run([*command(maker), *options]).returncode for maker in MAKERS}
    assert done["nacre"] == done["OpenSSH"] != 0


def test_a_command_gets_the_agent_and_its_status_is_the_programs() -> None:
    line = f"{require('ssh-add')} -l; echo $SSH_AGENT_PID; exit 7"
    for maker in MAKERS:
        done = run([*command(maker), "sh", "-c", line])
        assert done.returncode == 7
        listed, pid = done.stdout.decode().splitlines()
        assert listed == "The agent has no identities."
        assert int(pid) > 1


def test_the_agent_ends_with_its_command() -> None:
    line = 'echo "$SSH_AUTH_SOCK"; echo "$SSH_AGENT_PID"'
    sock, pid = check([*command("nacre"), "sh", "-c", line]).decode().split()
    descriptor = -1
    with contextlib.suppress(ProcessLookupError):
        descriptor = os.pidfd_open(int(pid))
        assert select.select([descriptor], [], [], 20)[0]
    if descriptor >= 0:
        os.close(descriptor)
    assert not Path(sock).parent.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signals_end_it_and_its_socket(number: signal.Signals) -> None:
    for maker in MAKERS:
        agent = RunningAgent(maker)
        if maker == "OpenSSH":
            agent.add("-l")  # it tells its number before it handles signals
        agent.daemon.process.send_signal(number)
        assert agent.daemon.process.wait(20) == 2
        assert not Path(agent.sock).exists()
        agent.stop()


def test_sigusr1_forgets_all_keys(keys: dict[str, Path]) -> None:
    """As in OpenSSH 10; earlier agents end."""
    agent = RunningAgent("nacre")
    try:
        assert agent.add(keys["ed25519"])[0] == 0
        agent.daemon.process.send_signal(signal.SIGUSR1)
        for _ in range(200):  # the signal is seen in the next turn of the loop
            status = agent.add("-l")[0]
            if status == 1:
                break
        assert status == 1
    finally:
        agent.stop()


def test_a_default_lifetime(keys: dict[str, Path]) -> None:
    agent = RunningAgent("nacre", "-t", "1")
    try:
        assert agent.add("-t", "1h", keys["ecdsa256"])[0] == 0
        assert agent.add(keys["ed25519"])[0] == 0
        forgotten(agent, "ED25519")
        assert "ECDSA" in agent.add("-l")[1]
    finally:
        agent.stop()


def forgotten(agent: RunningAgent, name: str) -> None:
    """Wait until the agent lists no key of the type ``name``; ssh-add takes some milliseconds."""
    for _ in range(2000):
        if name not in agent.add("-l")[1]:
            return
    raise AssertionError(f"a key of {name} is still there")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another account")
def test_other_accounts_get_no_answer(keys: dict[str, Path], system_account: Account) -> None:
    agent = RunningAgent("nacre", "-d")
    try:
        assert agent.add(keys["ed25519"])[0] == 0
        agent.directory.chmod(0o755)
        Path(agent.sock).chmod(0o666)
        entry = pwd.getpwnam(system_account.name)
        done = subprocess.run(
            [require("ssh-add"), "-l"],
            env={"SSH_AUTH_SOCK": agent.sock},
            user=entry.pw_uid,
            group=entry.pw_gid,
            extra_groups=[],
            capture_output=True,
            timeout=20,
            check=False,
        )
        assert done.returncode != 0, done.stdout
        assert done.stdout == b""
        agent.daemon.wait_for(f"the account {entry.pw_uid} is refused")
    finally:
        agent.stop()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read all memory")
def test_its_memory_is_not_readable() -> None:
    agent = RunningAgent("nacre")
    try:
        with pytest.raises(PermissionError):
            os.open(f"/proc/{agent.daemon.pid}/mem", os.O_RDONLY)
    finally:
        agent.stop()


def test_no_core_files() -> None:
    agent = RunningAgent("nacre")
    try:
        limits = Path(f"/proc/{agent.daemon.pid}/limits").read_text()
        (core,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
        assert core.split()[4] == "0"
    finally:
        agent.stop()
