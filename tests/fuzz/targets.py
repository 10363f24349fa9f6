"""What is fuzzed with guidance by coverage: functions that take any bytes, and state machines.

A target gets bytes and raises nothing: what it raises is a finding. To add one, add a row to
:data:`TARGETS`, and write the beginnings of its corpus: ``python -m fuzz.corpus NAME``.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from hypothesis.stateful import RuleBasedStateMachine, get_state_machine_test

from fuzz import exchanges
from fuzz.engine_machine import EngineMachine
from fuzz.hostile_machine import HostileMachine
from fuzz.messages import KINDS
from fuzz.monitor_machine import MonitorMachine
from fuzz.monitored import from_gate, from_session
from fuzz.sftp_machine import LaterSFTPMachine, SFTPMachine
from nacre.client.sharing import messages as sharing
from nacre.errors import (
    ConnectionLost,
    KeyFormatError,
    LocalProtocolError,
    MalformedMessage,
    RemoteProtocolError,
    SignatureError,
    UnusableKey,
)
from nacre.keys import load_private, load_public
from nacre.keys.agents import messages as agent
from nacre.keys.agents.requests import decode_request, decode_session_bind
from nacre.keys.authorized_keys import parse as parse_authorized_keys
from nacre.keys.files import is_private, public_half
from nacre.keys.hosts.known_hosts import KnownHosts
from nacre.keys.key import decode_public, generate
from nacre.keys.signed.allowed_signers import AllowedSigners
from nacre.keys.signed.revocation import RevocationList, load
from nacre.keys.signed.sshsig import SSHSignature
from nacre.limits import MIB
from nacre.protocol.asks import Ask, AskArithmetic
from nacre.protocol.engine import Engine
from nacre.protocol.events import Authenticated, ConnectionEnded
from nacre.protocol.options import ClientOptions, ServerOptions
from nacre.protocol.requests import KNOWN_REQUESTS
from nacre.scp.protocol import DirectoryStart, FileEnd, FileStart, ScpSink
from nacre.sftp.protocol.server import SFTPServerProtocol
from nacre.ssh1.engine import SSH1Client, SSH1Server
from nacre.ssh2.client import SSH2Client
from nacre.ssh2.server import SSH2Server
from nacre.testing import agreeable, host_key
from nacre.tunnels.socks import Negotiation, SOCKSError
from nacre.tunnels.x11 import Authorization, Setup, WrongCookie
from nacre.wire.text import safe
from ssh1.pair1 import HOST, SERVER, rsa1

Run = Callable[[bytes], None]


@dataclass(frozen=True)
class Target:
    """One thing to fuzz.

    :ivar run: takes any bytes.
    :ivar seeds: makes the first files of its corpus; None for a machine, which has none: what its
        bytes mean changes with its rules.
    """

    name: str
    run: Run
    seeds: Callable[[], Iterable[bytes]] | None = None


# --- SSH ---


def _talk(engine: Engine, data: bytes) -> None:
    """Give an engine what a peer sends, in two portions, and answer its questions."""
    engine.start(0.0)
    for portion in (data[: len(data) // 2], data[len(data) // 2 :]):
        engine.receive(portion, 0.0)
        ended = False
        while events := engine.take_events():
            for event in events:
                assert not ended
                assert not isinstance(event, Authenticated)
                if isinstance(event, AskArithmetic):
                    engine.answer(event.ask_id, event.compute())
                elif isinstance(event, Ask) and (answer := agreeable(event)) is not None:
                    engine.answer(event.ask_id, answer)
                elif isinstance(event, ConnectionEnded):
                    ended = True
                    assert isinstance(event.error, RemoteProtocolError | ConnectionLost)
                    assert safe(str(event.error), 10_000, keep="\\") == str(event.error)
    assert engine.output_size < MIB


def _ssh2_client(data: bytes) -> None:
    _talk(SSH2Client(ClientOptions(user="alice"), random=random.Random(0).randbytes), data)


def _ssh2_server(data: bytes) -> None:
    options = ServerOptions(host_keys=(host_key(),))
    _talk(SSH2Server(options, random=random.Random(0).randbytes), data)


def _ssh1_client(data: bytes) -> None:
    _talk(SSH1Client(ClientOptions(user="alice"), random=random.Random(0).randbytes), data)


def _ssh1_server(data: bytes) -> None:
    options = ServerOptions(host_keys=(rsa1(HOST),))
    draw = random.Random(0).randbytes
    _talk(SSH1Server(options, server_key=rsa1(SERVER), random=draw), data)


def _ssh2_messages(data: bytes) -> None:
    """Decode a message by its number, and what it is made of; what was read can be written."""
    for kind in KINDS:
        if data[:1] == bytes((kind.NUMBER,)):
            with contextlib.suppress(MalformedMessage):
                message = kind.decode(data)
                assert kind.decode(message.encode()) == message
    for request in KNOWN_REQUESTS.values():
        with contextlib.suppress(MalformedMessage):
            made = request.decode(data)
            assert request.decode(made.encode()) == made


# --- keys ---


def _key_files(data: bytes) -> None:
    is_private(data)
    for read in (load_private, load_public, public_half):
        try:
            read(data)
        except UnusableKey as error:
            said = str(error)
            assert 0 < len(said) < 400
            assert safe(said, len(said), keep="\\") == said


def _public_keys(data: bytes) -> None:
    with contextlib.suppress(KeyFormatError):
        key = decode_public(data)
        assert decode_public(key.blob) == key
        assert load_public(str(key))[0] == key
        key.verify(data, b"data", key.signature_algorithms[0])


_KEY = generate("ssh-ed25519").public


def _known_hosts(data: bytes) -> None:
    hosts = KnownHosts(data)
    hosts.check("h", 2222, _KEY, "::1")
    hosts.key_types("h", 22)
    assert hosts.about("h") == tuple(entry for entry in hosts.entries if entry.matches("h"))
    assert all(number > 0 for number, _ in hosts.rejected)


def _authorized_keys(data: bytes) -> None:
    found = parse_authorized_keys(data)
    assert all(entry.line_number > 0 for entry in found.entries)
    assert all(number > 0 and len(reason) < 1000 for number, reason in found.rejected)


def _signers(data: bytes) -> None:
    found = AllowedSigners(data)
    found.principals_of(_KEY, at=1)
    found.lists_of("a@x")


def _revocations(data: bytes) -> None:
    load(data).refusal(_KEY)
    with contextlib.suppress(KeyFormatError):
        found = RevocationList.decode(data)
        assert RevocationList.decode(found.encode(0)).encode(0) == found.encode(0)


def _signatures(data: bytes) -> None:
    with contextlib.suppress(SignatureError):
        SSHSignature.parse(data).verify(b"another message", "file")


def _agent_requests(data: bytes) -> None:
    with contextlib.suppress(KeyFormatError, MalformedMessage):
        decode_request(data)
    with contextlib.suppress(KeyFormatError, MalformedMessage):
        decode_session_bind(data)


def _agent_answers(data: bytes) -> None:
    readers: list[Callable[[bytes], object]] = [
        agent.decode_identities,
        agent.decode_signature,
        agent.decode_rsa_identities,
        agent.decode_rsa_response,
        lambda got: agent.decode_query(agent.decode_extension(got, agent.QUERY)),
    ]
    for read in readers:
        with contextlib.suppress(UnusableKey):
            read(data)


# --- files ---


def _sftp_server(data: bytes) -> None:
    server = SFTPServerProtocol()
    with contextlib.suppress(RemoteProtocolError):
        server.receive(data)
        while (call := server.next_call()) is not None:
            server.send_error(call.id, OSError(2, ""))
    # VERSION has less than 1,000 bytes, and answers each INIT, which has 9 or more.
    inits = 1 + len(data) // 9
    assert sum(map(len, server.data_to_send())) < 1000 * inits + 40 * len(data)


def _sftp_client(data: bytes) -> None:
    """The first byte chooses the version."""
    client = exchanges.sftp_client(3 + data[0] % 4 if data else 3)
    client.data_to_send()
    with contextlib.suppress(RemoteProtocolError, LocalProtocolError):
        client.receive(data[1:100])
        if client.ready:
            exchanges.ask(client)
            client.data_to_send()
        client.receive(data[100:])


def _scp(data: bytes) -> None:
    """The first byte chooses what was asked for."""
    sink = ScpSink(requested=["a*"] if data[:1] > b"\x7f" else None, recursive=True, preserve=True)
    sink.receive(data[1:])
    with contextlib.suppress(RemoteProtocolError):
        while (event := sink.next_event()) is not None:
            if isinstance(event, FileStart | DirectoryStart):
                assert all(name not in ("", ".", "..") for name in event.path)
                assert not any("/" in name for name in event.path)
            if isinstance(event, FileStart | DirectoryStart | FileEnd):
                sink.accept()
    with contextlib.suppress(RemoteProtocolError):
        sink.receive_eof()
    assert len(sink.data_to_send()) < 1000 + 10 * len(data)


# --- programs beside us ---


def _sharing(data: bytes) -> None:
    payloads = sharing.Payloads()
    payloads.receive(data)
    with contextlib.suppress(MalformedMessage):
        while (payload := payloads.next()) is not None:
            message = sharing.decode(payload)
            assert sharing.decode(sharing.encode(message)[4:]) == message


def _socks(data: bytes) -> None:
    left = bytearray(data)

    async def receive(size: int) -> bytes:
        taken = bytes(left[:size])
        del left[:size]
        return taken

    async def send(answer: bytes) -> None:
        assert len(answer) <= 10

    with contextlib.suppress(SOCKSError):
        work = Negotiation(receive, send).request()
        try:
            work.send(None)
        except StopIteration as done:
            host, port = done.value
            assert len(host) <= 255
            assert 0 <= port < 65_536


def _x11(data: bytes) -> None:
    shown, real = (Authorization(b"MIT-MAGIC-COOKIE-1", bytes((n,)) * 16) for n in (1, 2))
    setup = Setup(shown, real)
    with contextlib.suppress(WrongCookie):
        for at in range(0, len(data), 7):
            if passed := setup.feed(data[at : at + 7]):
                assert real.data in passed
                break


# --- the table ---


def _machine(machine: type[RuleBasedStateMachine]) -> Run:
    """Return what runs a machine by bytes, in place of hypothesis' own choices.

    A failure is kept in hypothesis' database: the machine's test tries it first, and shrinks it.
    """
    run = get_state_machine_test(machine).hypothesis.fuzz_one_input  # type: ignore[attr-defined]
    return lambda data: run(data) and None


_KEY_TEXTS = exchanges.files_of_keys

TARGETS = (
    Target("ssh2-client", _ssh2_client, partial(exchanges.recorded, "transcripts/servers")),
    Target("ssh2-server", _ssh2_server, partial(exchanges.recorded, "transcripts/clients")),
    Target("ssh2-messages", _ssh2_messages, exchanges.ssh2_messages),
    Target(
        "ssh1-client",
        _ssh1_client,
        partial(exchanges.recorded, "ssh1/transcripts/servers", bytes.fromhex),
    ),
    Target(
        "ssh1-server", _ssh1_server, partial(exchanges.recorded, "ssh1/transcripts", bytes.fromhex)
    ),
    Target("key-files", _key_files, exchanges.key_files),
    Target("public-keys", _public_keys, lambda: [key.blob for key in exchanges.public_keys()]),
    Target("known-hosts", _known_hosts, _KEY_TEXTS),
    Target("authorized-keys", _authorized_keys, _KEY_TEXTS),
    Target("allowed-signers", _signers, _KEY_TEXTS),
    Target("revocations", _revocations, exchanges.revocations),
    Target("file-signatures", _signatures, exchanges.signatures),
    Target("agent-requests", _agent_requests, exchanges.agent_requests),
    Target("agent-answers", _agent_answers, exchanges.agent_answers),
    Target("sftp-server", _sftp_server, exchanges.sftp_server_seeds),
    Target("sftp-client", _sftp_client, exchanges.sftp_client_seeds),
    Target("scp-sink", _scp, exchanges.scp_records),
    Target("sharing", _sharing, exchanges.sharing_messages),
    Target("socks", _socks, exchanges.socks_requests),
    Target("x11", _x11, exchanges.x11_setups),
    Target("monitor-gate", from_gate, exchanges.said_by_gates),
    Target("monitor-session", from_session, exchanges.said_by_session_processes),
    Target("machine-engines", _machine(EngineMachine)),
    Target("machine-hostile", _machine(HostileMachine)),
    Target("machine-sftp", _machine(SFTPMachine)),
    Target("machine-sftp-6", _machine(LaterSFTPMachine)),
    Target("machine-monitor", _machine(MonitorMachine)),
)
"""Every target."""

BY_NAME = {target.name: target for target in TARGETS}
