"""nacre's fleet and its plugin for Ansible beside others: python -m bench.fleet_peers

Two pieces of work, each done by all in turn, several times: a command at each of many endpoints
(bench.fleet serves them), by ``nacre fleet run``, parallel-ssh, and Ansible's ``ssh`` connection;
and a playbook at some sshds, by Ansible's ``ssh`` with ControlPersist and by the connection plugin.
A row has the median time, and the processor time of the program and of the programs that it waits
for (of the playbook also that of the hosts, but not that of the processes which keep connections),
which tells more on a machine that does other work too. A run that does not do all of its work is an
error. It needs .venv-bench (make bench).
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench.ground import PEERS_PYTHON, ROOT  # that module sets the path of the tests

# isort: split
from interop.daemons import start_sshd
from interop.programs import NACRE, check, environment, require
from nacre.compat.ansible import PLUGINS

ENDS = Path(__file__).parent / "ends"
ANSIBLE = PEERS_PYTHON.with_name("ansible")

SUDO = """#!/bin/sh
while [ "$1" != "${1#-}" ]; do
  [ "$1" = -u ] && shift
  shift
done
exec "$@"
"""
"""Does what ``sudo`` does for an account that may all, so that it need not be installed."""


@dataclass(frozen=True)
class Cost:
    """What a run has cost.

    :ivar seconds: from its start to its end.
    :ivar cpu: seconds of the processor, of programs that have ended by then.
    """

    seconds: float
    cpu: float


def cost_of(command: list[Any], right: Callable[[str], bool], **more: str) -> Cost:
    """Run a command, and return its cost."""
    begun = time.monotonic()
    with subprocess.Popen(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment(**more),
    ) as process:
        assert process.stdout is not None
        printed = process.stdout.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - begun
    if not right(printed):
        raise RuntimeError(f"{command[0]} has not done its work:\n{printed[-3000:]}")
    return Cost(seconds, usage.ru_utime + usage.ru_stime)


def rows(runs: Mapping[str, Callable[[], Cost]], times: int, unit: str, count: int) -> None:
    """Do each run so often, in turn, and print a row for each."""
    costs: dict[str, list[Cost]] = {name: [] for name in runs}
    for _ in range(times):
        for name, run in runs.items():
            costs[name].append(run())
            print(f"{name}: {costs[name][-1]}", file=sys.stderr, flush=True)
    first = None
    print(f"\n| | s | {unit} a second | CPU, ms a {unit} | s, as a multiple of nacre's |")
    print("|---|---|---|---|---|")
    for name, found in costs.items():
        seconds, cpu = (median(getattr(one, what) for one in found) for what in ("seconds", "cpu"))
        first = first or seconds
        print(
            f"| {name} | {seconds:.2f} | {count / seconds:.0f} | {cpu / count * 1000:.1f} | "
            f"{seconds / first:.1f} |",
            flush=True,
        )


@contextmanager
def _endpoints(key: Path) -> Any:
    command = [sys.executable, "-m", "bench.fleet", "--serve", "--key", f"{key}.pub"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as servers:
        assert servers.stdout is not None
        try:
            yield json.loads(servers.stdout.readline())["good"]
        finally:
            servers.kill()


def commands(directory: Path, key: Path, hosts: int, parallel: int, times: int) -> None:
    """Compare the three with a command at each host."""
    names = [f"127.7.{number // 250}.{1 + number % 250}" for number in range(hosts)]
    file, inventory = directory / "hosts", directory / "hosts.ini"
    file.write_text("".join(f"{name}\n" for name in names))
    with _endpoints(key) as port:
        said = f"ansible_port={port} ansible_user=good ansible_ssh_private_key_file={key}"
        inventory.write_text("".join(f"{name} {said}\n" for name in names))
        none = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
        ours: list[Any] = [*NACRE, "fleet", "run", "--no-state", "-q", "-F", "none", "-l", "good"]
        ours += ["-p", port, "-i", key, "-P", parallel, "--hosts-file", file, *none, "x"]
        theirs = [PEERS_PYTHON, ENDS / "parallel_ssh.py", key, port, parallel, file]
        ansible = [ANSIBLE, "all", "-i", inventory, "-f", parallel, "-m", "raw", "-a", "x"]
        settings = {
            "ANSIBLE_HOST_KEY_CHECKING": "False",
            "ANSIBLE_SSH_COMMON_ARGS": "-o UserKnownHostsFile=/dev/null -o LogLevel=ERROR",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(directory / "cp"),
            "HOME": str(directory),
            "LC_ALL": "C.UTF-8",
        }
        print(f"\nA command at each of {hosts} hosts, {parallel} at a time, all logins included:")
        rows(
            {
                "nacre fleet run": lambda: cost_of(ours, lambda text: f"{hosts} ok" in text),
                "parallel-ssh": lambda: cost_of(theirs, lambda text: text.strip() == str(hosts)),
                "Ansible, ssh": lambda: cost_of(
                    ansible, lambda text: text.count("rc=0") == hosts, **settings
                ),
            },
            times,
            "host",
            hosts,
        )


def playbook(directory: Path, key: Path, count: int, times: int) -> None:
    """Compare Ansible's two connections with a playbook at some hosts."""
    sudo, source = directory / "sudo", directory / "source"
    sudo.write_text(SUDO)
    sudo.chmod(0o755)
    source.write_text("{{ inventory_hostname }}\n" * 500)
    host_key = directory / "host_key"
    check([require("ssh-keygen"), "-q", "-N", "", "-t", "ed25519", "-f", host_key])
    said = {
        "ansible_host": "127.0.0.1",
        "ansible_ssh_private_key_file": str(key),
        "ansible_python_interpreter": sys.executable,
        "ansible_remote_tmp": str(directory / "remote"),
        "ansible_become_exe": str(sudo),
        "ansible_nacre_options": ["UserKnownHostsFile=/dev/null"],
        "source": str(source),
        "there": str(directory / "there"),
    }
    inventory, play = directory / "inventory.json", directory / "play.json"
    play.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": _TASKS}]))
    command = [PEERS_PYTHON.with_name("ansible-playbook"), "-f", "10", "-i", inventory, play]
    settings = {
        "ANSIBLE_BECOME_ALLOW_SAME_USER": "True",
        "ANSIBLE_CONNECTION_PLUGINS": PLUGINS,
        "ANSIBLE_HOST_KEY_CHECKING": "False",
        "ANSIBLE_NACRE_DIRECTORY": str(directory / "broker"),
        "ANSIBLE_NACRE_PERSIST": "5",
        "ANSIBLE_SSH_COMMON_ARGS": "-o UserKnownHostsFile=/dev/null -o LogLevel=ERROR",
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(directory / "cp"),
        "HOME": str(directory),
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": str(Path(PLUGINS).parents[3]),
    }

    def right(text: str) -> bool:
        return text.count("failed=0") == count and "unreachable=1" not in text

    def run(connection: str, *, pipelining: bool) -> Cost:
        before = _children()
        with ExitStack() as stack:
            hosts = {}
            for number in range(count):
                daemon = start_sshd(directory, [host_key], Path(f"{key}.pub"), _SFTP)
                hosts[f"host{number}"] = {"ansible_port": daemon.port}
                stack.enter_context(daemon)
            inventory.write_text(json.dumps({"all": {"hosts": hosts, "vars": said}}))
            more = {**settings, "ANSIBLE_PIPELINING": str(pipelining)}
            cost = cost_of([*command, "-c", connection], right, **more)
            _end_connections(directory)
        return Cost(cost.seconds, _children() - before)

    print(
        f"\nA playbook of {len(_TASKS)} tasks at {count} hosts; the processor time is theirs too:"
    )
    rows(
        {
            # What Ansible says of pipelining by default is for ssh alone.
            "connection: nacre": lambda: run("nacre", pipelining=False),
            "ssh with ControlPersist": lambda: run("ssh", pipelining=False),
            "ssh with ControlPersist, pipelining": lambda: run("ssh", pipelining=True),
        },
        times,
        "task",
        len(_TASKS) * count,
    )


