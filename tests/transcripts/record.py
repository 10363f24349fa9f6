"""Record the transcripts anew, with the peers that are installed: ``make transcripts``.

``python tests/transcripts/record.py [NAME...]`` (with ``src`` and ``tests`` in PYTHONPATH). Servers
are recorded by root alone: they log in to an account that is made for it.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from interop.daemons import Daemon, on_free_port, start_sshd
from interop.programs import check, environment, require
from nacre.keys import PrivateKey, dump_private, generate
from transcripts import client, server
from transcripts.client import ClientConversation
from transcripts.conversation import INPUT, PASSWORD, Conversation, to_text, write
from transcripts.server import ServerConversation

HERE = Path(__file__).parent
ACCOUNT = "nacre-transcript"
FILE = "file"

# --- algorithms ---

_SIGNATURES = ["ssh-ed25519", "rsa-sha2-512", "rsa-sha2-256"]


def suite(
    kex: str = "curve25519-sha256",
    cipher: str = "chacha20-poly1305@openssh.com",
    mac: str = "hmac-sha2-256-etm@openssh.com",
    *,
    host_key: str = "ssh-ed25519",
    compression: str = "none",
) -> dict[str, list[str]]:
    """Return one algorithm of each kind; what stands in a transcript does not follow defaults."""
    return {
        "kex": [kex],
        "host_key": [host_key],
        "ciphers": [cipher],
        "macs": [mac],
        "compression": [compression],
        "signatures": [*_SIGNATURES, "ssh-rsa"] if host_key == "ssh-rsa" else _SIGNATURES,
    }


MODERN = suite()
ECDH = suite("ecdh-sha2-nistp256", "aes128-gcm@openssh.com")
P521 = suite("ecdh-sha2-nistp521", "aes256-gcm@openssh.com")
GEX = suite("diffie-hellman-group-exchange-sha256", "aes256-ctr")
GROUP14 = suite("diffie-hellman-group14-sha256", "aes128-ctr", "hmac-sha2-256")
GROUP16 = suite("diffie-hellman-group16-sha512", "aes192-ctr", "hmac-sha2-512-etm@openssh.com")
LEGACY = suite("diffie-hellman-group14-sha1", "aes256-cbc", "hmac-sha1", host_key="ssh-rsa")
RSA = suite(host_key="rsa-sha2-512")
ML_KEM = suite("mlkem768x25519-sha256")
COMPRESSED = suite(compression="zlib@openssh.com")


# --- keys ---


@dataclass
class Keys:
    """A scenario's keys, in a directory of its own: ``host``, ``key``, ``key.pub``."""

    host: PrivateKey
    user: PrivateKey
    home: Path

    @classmethod
    def made(cls, home: Path, kind: str) -> Keys:
        """Return keys of a type (``ssh-ed25519`` or ``ssh-rsa``), and write them to ``home``."""
        bits = 2048 if kind == "ssh-rsa" else None
        keys = cls(generate(kind, bits=bits), generate(kind, bits=bits), home)
        for name, key in (("host", keys.host), ("key", keys.user)):
            (home / name).write_bytes(dump_private(key))
            (home / name).chmod(0o600)
        (home / "key.pub").write_text(f"{keys.user.public} user\n")
        return keys


# --- talking ---


def talk(sock: socket.socket, conversation: Conversation) -> list[list[str]]:
    """Carry a conversation to its end; return the steps: what came in, and what went out then."""
    sock.settimeout(20)
    first = conversation.receive(b"")
    steps = [(b"", first)]
    sock.sendall(first)
    while not conversation.ended:
        data = b""
        with suppress(ConnectionResetError):
            data = sock.recv(65536)
        if not data:
            conversation.receive_eof()
            break
        out = conversation.receive(data)
        steps.append((data, out))
        with suppress(BrokenPipeError, ConnectionResetError):
            sock.sendall(out)
    return [[b64encode(part).decode() for part in step] for step in steps]


# --- clients ---


@dataclass
class Client:
    """A client to record.

    :ivar command: its words, with ``{port}``, ``{home}``, ``{mark}`` (the host key's fingerprint)
        and ``{target}`` (a port that echoes) in them.
    :ivar input: what it reads from standard input.
    :ivar status: what it exits with.
    """

    command: list[str]
    how: dict[str, Any]
    input: bytes = INPUT
    status: int = 7
    kind: str = "ssh-ed25519"
    environment: dict[str, str] = field(default_factory=dict)


