"""Much data over jump hosts."""

from __future__ import annotations

from bench.bulk import CLIENT, NACRE, OPENSSH, SERVER
from bench.ground import MIB, Daemon, Ground
from bench.measure import Comparison, Workload
from interop.programs import NACRE as PROGRAM
from interop.programs import require

HOPS = 3
"""Connections in one another: two to jump hosts, and the one to the host."""


def jump(ground: Ground) -> Workload:
    """Return the output of a command behind two jump hosts, all logins included."""
    count = ground.size.part
    path = ground.blob(count)
    ours = [ground.nacre, *(ground.another(ground.start_nacre) for _ in range(HOPS - 1))]
    theirs = [ground.sshd, *(ground.another(ground.start_sshd) for _ in range(HOPS - 1))]

    def run(client: str, servers: list[Daemon]) -> float:
        copy = ground.directory / "copy"
        seconds = ground.time(_command(ground, client, servers, f"cat {path}"), stdout=copy)
        ground.verify(copy, path)
        return count / 1e6 / seconds

    return Workload(
        "jump",
        f"the logins of {HOPS} hops (`-J a,b`) and {count // MIB} MiB of a command's output",
        "MB/s",
        {
            NACRE: lambda: run("nacre", ours),
            OPENSSH: lambda: run("OpenSSH", theirs),
            CLIENT: lambda: run("nacre", theirs),
            SERVER: lambda: run("OpenSSH", ours),
        },
        [
            Comparison(NACRE, OPENSSH),
            Comparison(CLIENT, OPENSSH),
            Comparison(SERVER, OPENSSH),
        ],
    )


def _command(ground: Ground, client: str, servers: list[Daemon], command: str) -> list[str]:
    """Return a command line. The options are in a file: OpenSSH gives its jumps no others."""
    login = ground.login(servers[0])
    words = login.options()
    options = [word for at, word in enumerate(words) if words[at - 1] == "-o"]
    lines = ["HostName 127.0.0.1", f"User {login.user}", f"IdentityFile {ground.key}", *options]
    blocks = [f"Host hop{number}\nPort {server.port}" for number, server in enumerate(servers)]
    file = ground.directory / f"jump-{login.user}"
    file.write_text("\n".join([*blocks, "Host *", *(line.replace("=", " ", 1) for line in lines)]))
    hosts = [f"hop{number}" for number in range(len(servers))]
    start = [*PROGRAM, "ssh"] if client == "nacre" else [require("ssh")]
    return [*start, "-F", str(file), "-J", ",".join(hosts[1:]), hosts[0], command]
