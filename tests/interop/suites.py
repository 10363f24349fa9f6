"""The algorithms of both ends, and a login with each of them."""

from __future__ import annotations

import random
import socket
import struct
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from interop.programs import check, require, run

KEX = [
    "mlkem768x25519-sha256",
    "mlkem768nistp256-sha256",
    "mlkem1024nistp384-sha384",
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "diffie-hellman-group14-sha256",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group-exchange-sha256",
]
SNTRUP_KEX = ["sntrup761x25519-sha512", "sntrup761x25519-sha512@openssh.com"]
LEGACY_KEX = [
    "diffie-hellman-group18-sha512",  # slow, not weak: named too
    "diffie-hellman-group14-sha1",
    "diffie-hellman-group1-sha1",
    "diffie-hellman-group-exchange-sha1",
]
HOST_KEYS = [
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-256",
    "rsa-sha2-512",
]
LEGACY_HOST_KEYS = ["ssh-rsa", "ssh-dss"]
CIPHERS = [
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
]
LEGACY_CIPHERS = ["aes128-cbc", "aes192-cbc", "aes256-cbc", "3des-cbc"]
MACS = [
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
]
LEGACY_MACS = ["hmac-sha1", "hmac-sha1-etm@openssh.com", "hmac-sha1-96", "hmac-md5"]
COMPRESSION = ["none", "zlib@openssh.com", "zlib"]

ALL = {
    "kex": KEX + SNTRUP_KEX + LEGACY_KEX,
    "host key": HOST_KEYS + LEGACY_HOST_KEYS,
    "cipher": CIPHERS + LEGACY_CIPHERS,
    "MAC": MACS + LEGACY_MACS,
    "compression": COMPRESSION,
}
"""What nacre has."""

IN_ASYNCSSH = {**ALL, "kex": KEX + LEGACY_KEX}
"""What nacre and AsyncSSH have: AsyncSSH's sntrup761 needs a library that pip does not bring."""

MEBIBYTE = random.Random(4253).randbytes(1 << 20)


def openssh_knows(query: str, names: Iterable[str]) -> list[str]:
    """Return those of ``names`` that ``ssh -Q query`` lists."""
    known = check([require("ssh"), "-Q", query]).decode().split()
    return [name for name in names if name in known]


def legacy_words() -> list[str]:
    """Return the ``Keyword=Value`` words that switch on all that both nacre and OpenSSH have."""
    lists = {
        "KexAlgorithms": openssh_knows("kex", LEGACY_KEX),
        "HostKeyAlgorithms": openssh_knows("HostKeyAlgorithms", LEGACY_HOST_KEYS),
        "PubkeyAcceptedAlgorithms": openssh_knows("HostKeyAlgorithms", LEGACY_HOST_KEYS),
        "Ciphers": openssh_knows("cipher", LEGACY_CIPHERS),
        "MACs": openssh_knows("mac", LEGACY_MACS),
    }
    return [f"{word}=+{','.join(names)}" for word, names in lists.items() if names]


@dataclass(frozen=True)
class Suite:
    """An algorithm to log in with, alone of its kind."""

    kind: str
    name: str

    def words(self) -> list[str]:
        """Return it as ssh's ``Keyword=Value``."""
        if self.kind == "compression":
            return [f"Compression={'no' if self.name == 'none' else 'yes'}"]
        if self.kind == "MAC":
            return [f"MACs={self.name}", "Ciphers=aes128-ctr"]
        word = {"kex": "KexAlgorithms", "host key": "HostKeyAlgorithms", "cipher": "Ciphers"}
        return [f"{word[self.kind]}={self.name}"]


def openssh_suites() -> list[Suite]:
    """Return all that nacre and OpenSSH's client have, but for zlib: no option picks it."""
    queries = {"kex": "kex", "host key": "HostKeyAlgorithms", "cipher": "cipher", "MAC": "mac"}
    suites = [
        Suite(kind, name)
        for kind, query in queries.items()
        for name in openssh_knows(query, ALL[kind])
    ]
    return [*suites, Suite("compression", "none"), Suite("compression", "zlib@openssh.com")]


def server_suites(port: int) -> list[Suite]:
    """Return all that both nacre and the server on this port have."""
    offered = proposal(port)
    return [Suite(kind, name) for kind in ALL for name in ALL[kind] if name in offered[kind]]


def proposal(port: int) -> dict[str, list[str]]:
    """Return the lists of a server's SSH_MSG_KEXINIT (RFC 4253 section 7.1), read by hand."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(b"SSH-2.0-look\r\n")
        stream = connection.makefile("rb")
        assert stream.readline().startswith(b"SSH-2.0-")
        length, padding = struct.unpack(">IB", stream.read(5))
        payload = stream.read(length - 1)[: length - 1 - padding]
    assert payload[0] == 20
    at, lists = 17, []
    for _ in range(10):
        (size,) = struct.unpack_from(">I", payload, at)
        lists.append(payload[at + 4 : at + 4 + size].decode().split(","))
        at += 4 + size
    return dict(
        zip(
            ["kex", "host key", "cipher", "MAC", "compression"],
            [lists[0], lists[1], lists[2], lists[4], lists[6]],
            strict=True,
        )
    )


def echo(command: Sequence[str | Path], *, timeout: float = 60.0, **env: str) -> None:
    """Log in with ``command``, whose end is the remote command, and have 1 MiB echoed."""
    try:
        done = run([*command, "cat"], input=MEBIBYTE, timeout=timeout, **env)
    except subprocess.TimeoutExpired as late:
        said = (late.stderr or b"").decode(errors="replace")
        raise AssertionError(f"no end after {timeout} s, {said!r}") from late
    said = done.stderr.decode(errors="replace")
    assert done.returncode == 0, f"exit status {done.returncode}: {said}"
    assert done.stdout == MEBIBYTE, f"{len(done.stdout)} bytes came back: {said}"


def together(suites: Sequence[Suite]) -> list[list[Suite]]:
    """Return what each login is made with: one of several kinds, where no kind excludes another.

    A MAC needs a cipher that has none of its own.
    """
    kinds = {kind: [suite for suite in suites if suite.kind == kind] for kind in ALL}
    alone = [[suite] for suite in kinds.pop("MAC")]
    columns = zip_longest(*kinds.values())
    return [*([suite for suite in column if suite] for column in columns), *alone]


def table_of(chosen: Sequence[Sequence[Suite]], outcomes: Sequence[str]) -> str:
    """Return a row for each algorithm, with the outcome of its login."""
    return "\n".join(
        sorted(
            f"{suite.kind:12} {suite.name:40} {outcome}"
            for suites, outcome in zip(chosen, outcomes, strict=True)
            for suite in suites
        )
    )


def echo_with_each(
    suites: Sequence[Suite], command: Callable[[Sequence[str]], Sequence[str]]
) -> tuple[str, list[str]]:
    """Echo with each suite; return the table of outcomes, and the failures.

    :param command: gets ssh's words for the algorithms of a login.
    """
    outcomes, failures = [], []
    logins = together(suites)
    for chosen in logins:
        words = [word for suite in chosen for word in suite.words()]
        try:
            echo(command(words))
            outcomes.append("ok")
        except AssertionError as error:
            outcomes.append(str(error).splitlines()[0])
            failures.append(f"{words}: {error}")
    return table_of(logins, outcomes), failures