_KEY = {"methods": [["publickey"]]}
_PASSWORD = {"methods": [["password"]]}
_INTERACTIVE = {"methods": [["keyboard-interactive"]]}
_BOTH = {"methods": [["publickey", "password"]]}


def _openssh(program: str, *words: str) -> list[str]:
    command = [program, "-F", "none", "-q", "-P" if program == "sftp" else "-p", "{port}"]
    for option in ("StrictHostKeyChecking=no", "UserKnownHostsFile={home}/known"):
        command += ["-o", option]
    return [*command, "-o", "User=alice", *words]


def _ssh(*words: str, end: tuple[str, ...] = ("127.0.0.1", "cat")) -> list[str]:
    return [*_openssh("ssh"), "-i", "{home}/key", "-o", "IdentitiesOnly=yes", *words, *end]


def _offering(how: dict[str, list[str]]) -> list[str]:
    """Return the options that allow ssh the algorithms of a suite."""
    return [
        word
        for option, kind in (
            ("KexAlgorithms", "kex"),
            ("Ciphers", "ciphers"),
            ("MACs", "macs"),
            ("HostKeyAlgorithms", "host_key"),
        )
        for word in ("-o", f"{option}={how[kind][0]}")
    ]


_PLINK = ["plink", "-ssh", "-batch", "-noagent", "-P", "{port}", "-l", "alice"]
_PLINK += ["-hostkey", "{mark}"]
_PSFTP = ["psftp", "-batch", "-noagent", "-P", "{port}", "-l", "alice", "-pw", PASSWORD]
_PSFTP += ["-hostkey", "{mark}", "-b", "{home}/batch", "127.0.0.1"]
_DBCLIENT = ["dbclient", "-y", "-y", "-p", "{port}", "-l", "alice"]
_ASYNCSSH = [sys.executable, str(HERE / "asyncssh_peer.py"), "client", "{home}", "{port}"]
_HERE = "127.0.0.1"

