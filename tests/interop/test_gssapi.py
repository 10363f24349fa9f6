"""GSSAPI with a key distribution center: OpenSSH's programs and nacre's, in all four pairs."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

import nacre
from interop.clients import Account
from interop.config_cases.programs import version_of
from interop.daemons import Daemon, on_free_port, without_penalties
from interop.kerberos import REALM, Realm, realm
from interop.nacre_sshd import SSHD
from interop.programs import NACRE, missing, require
from interop.programs import run as run_program
from interop.side_by_side import READY, SERVERS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root serves other accounts"),
]

CONFIG = (
    "GSSAPIAuthentication yes",
    "GSSAPIKeyExchange yes",
    "GSSAPIStrictAcceptorCheck no",
    "PasswordAuthentication no",
    "KbdInteractiveAuthentication no",
    "PermitRootLogin no",
    "PidFile none",
    "UsePAM yes",
    "UseDNS no",
)
CLIENTS = ("ssh", "nacre")
PAIRS = [(client, server) for client in CLIENTS for server in SERVERS]
WITH_MIC = ("GSSAPIAuthentication=yes", "PreferredAuthentications=gssapi-with-mic")
KEYEX = (
    *("GSSAPIAuthentication=yes", "GSSAPIKeyExchange=yes"),
    "PreferredAuthentications=gssapi-keyex",
)


run: Callable[..., subprocess.CompletedProcess[bytes]] = run_program
"""With the environment of a realm as further arguments."""


@dataclass(frozen=True)
class Place:
    """A realm, two servers of it, and an account that has a ticket.

    :ivar tickets: the environment with the account's ticket.
    """

    realm: Realm
    servers: dict[str, Daemon]
    account: Account
    directory: Path
    tickets: dict[str, str]

    def command(
        self,
        client: str,
        server: str,
        *options: str,
        user: str = "",
        flags: Sequence[str] = (),
    ) -> list[str]:
        program = [require("ssh")] if client == "ssh" else [*NACRE, "ssh"]
        words = [*program, *flags, "-F", "none", "-p", str(self.servers[server].port)]
        for option in (
            *options,
            *("BatchMode=yes", "StrictHostKeyChecking=no", "PubkeyAuthentication=no"),
            f"UserKnownHostsFile={self.directory / 'known_hosts'}",
        ):
            words += ["-o", option]
        return [*words, f"{user or self.account.name}@localhost"]

    def ssh(
        self,
        client: str,
        server: str,
        *options: str,
        line: str = "echo in",
        user: str = "",
        tickets: dict[str, str] | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        command = [*self.command(client, server, *options, user=user), line]
        return run(command, **(self.tickets if tickets is None else tickets))


def serve(server: str, directory: Path, key: Path, environment: dict[str, str]) -> Daemon:
    program = require("sshd") if server == "sshd" else SSHD
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd does not start without

    def started(port: int) -> Daemon:
        file = directory / f"{server}.conf"
        own = [f"ListenAddress 127.0.0.1:{port}", f"HostKey {key}"]
        lines = [*own, *without_penalties(server), *CONFIG]
        file.write_text("\n".join(lines) + "\n")
        return Daemon(server, [program, "-D", "-e", "-f", file], more_environment=environment)

    return on_free_port(started, READY[server])


@pytest.fixture(scope="module")
def place(system_account: Account, host_keys: dict[str, Path]) -> Iterator[Place]:
    if find_spec("gssapi") is None:
        missing("gssapi")
    if not run([require("ssh"), "-Q", "kex-gss"]).stdout:
        missing("OpenSSH with the key exchanges of GSSAPI")
    with ExitStack() as stack:
        made = stack.enter_context(realm("localhost", "127.0.0.1"))
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="gssapi-", dir="/tmp")))
        made.add_user(system_account.name)
        made.add_user("mallory")
        tickets = made.ticket(system_account.name, directory / "tickets")
        servers = {}
        for server in SERVERS:
            daemon = serve(server, directory, host_keys["ed25519"], made.environment)
            servers[server] = stack.enter_context(daemon)
        yield Place(made, servers, system_account, directory, tickets)


@pytest.mark.parametrize(("client", "server"), PAIRS)
def test_a_ticket_logs_in(place: Place, client: str, server: str) -> None:
    done = place.ssh(client, server, *WITH_MIC)
    assert (done.returncode, done.stdout) == (0, b"in\n"), done


@pytest.mark.parametrize("method", ["gss-nistp256-sha256-", "gss-group16-sha512-"])
@pytest.mark.parametrize(("client", "server"), PAIRS)
def test_kerberos_proves_the_servers_name_in_place_of_a_key(
    place: Place, client: str, server: str, method: str
) -> None:
    options = (*KEYEX, f"GSSAPIKexAlgorithms={method}", "StrictHostKeyChecking=yes")
    nowhere = "UserKnownHostsFile=/dev/null", "GlobalKnownHostsFile=/dev/null"
    done = place.ssh(client, server, *options, *nowhere, "LogLevel=DEBUG1")
    assert (done.returncode, done.stdout) == (0, b"in\n"), done
    assert method.encode() in done.stderr


@pytest.mark.parametrize(("client", "server"), PAIRS)
def test_delegated_tickets_are_the_sessions_own_until_its_end(
    place: Place, client: str, server: str
) -> None:
    line = 'klist && stat -c "%a %U" "${KRB5CCNAME#FILE:}" && echo "$KRB5CCNAME"'
    command = place.command(client, server, WITH_MIC[1], flags=["-K"])
    done = run([*command, line], **place.tickets)
    assert done.returncode == 0, done
    told = done.stdout.decode()
    assert f"Default principal: {place.account.name}@{REALM}" in told
    assert f"krbtgt/{REALM}@{REALM}" in told
    assert f"600 {place.account.name}\n" in told
    cache = Path(told.splitlines()[-1].removeprefix("FILE:"))
    place.servers[server].wait_for("closed|Disconnected from user|Closing connection")
    eventually(lambda: not cache.exists())
    without = place.ssh(client, server, *WITH_MIC, line='echo "${KRB5CCNAME-none}"')
    assert without.stdout == b"none\n"


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("server", SERVERS)
def test_a_principal_gets_in_where_the_account_says_so(place: Place, server: str) -> None:
    mallory = place.realm.ticket("mallory", place.directory / "mallory")
    list_of_names = place.account.home / ".k5login"
    try:
        for client in CLIENTS:
            for options in (WITH_MIC, KEYEX):
                done = place.ssh(client, server, *options, tickets=mallory)
                assert done.returncode == 255, (client, done)
        list_of_names.write_text(f"mallory@{REALM}\n")
        shutil.chown(list_of_names, place.account.name)
        for client in CLIENTS:
            done = place.ssh(client, server, *WITH_MIC, tickets=mallory)
            assert done.stdout == b"in\n", (client, done)
        # The list replaces the realm's rule that principals are accounts of the same name.
        assert place.ssh("nacre", server, *WITH_MIC).returncode == 255
    finally:
        list_of_names.unlink(missing_ok=True)
    for client in CLIENTS:
        assert place.ssh(client, server, *WITH_MIC, user="root").returncode == 255


@pytest.mark.parametrize("server", SERVERS)
def test_without_a_ticket_other_methods_log_in(
    place: Place, server: str, keys: dict[str, Path]
) -> None:
    options = [
        *("GSSAPIAuthentication=yes", "GSSAPIKeyExchange=yes", "PubkeyAuthentication=yes"),
        *(f"IdentityFile={keys['ed25519']}", "IdentitiesOnly=yes"),
    ]
    none = {**place.realm.environment, "KRB5CCNAME": f"FILE:{place.directory / 'none'}"}
    expired = place.realm.ticket(place.account.name, place.directory / "old", "-l", "1s")
    eventually(lambda: run([require("kvno"), "host/localhost"], **expired).returncode != 0)
    for client in CLIENTS:
        for tickets in (none, expired):
            done = place.ssh(client, server, *options, tickets=tickets)
            assert done.stdout == b"in\n", (client, tickets["KRB5CCNAME"], done)
            refused = place.ssh(client, server, *WITH_MIC, tickets=tickets)
            assert refused.returncode == 255


def test_the_error_tells_why_there_is_no_ticket(place: Place) -> None:
    none = {**place.realm.environment, "KRB5CCNAME": f"FILE:{place.directory / 'none'}"}
    done = place.ssh("nacre", "nacre", *WITH_MIC, tickets=none)
    assert b"not used: GSSAPI: No Kerberos credentials available" in done.stderr


@pytest.mark.parametrize("client", CLIENTS)
def test_keys_are_exchanged_again_by_gssapi(place: Place, client: str) -> None:
    line = "head -c 300000 /dev/zero | wc -c; cat | wc -c"
    options = (*KEYEX, "RekeyLimit=100K", "LogLevel=DEBUG1")
    for server in SERVERS:
        command = [*place.command(client, server, *options), line]
        done = run(command, input=bytes(300000), **place.tickets)
        assert done.stdout.split() == [b"300000", b"300000"], done


def test_a_method_of_gssapi_is_one_of_several(
    place: Place, host_keys: dict[str, Path], keys: dict[str, Path]
) -> None:
    """AuthenticationMethods holds; and tickets for another name of this host are refused."""
    lines = [line for line in CONFIG if "GSSAPIStrictAcceptorCheck" not in line]
    file = place.directory / "several.conf"
    more = ["AuthenticationMethods gssapi-with-mic,publickey", f"HostKey {host_keys['ed25519']}"]
    where = ["ListenAddress 127.0.0.1", *without_penalties("nacre")]
    file.write_text("\n".join([*where, *more, *lines]) + "\n")
    command = [SSHD, "-D", "-e", "-f", str(file), "-p", "0"]
    with Daemon("nacre-sshd", command, more_environment=place.realm.environment) as daemon:
        daemon.port = int(daemon.wait_for(r"^listening on .*:(\d+)$")[1])
        both = Place(place.realm, {"nacre": daemon}, place.account, place.directory, place.tickets)
        key = (f"IdentityFile={keys['ed25519']}", "IdentitiesOnly=yes", "PubkeyAuthentication=yes")
        own = (f"GSSAPIServerIdentity={socket.gethostname()}", "GSSAPIAuthentication=yes")
        for client in CLIENTS:
            assert both.ssh(client, "nacre", *own, *key).stdout == b"in\n", client
            assert both.ssh(client, "nacre", *own).returncode == 255
            assert both.ssh(client, "nacre", *key).returncode == 255
            elsewhere = (*key, "GSSAPIAuthentication=yes")  # a ticket for host/localhost
            assert both.ssh(client, "nacre", *elsewhere).returncode == 255


def test_a_ticket_logs_in_through_a_jump_host(place: Place) -> None:
    hop, target = place.servers["sshd"], place.servers["nacre"]
    file = place.directory / "jump.conf"
    usual = [
        *("GSSAPIAuthentication yes", "PreferredAuthentications gssapi-with-mic"),
        *(f"User {place.account.name}", "StrictHostKeyChecking no", "BatchMode yes"),
        f"UserKnownHostsFile {place.directory / 'known_hosts'}",
    ]
    lines = ["Host hop", "Hostname localhost", f"Port {hop.port}"]
    lines += ["Host target", "Hostname localhost", f"Port {target.port}", "ProxyJump hop"]
    file.write_text("\n".join([*lines, "Host *", *usual]) + "\n")
    done = run([*NACRE, "ssh", "-F", file, "target", "echo in"], **place.tickets)
    assert done.stdout == b"in\n", done


def test_a_server_without_a_host_key_is_known_by_kerberos(place: Place) -> None:
    if version_of("ssh") >= (10, 0):
        pytest.skip("sshd serves nobody without a host key, since version 10")
    sshd = require("sshd")
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)

    def started(port: int) -> Daemon:
        file = place.directory / "keyless.conf"
        lines = [f"ListenAddress 127.0.0.1:{port}", f"HostKey {place.directory / 'no-key'}"]
        file.write_text("\n".join([*lines, *CONFIG]) + "\n")
        environment = place.realm.environment
        return Daemon("sshd", [sshd, "-D", "-e", "-f", file], more_environment=environment)

    daemon = on_free_port(started, READY["sshd"])
    with daemon:
        alone = Place(place.realm, {"sshd": daemon}, place.account, place.directory, place.tickets)
        assert alone.ssh("nacre", "sshd", *KEYEX).stdout == b"in\n"
        refused = alone.ssh("nacre", "sshd", *WITH_MIC)
        assert refused.returncode == 255
        assert b"host key" in refused.stderr


class Alice(nacre.Policy):
    """Lets the principal in that has the user's name in the realm."""

    def requirement(self, user: str, connection: Any) -> nacre.UserRequirement:
        return nacre.UserRequirement((frozenset({"gssapi-with-mic"}),))

    def gssapi(self, user: str, context: Any, connection: Any) -> bool:
        return bool(context.principal == f"{user}@{REALM}")


