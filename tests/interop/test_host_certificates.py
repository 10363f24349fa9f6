"""Host keys and certificates: ``ssh`` and ``nacre ssh`` give the same answer to the same sshd.

The answer is that of the host key alone: nobody can log in. Each case is what the server shows,
what known_hosts has of it, and options.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from interop.config_cases.programs import version_of
from interop.programs import NACRE, environment, require
from nacre import PrivateKey, dump_private, generate
from nacre.keys.certificate import Certificate
from nacre.keys.hosts.known_hosts import KnownHosts

ASKS, TRUSTS, REFUSES = "asks", "trusts", "refuses"
DAY = 24 * 3600


@cache
def key(name: str) -> PrivateKey:
    """Return the key with a name; the types that take long are made once."""
    types = {"rsa": ("ssh-rsa", 2048), "rsa-authority": ("ssh-rsa", 2048)}
    type, bits = types.get(
        name, ("ecdsa-sha2-nistp256" if "ecdsa" in name else "ssh-ed25519", None)
    )
    return generate(type, bits=bits)


@dataclass(frozen=True)
class Case:
    """A login.

    :ivar lines: those of known_hosts; ``{name}`` stands for the public key of that name.
    :ivar certificate: fields of the server's certificate other than the usual; None for no
        certificate.
    :ivar shows: the server's keys; the first is certified.
    :ivar files: more files, by name, with their lines.
    """

    name: str
    lines: Sequence[str]
    certificate: Mapping[str, Any] | None = field(default_factory=dict)
    options: Sequence[str] = ()
    authority: str = "authority"
    shows: Sequence[str] = ("host",)
    host: str = "h"
    files: Mapping[str, Sequence[str]] = field(default_factory=dict)


CA = "@cert-authority h {authority}"
SAID = ("^Certificate ", "REMOTE HOST IDENTIFICATION HAS CHANGED", "Permanently added")
"""What both say, or neither."""

NOW = int(time.time())
ALIAS = "HostKeyAlias=alias"
PLAIN_FIRST = "HostKeyAlgorithms=ssh-ed25519,ssh-ed25519-cert-v01@openssh.com"

CASES = [
    Case("authority", [CA]),
    Case("authority by pattern", ["@cert-authority *,!x {authority}"]),
    Case("authority of others", ["@cert-authority x,*.h {authority}"]),
    Case("authority of all but this", ["@cert-authority *,!h {authority}"]),
    Case("authority of a hashed name", ["@cert-authority {hashed} {authority}"]),
    Case("one of two authorities", ["@cert-authority h {other}", CA]),
    Case("another authority", ["@cert-authority h {other}"]),
    Case("another authority, strict", ["@cert-authority h {other}"], options=["{strict}yes"]),
    Case("another authority, new ones", ["@cert-authority h {other}"],
         options=["{strict}accept-new"]),
    Case("another authority, lax", ["@cert-authority h {other}"], options=["{strict}no"]),
    Case("nobody knows it", []),
    Case("authority and another key", [CA, "h {other}"]),
    Case("authority and a key of another type", [CA, "h {ecdsa}"]),
    Case("its key, no authority", ["h {host}"]),
    Case("another key, no authority", ["h {other}"]),
    Case("another key, no authority, lax", ["h {other}"], options=["{strict}no"]),
    Case("its key, another authority", ["@cert-authority h {other}", "h {host}"]),
    Case("the authority's key without a marker", ["h {authority}"]),
    Case("its key with the marker", ["@cert-authority h {host}"]),
    Case("its certificate's own key signs it", [CA], authority="host"),
    Case("its own key signs it and is an authority", ["@cert-authority h {host}"],
         authority="host"),
    Case("a user's certificate", [CA], {"kind": "user"}),
    Case("a user's certificate, key known", [CA, "h {host}"], {"kind": "user"}),
    Case("expired", [CA], {"valid_before": NOW - DAY}),
    Case("expired, key known", [CA, "h {host}"], {"valid_before": NOW - DAY}),
    Case("expired, another key known", [CA, "h {other}"], {"valid_before": NOW - DAY}),
    Case("not yet valid", [CA], {"valid_after": NOW + DAY}),
    Case("in its time", [CA], {"valid_after": NOW - DAY, "valid_before": NOW + DAY}),
    Case("wrong principal", [CA], {"principals": ("x",)}),
    Case("wrong principal, key known", [CA, "h {host}"], {"principals": ("x",)}),
    Case("one of its principals", [CA], {"principals": ("x", "h", "y")}),
    Case("no principals", [CA], {"principals": ()}),
    Case("a principal with a port", ["@cert-authority [h]:2222 {authority}"],
         {"principals": ("[h]:2222",)}, ["Port=2222"]),
    Case("a principal in upper case", [CA], {"principals": ("H",)}),
    Case("the host in upper case", [CA], host="H"),
    Case("an address", ["@cert-authority 127.* {authority}"], {"principals": ("127.0.0.1",)},
         host="127.0.0.1"),
    Case("a critical option", [CA], {"critical_options": {"force-command": b"\0\0\0\1x"}}),
    Case("an unknown extension", [CA], {"extensions": {"x@example.org": b""}}),
    Case("revoked authority", [CA, "@revoked * {authority}"]),
    Case("revoked authority, key known", [CA, "h {host}", "@revoked * {authority}"]),
    Case("revoked key", [CA, "@revoked * {host}"]),
    Case("revoked key of another host", [CA, "@revoked x {host}"]),
    Case("another key is revoked", [CA, "@revoked * {other}"]),
    Case("revoked plain key", ["h {host}", "@revoked h {host}"], None),
    Case("algorithm of the authority", [CA], options=["CASignatureAlgorithms=rsa-sha2-512"]),
    Case("authority with RSA", ["@cert-authority h {rsa-authority}"], authority="rsa-authority"),
    Case("authority with SHA-1", ["@cert-authority h {rsa-authority}"], {"algorithm": "ssh-rsa"},
         authority="rsa-authority"),
    Case("alias is a principal", ["@cert-authority alias {authority}"], {"principals": ("alias",)},
         [ALIAS]),
    Case("alias is no principal", ["@cert-authority alias {authority}"], options=[ALIAS]),
    Case("alias at a port", ["@cert-authority alias {authority}"], {"principals": ("alias",)},
         [ALIAS, "Port=2222"]),
    Case("the port counts", ["@cert-authority [h]:2222 {authority}"], options=["Port=2222"]),
    Case("another port", ["@cert-authority [h]:2223 {authority}"], options=["Port=2222"]),
    Case("a line without a port", [CA], options=["Port=2222"]),
    Case("a key without a port", ["h {host}"], options=["Port=2222"]),
    Case("another key without a port", ["h {other}"], None, options=["Port=2222"]),
    Case("plain key asked for first", [CA], options=[PLAIN_FIRST]),
    Case("plain algorithms alone", [CA], options=["HostKeyAlgorithms=ssh-ed25519"]),
    Case("certificates alone", ["h {host}"], options=["HostKeyAlgorithms=*-cert-v01@openssh.com"]),
    Case("RSA is on record, ECDSA certified", [CA, "h {rsa}"], shows=("ecdsa", "rsa")),
    Case("RSA is on record, ECDSA certified by another", ["h {rsa}"], shows=("ecdsa", "rsa")),
    Case("RSA certified", [CA], shows=("rsa",)),
    Case("ECDSA certified", [CA], shows=("ecdsa", "host")),
    Case("a key of another type is on record", ["h {rsa}"], None, shows=("host",)),
    Case("the second of the user's files", ["x {other}"], files={"user": [CA]}),
    Case("the global file", ["x {other}"], files={"global": [CA]}),
    Case("the global file revokes", [CA], files={"global": ["@revoked * {authority}"]}),
    Case("a command's authority", [], options=["KnownHostsCommand={printing}"],
         files={"printed": [CA]}),
    Case("a command revokes", [CA], options=["KnownHostsCommand={printing}"],
         files={"printed": ["@revoked * {authority}"]}),
    Case("broken lines", ["@cert-authority h", "@unknown h {authority}", "h ssh-ed25519 AAAA", CA]),
]  # fmt: skip


def written(path: Path, lines: Sequence[str]) -> Path:
    """Write a file of known hosts."""
    names = ("authority", "host", "other", "rsa", "ecdsa", "rsa-authority")
    keys = {name: key(name).public for name in names if any(f"{{{name}}}" in it for it in lines)}
    hashed = KnownHosts.line_for("h", 22, key("other").public, hashed=True).split()[0]
    path.write_text("".join(f"{line.format(hashed=hashed, **keys)}\n" for line in lines))
    return path


def server(case: Case, directory: Path) -> str:
    """Return the command of an sshd that shows the case's keys and certificate."""
    lines = ["UsePAM no", "AuthorizedKeysFile none"]
    for name in case.shows:
        file = directory / name
        file.write_bytes(dump_private(key(name)))
        file.chmod(0o600)
        lines.append(f"HostKey {file}")
    if case.certificate is not None:
        fields = {"kind": "host", "principals": ("h",), **case.certificate}
        made = Certificate.issue(key(case.shows[0]).public, key(case.authority), **fields)
        (directory / "certificate").write_text(f"{made}\n")
        lines.append(f"HostCertificate {directory / 'certificate'}")
    (directory / "sshd_config").write_text("\n".join([*lines, ""]))
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd does not start without
    return f"{require('sshd')} -i -f {directory / 'sshd_config'}"