CLIENTS = {
    "openssh-key": Client(_ssh(), {**_KEY, "algorithms": MODERN}),
    "openssh-password": Client(_ssh(), {**_PASSWORD, "algorithms": MODERN, "banner": "Hello\n"}),
    "openssh-interactive": Client(_ssh(), {**_INTERACTIVE, "algorithms": MODERN}),
    "openssh-both": Client(_ssh(), {**_BOTH, "algorithms": ECDH}),
    "openssh-ecdh": Client(_ssh(), {**_KEY, "algorithms": P521}),
    "openssh-gex": Client(_ssh(), {**_KEY, "algorithms": GEX}),
    "openssh-group14": Client(_ssh(), {**_KEY, "algorithms": GROUP14}),
    "openssh-rsa": Client(_ssh(), {**_KEY, "algorithms": RSA}, kind="ssh-rsa"),
    "openssh-legacy": Client(
        _ssh(*_offering(LEGACY), "-o", "PubkeyAcceptedAlgorithms=ssh-rsa"),
        {**_KEY, "algorithms": LEGACY},
        kind="ssh-rsa",
    ),
    "openssh-compressed": Client(_ssh("-C"), {**_KEY, "algorithms": COMPRESSED}),
    "openssh-terminal": Client(_ssh("-tt", end=(_HERE,)), {**_KEY, "algorithms": MODERN}),
    "openssh-rekey": Client(
        _ssh("-o", "RekeyLimit=1K"),
        {**_KEY, "algorithms": ECDH},
        input=INPUT * 100,
    ),
    "openssh-server-rekey": Client(_ssh(), {**_KEY, "algorithms": MODERN, "rekey": True}),
    "openssh-direct": Client(
        _ssh("-W", "localhost:1234", end=(_HERE,)), {**_KEY, "algorithms": MODERN}, status=0
    ),
    "openssh-forwarded": Client(
        _ssh("-N", "-R", "4000:127.0.0.1:{target}", end=(_HERE,)),
        {**_KEY, "algorithms": MODERN},
        status=255,
    ),
    "openssh-sftp": Client(
        [*_openssh("sftp"), "-i", "{home}/key", "-b", "{home}/batch", _HERE],
        {**_KEY, "algorithms": MODERN},
        status=0,
    ),
    "plink-key": Client(
        [*_PLINK, "-i", "{home}/key.ppk", _HERE, "cat"], {**_KEY, "algorithms": MODERN}
    ),
    "plink-password": Client(
        [*_PLINK, "-pw", PASSWORD, _HERE, "cat"], {**_PASSWORD, "algorithms": ECDH}
    ),
    "plink-gex": Client([*_PLINK, "-pw", PASSWORD, _HERE, "cat"], {**_PASSWORD, "algorithms": GEX}),
    "plink-rsa": Client(
        [*_PLINK, "-i", "{home}/key.ppk", _HERE, "cat"],
        {**_KEY, "algorithms": RSA},
        kind="ssh-rsa",
    ),
    "plink-compressed": Client(
        [*_PLINK, "-C", "-pw", PASSWORD, _HERE, "cat"], {**_PASSWORD, "algorithms": COMPRESSED}
    ),
    "plink-terminal": Client(
        [*_PLINK, "-t", "-pw", PASSWORD, _HERE], {**_PASSWORD, "algorithms": MODERN}
    ),
    "psftp": Client(_PSFTP, {**_PASSWORD, "algorithms": MODERN}, status=0),
    "dropbear-key": Client(
        [*_DBCLIENT, "-i", "{home}/key.dropbear", _HERE, "cat"], {**_KEY, "algorithms": MODERN}
    ),
    "dropbear-password": Client(
        [*_DBCLIENT, _HERE, "cat"],
        {**_PASSWORD, "algorithms": ECDH | {"ciphers": ["aes256-ctr"], "macs": ["hmac-sha2-256"]}},
        environment={"DROPBEAR_PASSWORD": PASSWORD},
    ),
    "dropbear-group14": Client(
        [*_DBCLIENT, "-i", "{home}/key.dropbear", _HERE, "cat"], {**_KEY, "algorithms": GROUP14}
    ),
    "asyncssh-key": Client([*_ASYNCSSH, "publickey"], {**_KEY, "algorithms": MODERN}),
    "asyncssh-password": Client([*_ASYNCSSH, "password"], {**_PASSWORD, "algorithms": GEX}),
    "asyncssh-interactive": Client(
        [*_ASYNCSSH, "keyboard-interactive"], {**_INTERACTIVE, "algorithms": ECDH}
    ),
    "asyncssh-group16": Client([*_ASYNCSSH, "publickey"], {**_KEY, "algorithms": GROUP16}),
    "asyncssh-sftp": Client([*_ASYNCSSH, "sftp"], {**_KEY, "algorithms": MODERN}, status=0),
}


@contextmanager
def _echoing() -> Iterator[int]:
    """Serve one connection on a port of this machine: echo it to its end."""

    def echo(listener: socket.socket) -> None:
        with suppress(OSError):
            sock, _ = listener.accept()
            with sock:
                while data := sock.recv(4096):
                    sock.sendall(data)

    with socket.create_server((_HERE, 0)) as listener:
        thread = threading.Thread(target=echo, args=(listener,), daemon=True)
        thread.start()
        yield listener.getsockname()[1]


def _prepare(keys: Keys) -> None:
    """Write what clients read: keys in their formats, a batch for SFTP, what answers prompts."""
    home = keys.home
    check([require("puttygen"), home / "key", "-O", "private", "-o", home / "key.ppk"])
    dropbear = home / "key.dropbear"
    check([require("dropbearconvert"), "openssh", "dropbear", home / "key", dropbear])
    (home / "batch").write_text(f"ls\nget file {home}/copy\nquit\n")
    (home / "askpass").write_text(f"#!/bin/sh\necho {PASSWORD}\n")
    (home / "askpass").chmod(0o700)


