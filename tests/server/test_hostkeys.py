"""Host keys with certificates; the announcement of host keys, and their proofs."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import nacre
from nacre.errors import UnusableKey
from nacre.keys import PrivateKey, PublicKey, decode_public, generate
from nacre.keys.base import RemoteKey
from nacre.keys.certificate import Certificate, CertifiedKey
from nacre.protocol import hostkeys
from nacre.protocol.events import GlobalRequestReceived
from nacre.protocol.options import algorithms
from nacre.server.hostkeys import HostKeys, load_certificates
from nacre.server.peer import ConnectionTerms
from nacre.server.serving import Serving
from parties import client_for, until

ED25519 = generate("ssh-ed25519")
ECDSA = generate("ecdsa-sha2-nistp256")
CA = generate("ssh-ed25519")
CERTIFIED = CertifiedKey(Certificate.issue(ED25519.public, CA, kind="host"), ED25519)
DEFAULT = algorithms().host_key

Make = Callable[..., Any]


async def nobody_signs(key: PublicKey, data: bytes, algorithm: str) -> bytes:
    raise UnusableKey("nobody signs")


def test_each_plain_key_is_announced_once():
    keys = HostKeys([ED25519, CERTIFIED, ECDSA])
    blobs = hostkeys.split(keys.announcement, 9)
    assert [decode_public(blob) for blob in blobs] == [ED25519.public, ECDSA.public]


def test_keys_of_all_types_are_announced_but_those_of_ssh1():
    dsa, rsa1 = generate("ssh-dss"), generate("rsa1", bits=1024)
    blobs = hostkeys.split(HostKeys([dsa, rsa1]).announcement, 9)
    assert [decode_public(blob) for blob in blobs] == [dsa.public]


async def test_proofs_are_signed_in_the_order_in_which_they_are_wanted():
    keys = HostKeys([ED25519, ECDSA])
    wanted = [ECDSA.public, ED25519.public]
    reply = await keys.prove(
        hostkeys.join(key.blob for key in wanted), b"id", "ssh-ed25519", nobody_signs
    )
    assert reply is not None
    for key, proof in zip(wanted, hostkeys.split(reply, 2), strict=True):
        assert key.verify(proof, hostkeys.signed(b"id", key.blob), key.type)


@pytest.mark.parametrize(
    ("negotiated", "expected"),
    [("rsa-sha2-256", "rsa-sha2-256"), ("ssh-ed25519", "rsa-sha2-512")],
)
async def test_an_rsa_key_signs_with_what_was_negotiated_or_its_strongest(
    negotiated: str, expected: str
):
    rsa = generate("ssh-rsa", bits=1024)
    keys = HostKeys([rsa])
    blob = rsa.public.blob
    reply = await keys.prove(hostkeys.join([blob]), b"id", negotiated, nobody_signs)
    assert reply is not None
    (proof,) = hostkeys.split(reply, 1)
    assert rsa.public.verify(proof, hostkeys.signed(b"id", blob), expected)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="none"),
        pytest.param(b"\0\0\0\x09x", id="cut off"),
        pytest.param(hostkeys.join([CA.public.blob]), id="another key"),
        pytest.param(hostkeys.join([CERTIFIED.public.blob]), id="a certificate"),
        pytest.param(hostkeys.join([ED25519.public.blob] * 2), id="too many"),
    ],
)
async def test_other_wishes_are_refused(data: bytes):
    keys = HostKeys([CERTIFIED])
    assert await keys.prove(data, b"id", "ssh-ed25519", nobody_signs) is None


# --- at a server ---


async def announced(connection: Any) -> list[PublicKey]:
    """Return the keys that a server announces to a client that has just logged in."""
    return [decode_public(blob) for blob in hostkeys.split(connection.heard[0], 9)]


async def login(server: nacre.Server, **options: Any) -> Any:
    heard: list[bytes] = []

    def trace(event: Any, now: float) -> None:
        if isinstance(event, GlobalRequestReceived) and event.name == hostkeys.ANNOUNCE:
            heard.append(event.data)

    connection = await client_for(server, trace=trace, **options)
    connection.heard = heard
    await until(lambda: heard)
    return connection


async def test_a_client_gets_the_announcement_and_proofs(make_server: Make):
    server = await make_server(host_keys=[ED25519, ECDSA])
    async with await login(server) as ssh:
        keys = await announced(ssh)
        assert keys == [ED25519.public, ECDSA.public]
        reply = await ssh.request(hostkeys.PROVE, hostkeys.join(key.blob for key in keys))
        for key, proof in zip(keys, hostkeys.split(reply, 2), strict=True):
            assert key.verify(proof, hostkeys.signed(ssh.session_id, key.blob), key.type)
        assert await ssh.request(hostkeys.PROVE, hostkeys.join([CA.public.blob])) is None


class Held:
    """A program that holds host keys, as an agent does."""

    def __init__(self, *keys: PrivateKey) -> None:
        self.keys = {key.public: key for key in keys}

    async def sign(self, key: PublicKey, data: bytes, algorithm: str) -> bytes:
        if key not in self.keys:
            raise UnusableKey("no such key")
        return self.keys[key].sign(data, algorithm)


async def test_keys_and_certificates_of_an_agent_sign_too(
    make_server: Make, records: list[dict[str, object]]
):
    remote, other = RemoteKey(ED25519.public), RemoteKey(ECDSA.public)
    certified = CertifiedKey(Certificate.issue(ED25519.public, CA, kind="host"), remote)
    server = await make_server(host_keys=[certified, other])
    terms = ConnectionTerms(sign_host=Held(ED25519).sign)
    server.apply(replace(server._settings, terms=terms))
    async with await login(server) as ssh:
        # The certificate is preferred; the agent is asked for its key.
        assert ssh.server_host_key == certified.public
        blob = ED25519.public.blob
        (proof,) = hostkeys.split(await ssh.request(hostkeys.PROVE, hostkeys.join([blob])), 1)
        assert ED25519.public.verify(
            proof, hostkeys.signed(ssh.session_id, blob), ED25519.public.type
        )
        assert await ssh.request(hostkeys.PROVE, hostkeys.join([ECDSA.public.blob])) is None
    assert [r["error"] for r in records if r["event"] == "error"] == ["no such key"]


async def test_a_command_is_started_when_the_proofs_that_were_asked_for_are_there(
    make_server: Make, monkeypatch: pytest.MonkeyPatch
):
    """OpenSSH's client does not wait for them when its command has ended."""
    release = asyncio.Event()
    early: list[bool] = []

    async def sign(key: PublicKey, data: bytes, algorithm: str) -> bytes:
        await release.wait()
        return ECDSA.sign(data, algorithm)

    async def handle(session: nacre.Session) -> int:
        return 0

    async def welcomed(serving: Serving) -> None:
        waiting = asyncio.ensure_future(waits(serving))
        for _ in range(9):
            await asyncio.sleep(0)
        early.append(waiting.done())
        release.set()
        await waiting

    waits = Serving.wait_welcomed
    monkeypatch.setattr(Serving, "wait_welcomed", welcomed)
    server = await make_server(host_keys=[ED25519, RemoteKey(ECDSA.public)], handler=handle)
    server.apply(replace(server._settings, terms=ConnectionTerms(sign_host=sign)))
    async with await login(server) as ssh:
        blobs = hostkeys.join([ECDSA.public.blob])
        proving = asyncio.create_task(ssh.request(hostkeys.PROVE, blobs))
        await asyncio.sleep(0)
        await ssh.run("true")
        assert await proving
    assert early == [False]


