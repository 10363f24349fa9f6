"""The keys of this host, and the program that signs with them."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from nacre.client import hostbased
from nacre.client.hostbased import HostVouching, local_name
from nacre.errors import UnusableKey
from nacre.keys import Certificate, generate

ED, EC, CA = generate("ssh-ed25519"), generate("ecdsa-sha2-nistp256"), generate("ssh-ed25519")
CERTIFICATE = Certificate.issue(ED.public, CA, kind="host")
ALGORITHMS = ("ssh-ed25519", "ssh-ed25519-cert-v01@openssh.com", "ecdsa-sha2-nistp256")


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "ssh_host_ed25519_key.pub").write_text(f"{ED.public}\n")
    (tmp_path / "ssh_host_ed25519_key-cert.pub").write_text(f"{CERTIFICATE}\n")
    (tmp_path / "ssh_host_ecdsa_key.pub").write_text(f"{EC.public}\n")
    (tmp_path / "ssh_host_rsa_key.pub").write_text("nonsense\n")
    monkeypatch.setattr(hostbased, "HOST_KEYS", str(tmp_path))
    monkeypatch.setattr(hostbased, "local_name", lambda carrier: "this.example")
    return tmp_path


async def test_each_key_comes_once_in_the_order_of_the_algorithms(keys: Path) -> None:
    said: list[str] = []
    vouching = HostVouching(lambda: None, ALGORITHMS, said.append)
    assert not vouching.has_tried(ED.public)
    found = []
    while (tried := await vouching.next()) is not None:
        found.append(tried.host)
    assert [one.key for one in found] == [ED.public, CERTIFICATE, EC.public]
    assert {one.name for one in found} == {"this.example."}
    assert vouching.has_tried(ED.public)
    assert said == []


async def test_a_host_without_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hostbased, "HOST_KEYS", str(tmp_path / "none"))
    said: list[str] = []
    assert await HostVouching(lambda: None, ALGORITHMS, said.append).next() is None
    assert "no public keys of hosts" in said[0]


PROGRAM = f"""#!{sys.executable}
import os, sys
length = int.from_bytes(sys.stdin.buffer.read(4), "big")
body = sys.stdin.buffer.read(length)
descriptor = int.from_bytes(body[1:5], "big")
os.fstat(descriptor)
body = b"\\2" + (len(body) - 9).to_bytes(4, "big") + body[9:]
sys.stdout.buffer.write(len(body).to_bytes(4, "big") + body)
"""


async def test_the_program_gets_the_data_and_the_connection(
    keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = keys / "keysign"
    monkeypatch.setattr(hostbased, "KEYSIGN", (str(keys / "missing"), str(program)))
    with pytest.raises(UnusableKey, match="there is no"):
        await HostVouching(lambda: None, ALGORITHMS, print).sign(b"data")
    program.write_text(PROGRAM)
    program.chmod(0o700)
    with socket.socket() as carrier:
        for one in (carrier, None):
            vouching = HostVouching(iter([one]).__next__, ALGORITHMS, print)
            assert await vouching.sign(b"data") == b"data"
    program.write_text("#!/bin/sh\ncat > /dev/null\nexit 255\n")
    with pytest.raises(UnusableKey, match="has made no signature"):
        await HostVouching(lambda: None, ALGORITHMS, print).sign(b"data")


def test_a_connection_that_is_no_socket_of_the_internet_has_the_name_of_the_host() -> None:
    one, other = socket.socketpair()
    with one, other:
        assert local_name(one) == local_name(None) == socket.gethostname()