def record_client(name: str, seed: int) -> None:
    """Write a client's transcript."""
    peer = CLIENTS[name]
    with (
        tempfile.TemporaryDirectory() as place,
        socket.create_server((_HERE, 0)) as listener,
        _echoing() as target,
    ):
        keys = Keys.made(Path(place), peer.kind)
        _prepare(keys)
        listener.settimeout(20)
        found = {
            "port": listener.getsockname()[1],
            "home": place,
            "mark": keys.host.public.fingerprint(),
            "target": target,
        }
        asked = {"SSH_ASKPASS": f"{place}/askpass", "SSH_ASKPASS_REQUIRE": "force"}
        command = [word.format(**found) for word in peer.command]
        process = subprocess.Popen(
            [require(command[0]), *command[1:]],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env=environment(HOME=place, **asked, **peer.environment),
            start_new_session=True,
        )
        try:
            assert process.stdin is not None
            process.stdin.write(peer.input)
            process.stdin.close()
            texts = {"host": to_text(keys.host), "user": str(keys.user.public)}
            conversation = ServerConversation(texts, seed, peer.how)
            sock, _ = listener.accept()
            with sock:
                steps = talk(sock, conversation)
            status = process.wait(20)
            assert status == peer.status, (name, status, conversation.events)
        finally:
            process.kill()
            process.wait()
    recorded = {"how": peer.how, "keys": texts, "seed": seed, "steps": steps}
    write(server.DIRECTORY / f"{name}.json", {**recorded, "events": conversation.events})


# --- servers ---


@dataclass
class Server:
    """A server to record: its program, a scenario, and sshd's lines beside the usual."""

    program: str
    how: dict[str, Any]
    kind: str = "ssh-ed25519"
    lines: tuple[str, ...] = ()
    user: str = ACCOUNT


_BY_KEY: dict[str, Any] = {"ways": ["key"]}
_ALLOW_LEGACY = (
    "KexAlgorithms +diffie-hellman-group14-sha1",
    "Ciphers +aes256-cbc",
    "HostKeyAlgorithms +ssh-rsa",
    "PubkeyAcceptedAlgorithms +ssh-rsa",
)

SERVERS = {
    "openssh-key": Server("sshd", {**_BY_KEY, "algorithms": MODERN}),
    "openssh-signed": Server("sshd", {"ways": ["signed key"], "algorithms": ECDH}),
    "openssh-password": Server("sshd", {"ways": ["wrong", "password"], "algorithms": P521}),
    "openssh-both": Server(
        "sshd",
        {"ways": ["key", "password"], "algorithms": MODERN},
        lines=("AuthenticationMethods publickey,password",),
    ),
    "openssh-refused": Server("sshd", {"ways": ["wrong"], "algorithms": MODERN}),
    "openssh-gex": Server("sshd", {**_BY_KEY, "algorithms": GEX}),
    "openssh-group14": Server("sshd", {**_BY_KEY, "algorithms": GROUP14}),
    "openssh-rsa": Server("sshd", {**_BY_KEY, "algorithms": RSA}, kind="ssh-rsa"),
    "openssh-legacy": Server(
        "sshd", {**_BY_KEY, "algorithms": LEGACY}, kind="ssh-rsa", lines=_ALLOW_LEGACY
    ),
    "openssh-compressed": Server("sshd", {**_BY_KEY, "algorithms": COMPRESSED}),
    "openssh-terminal": Server("sshd", {**_BY_KEY, "algorithms": MODERN, "does": "terminal"}),
    "openssh-rekey": Server("sshd", {**_BY_KEY, "algorithms": ECDH, "does": "rekey"}),
    "openssh-tcpip": Server("sshd", {**_BY_KEY, "algorithms": MODERN, "does": "tcpip"}),
    "openssh-tcpip-refused": Server(
        "sshd",
        {**_BY_KEY, "algorithms": MODERN, "does": "tcpip"},
        lines=("AllowTcpForwarding no",),
    ),
    "openssh-sftp": Server(
        "sshd",
        {**_BY_KEY, "algorithms": MODERN, "does": "sftp", "file": FILE},
        lines=("Subsystem sftp internal-sftp",),
    ),
    "dropbear-key": Server("dropbear", {**_BY_KEY, "algorithms": MODERN}),
    "dropbear-password": Server(
        "dropbear",
        {
            "ways": ["wrong", "password"],
            "algorithms": ECDH | {"ciphers": ["aes256-ctr"], "macs": ["hmac-sha2-256"]},
        },
    ),
    "dropbear-group14": Server("dropbear", {**_BY_KEY, "algorithms": GROUP14}),
    "dropbear-rekey": Server("dropbear", {**_BY_KEY, "algorithms": MODERN, "does": "rekey"}),
    "dropbear-terminal": Server("dropbear", {**_BY_KEY, "algorithms": MODERN, "does": "terminal"}),
    "asyncssh-key": Server("asyncssh", {**_BY_KEY, "algorithms": MODERN}, user="alice"),
    "asyncssh-ml-kem": Server("asyncssh", {**_BY_KEY, "algorithms": ML_KEM}, user="alice"),
    "asyncssh-password": Server(
        "asyncssh", {"ways": ["wrong", "password"], "algorithms": GEX}, user="alice"
    ),
    "asyncssh-interactive": Server(
        "asyncssh", {"ways": ["keyboard-interactive"], "algorithms": GROUP16}, user="alice"
    ),
    "asyncssh-rekey": Server(
        "asyncssh", {**_BY_KEY, "algorithms": ECDH, "does": "rekey"}, user="alice"
    ),
    "asyncssh-compressed": Server("asyncssh", {**_BY_KEY, "algorithms": COMPRESSED}, user="alice"),
}