async def test_a_key_with_a_certificate_also_serves_clients_without_certificates(
    make_server: Make,
):
    server = await make_server(host_keys=[CERTIFIED])
    async with await login(server) as ssh:
        assert ssh.server_host_key == CERTIFIED.public
    plain = nacre.algorithms(host_key="ssh-ed25519")
    async with await login(server, algorithms=plain) as ssh:
        assert ssh.server_host_key == ED25519.public


async def test_of_two_keys_of_a_type_the_first_signs_and_both_are_announced(make_server: Make):
    server = await make_server(host_keys=[ED25519, CA])
    async with await login(server) as ssh:
        assert ssh.server_host_key == ED25519.public
        assert await announced(ssh) == [ED25519.public, CA.public]


# --- files of certificates ---


def write(path: Path, key: PublicKey) -> str:
    path.write_text(f"{key} a comment\n")
    return str(path)


def test_certificates_find_their_keys_and_the_last_one_counts(tmp_path: Path):
    newer = Certificate.issue(ED25519.public, CA, kind="host", serial=2)
    files = [write(tmp_path / "a", CERTIFIED.public), write(tmp_path / "b", newer)]
    (found,) = load_certificates(files, [ECDSA, ED25519], pytest.fail)
    assert found.public == newer
    assert found.plain is ED25519


def test_files_that_can_not_be_used_are_told_and_the_others_count(tmp_path: Path):
    stranger = Certificate.issue(CA.public, CA, kind="host")
    (tmp_path / "noise").write_text("noise\n")
    files = [
        str(tmp_path / "missing"),
        str(tmp_path / "noise"),
        write(tmp_path / "key", ED25519.public),
        write(tmp_path / "stranger", stranger),
        write(tmp_path / "good", CERTIFIED.public),
    ]
    problems: list[str] = []
    (found,) = load_certificates(files, [ED25519], problems.append)
    assert found.public == CERTIFIED.public
    for problem, part in zip(
        problems,
        ("No such file", "not a public key", "no certificate", "name that key with HostKey"),
        strict=True,
    ):
        assert part in problem


async def test_a_file_names_certificates_for_a_program(tmp_path: Path):
    key = tmp_path / "key"
    key.write_bytes(nacre.dump_private(ED25519))
    certificate = write(tmp_path / "key-cert.pub", CERTIFIED.public)
    config = tmp_path / "sshd_config"
    config.write_text(f"HostKey {key}\nHostCertificate {certificate}\n")
    policy = nacre.Users({"alice": "open sesame"})
    sock = socket.create_server(("127.0.0.1", 0))

    async def nothing(session: nacre.Session) -> None:
        pass

    async with (
        nacre.listen(config=config, policy=policy, handler=nothing, sock=sock) as server,
        await login(server) as ssh,
    ):
        assert ssh.server_host_key == CERTIFIED.public
    config.write_text(f"HostKey {key}\nHostCertificate {key}.missing\n")
    with pytest.raises(nacre.ConfigurationError, match="No such file"):
        nacre.listen(config=config, policy=policy, handler=nothing)