def client(program: Sequence[str], case: Case, directory: Path) -> subprocess.Popen[str]:
    """Start a client; what it asks its user is noted, and answered with no."""
    directory.mkdir()
    askpass = directory / "askpass"
    askpass.write_text(f'#!/bin/sh\necho "$1" >> {directory / "asked"}\necho no\n')
    askpass.chmod(0o700)
    files = [written(directory / "known_hosts", case.lines)]
    files += [written(directory / name, lines) for name, lines in case.files.items()]
    user = [str(file) for file in files if file.name in ("known_hosts", "user")]
    shared = [str(file) for file in files if file.name == "global"] or ["none"]
    printing = f"/bin/cat {directory / 'printed'}"
    options = [
        one.format(strict="StrictHostKeyChecking=", printing=printing) for one in case.options
    ]
    options += [
        f"UserKnownHostsFile={' '.join(user)}",
        f"GlobalKnownHostsFile={' '.join(shared)}",
        f"ProxyCommand={server(case, directory.parent)}",
        "PreferredAuthentications=password",
        "NumberOfPasswordPrompts=0",
        "UpdateHostKeys=no",
    ]
    words = [*program, "-F", "none", *(f"-o{option}" for option in options), "-l", "nobody"]
    return subprocess.Popen(
        [*words, case.host, "true"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(SSH_ASKPASS=str(askpass), SSH_ASKPASS_REQUIRE="force", HOME=str(directory)),
        start_new_session=True,
    )


def answer(process: subprocess.Popen[str], directory: Path) -> tuple[str, str]:
    """Return what a client did with the host key, and what it said."""
    said, _ = process.communicate(timeout=60)
    asked = directory / "asked"
    if asked.exists() and "authenticity of host" in asked.read_text():
        return ASKS, said + asked.read_text()
    # The second is OpenSSH's since version 10, for a key whose certificate it refused.
    if "Host key verification failed." in said or "not permitted by HostkeyAlgorithms" in said:
        return REFUSES, said
    assert "Permission denied" in said, f"{shlex.join(process.args)}\n{said}"  # type: ignore[arg-type]
    return TRUSTS, said


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_same_answer(case: Case, tmp_path: Path) -> None:
    if case.name == "certificates alone" and version_of("ssh") < (10,):
        pytest.skip(
            "ssh trusts a plain key that HostKeyAlgorithms does not have, before version 10"
        )
    programs = {"ssh": [require("ssh")], "nacre": [*NACRE, "ssh"]}
    started = {name: client(words, case, tmp_path / name) for name, words in programs.items()}
    theirs = answer(started["ssh"], tmp_path / "ssh")
    ours = answer(started["nacre"], tmp_path / "nacre")
    assert ours[0] == theirs[0], f"{ours[1]}\n--- ssh:\n{theirs[1]}"
    for told in SAID:
        pair = [re.search(told, said, re.MULTILINE) is None for said in (ours[1], theirs[1])]
        assert pair[0] == pair[1], f"{ours[1]}\n--- ssh:\n{theirs[1]}"
    kept = [
        re.sub(r"\|1\|\S+", "hashed", (tmp_path / name / "known_hosts").read_text())
        for name in programs
    ]
    assert kept[0] == kept[1]