async def test_a_library_on_both_sides(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in place.tickets.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("socket.gethostname", lambda: "localhost")

    async def tickets(session: nacre.Session) -> int:
        await session.stdout.write(session.user.encode())
        return 0

    key = nacre.generate("ssh-ed25519")
    async with nacre.listen(host_keys=[key], policy=Alice(), handler=tickets) as server:
        common: dict[str, Any] = {"trust": nacre.AnyHostKey(), "config": None, "agent": False}
        user = place.account.name
        async with nacre.connect(
            "localhost", server.port, user=user, gssapi="delegate", **common
        ) as ssh:
            assert ssh.methods == ("gssapi-with-mic",)
            assert (await ssh.run()).stdout == user
        for name, how in ("mallory", True), (user, False):
            with pytest.raises(nacre.AuthenticationFailed):
                await nacre.connect("localhost", server.port, user=name, gssapi=how, **common)


def test_nacre_trace_shows_the_messages_without_tokens(place: Place) -> None:
    options = [word for option in KEYEX for word in ("-o", option)]
    port = str(place.servers["sshd"].port)
    target = f"{place.account.name}@localhost"
    done = run([*NACRE, "trace", "-F", "none", *options, "-p", port, target], **place.tickets)
    assert done.returncode == 0, done
    for shown in (b"SSH_MSG_KEXGSS_INIT", b"SSH_MSG_KEXGSS_COMPLETE", b"host key: none"):
        assert shown in done.stdout