@contextmanager
def account() -> Iterator[Path]:
    """Make the account that servers log in to, with PASSWORD; give its home directory."""
    check([require("useradd"), "--create-home", "--shell", "/bin/sh", ACCOUNT])
    try:
        check([require("chpasswd")], input=f"{ACCOUNT}:{PASSWORD}\n".encode())
        home = Path("~" + ACCOUNT).expanduser()
        (home / ".ssh").mkdir(mode=0o700)
        (home / ".hushlogin").touch()
        (home / FILE).write_bytes(server.CONTENT)
        yield home
    finally:
        check([require("userdel"), "--remove", "--force", ACCOUNT])


def _start(peer: Server, keys: Keys, home: Path) -> Daemon:
    authorized = home / ".ssh" / "authorized_keys"
    authorized.write_text((keys.home / "key.pub").read_text())
    check([require("chown"), "-R", f"{ACCOUNT}:", home])
    if peer.program == "sshd":
        return start_sshd(keys.home, [keys.home / "host"], authorized, *peer.lines)
    if peer.program == "dropbear":
        converted = keys.home / "host.dropbear"
        check([require("dropbearconvert"), "openssh", "dropbear", keys.home / "host", converted])
        words = ["dropbear", "-F", "-E", "-m", "-P", str(keys.home / "pid"), "-r", str(converted)]
        program = require("dropbear")
        return on_free_port(
            lambda port: Daemon("dropbear", [program, *words[1:], "-p", f"{_HERE}:{port}"]),
            "Not backgrounding",
        )
    script = HERE / "asyncssh_peer.py"
    daemon = Daemon("asyncssh", [sys.executable, script, "server", keys.home])
    daemon.port = int(daemon.wait_for(r"^port (\d+)$")[1])
    return daemon


def record_server(name: str, seed: int, home: Path) -> None:
    """Write a server's transcript."""
    peer = SERVERS[name]
    with tempfile.TemporaryDirectory() as place, _echoing() as target:
        keys = Keys.made(Path(place), peer.kind)
        how = {**peer.how, "user": peer.user}
        if how.get("does") == "tcpip":
            how["port"] = target
        texts = {"host": str(keys.host.public), "user": to_text(keys.user)}
        with _start(peer, keys, home) as daemon:
            conversation = ClientConversation(texts, seed, how)
            with socket.create_connection((_HERE, daemon.port)) as sock:
                steps = talk(sock, conversation)
    recorded = {"how": how, "keys": texts, "seed": seed, "steps": steps}
    write(client.DIRECTORY / f"{name}.json", {**recorded, "events": conversation.events})


def main() -> None:
    """Record each peer, or those that are named."""
    named = sys.argv[1:]
    for seed, name in enumerate(CLIENTS):
        if not named or f"clients/{name}" in named:
            record_client(name, seed)
            print(f"clients/{name}", file=sys.stderr)
    wanted = [name for name in SERVERS if not named or f"servers/{name}" in named]
    if wanted and os.geteuid() != 0:
        sys.exit("only root can record servers: they log in to an account that is made for it")
    if wanted:
        with account() as home:
            for seed, name in enumerate(SERVERS, 100):
                if name in wanted:
                    record_server(name, seed, home)
                    print(f"servers/{name}", file=sys.stderr)


if __name__ == "__main__":
    main()