_SFTP = "Subsystem sftp /usr/lib/openssh/sftp-server"


def _children() -> float:
    """Return the processor time of programs that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _end_connections(directory: Path) -> None:
    """End the connections that are kept, so that the servers' processes end and are counted."""
    for path in (directory / "cp").glob("*"):
        asked = [require("ssh"), "-o", f"ControlPath={path}", "-O", "exit", "host"]
        subprocess.run(asked, check=False, capture_output=True)
    while list((directory / "broker").glob("broker-*[0-9]")):
        time.sleep(0.1)
    time.sleep(1.0)


def _tasks() -> list[dict[str, Any]]:
    there = "{{ there }}/{{ inventory_hostname }}"
    found: list[dict[str, Any]] = [{"file": {"path": there, "state": "directory"}}]
    for number in range(4):
        found += [
            {"command": "echo one"},
            {"copy": {"src": "{{ source }}", "dest": f"{there}/copy{number}"}},
            {"template": {"src": "{{ source }}", "dest": f"{there}/template{number}"}},
            {"command": "true", "become": True},
        ]
    found += [
        {"stat": {"path": f"{there}/copy0"}},
        {"shell": f"rm -r {there}"},
        {"ping": {}},
    ]
    return found


_TASKS = _tasks()


def main() -> None:
    """Compare all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--hosts", type=int, default=300)
    parser.add_argument("--parallel", type=int, default=50)
    parser.add_argument("--played", type=int, default=10, help="hosts of the playbook")
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--only", choices=("commands", "playbook"))
    given = parser.parse_args()
    # As an installation does; the environment may forbid it to the programs.
    compileall.compile_dir(ROOT / "src" / "nacre", quiet=1)
    with tempfile.TemporaryDirectory(prefix="fleet", dir="/tmp") as name:
        directory = Path(name)
        directory.chmod(0o700)
        key = directory / "key"
        check([require("ssh-keygen"), "-q", "-N", "", "-t", "ed25519", "-f", key])
        if given.only != "playbook":
            commands(directory, key, given.hosts, given.parallel, given.times)
        if given.only != "commands":
            playbook(directory, key, given.played, given.times)


if __name__ == "__main__":
    main()
