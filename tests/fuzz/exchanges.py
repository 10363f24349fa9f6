"""What peers send each other, to begin from: for mutations, and for the corpus."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fuzz import monitored
from nacre.client.sharing import messages as sharing
from nacre.daemon.separate import messages as monitor
from nacre.keys import (
    Certificate,
    PrivateKey,
    PublicKey,
    dump_private,
    dump_public,
    generate,
)
from nacre.keys.agents import changes as agent_changes
from nacre.keys.agents import messages as agent
from nacre.keys.agents.constraints import UNCONSTRAINED, Constraints
from nacre.keys.agents.requests import encode_extension, encode_identities, encode_signature
from nacre.keys.certificate import option
from nacre.keys.files import PublicKeyFormat
from nacre.keys.hosts.known_hosts import KnownHosts
from nacre.keys.signed.revocation import RevocationList
from nacre.keys.signed.sshsig import sign
from nacre.protocol import hostkeys
from nacre.protocol.events import MessageSeen
from nacre.protocol.options import ClientOptions, ServerOptions, algorithms
from nacre.protocol.requests import (
    Env,
    Exec,
    ExitSignal,
    ExitStatus,
    PtyRequest,
    Signal,
    Subsystem,
    WindowChange,
)
from nacre.sftp.protocol import extensions as ext
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.attributes import Attributes, Entry, FileDetails
from nacre.sftp.protocol.chosen import version
from nacre.sftp.protocol.client import SFTPClientProtocol
from nacre.sftp.protocol.server import SFTPServerProtocol
from nacre.testing import Pair, host_key
from nacre.wire.codec import text
from nacre.wire.message import Message, Record

_TESTS = Path(__file__).parent.parent

# --- SSH ---


_WAYS = ("key", "gex", "legacy")
"""The transcripts that differ in what comes before the keys."""


def recorded(folder: str, decode: Callable[[str], bytes] = b64decode) -> list[bytes]:
    """Return the beginnings of what real peers sent, as the transcripts of a folder have it."""
    found = []
    for path in sorted((_TESTS / folder).glob("*.json")):
        if path.stem.endswith(_WAYS):
            steps = json.loads(path.read_text())["steps"]
            found.append(b"".join(decode(step[0]) for step in steps)[:3000])
    return found


def ssh2_messages() -> list[bytes]:
    """Return the messages of a conversation with a bit of everything, each once."""
    both = algorithms(kex="curve25519-sha256")
    pair = Pair(
        client=ClientOptions(user="alice", algorithms=both, trace=True),
        server=ServerOptions(host_keys=(host_key(),), algorithms=both, trace=True),
    )
    pair.run()
    client, server = pair.client.connection, pair.server.connection
    channel = client.open_channel("session")
    client.open_channel("direct-tcpip", text("h") + bytes(4) + text("::1") + bytes(4))
    pair.run()
    for request in (
        PtyRequest("xterm", 80, 24, 0, 0, b"\x01\0\0\0\x01\0"),
        Env("LANG", "C"),
        Exec(b"id"),
        Subsystem("sftp"),
        WindowChange(1, 2, 3, 4),
        Signal("TERM"),
    ):
        client.send_request(channel, request)
    client.send_data(channel, b"some data")
    client.send_global_request("tcpip-forward", text("") + bytes(4))
    pair.run()
    server.send_data(channel, b"some data")
    server.send_data(channel, b"an error", 1)
    for outcome in (ExitStatus(1), ExitSignal("KILL", False, "killed", "")):
        server.send_request(channel, outcome)
    server.send_eof(channel)
    pair.client.ping(b"?")
    pair.client.rekey()
    pair.run()
    server.close_channel(channel)
    pair.run()
    seen = (e.payload for e in pair.client_events if isinstance(e, MessageSeen))
    return list(dict.fromkeys(seen))


# --- keys ---


def _keys() -> list[PrivateKey]:
    return [generate("ssh-ed25519"), generate("ecdsa-sha2-nistp256")]


def _certificate(key: PrivateKey, authority: PrivateKey) -> Certificate:
    return Certificate.issue(
        key.public,
        authority,
        key_id="an id",
        principals=["alice"],
        serial=7,
        critical_options={"force-command": option("ls"), "source-address": option("::1/128")},
    )


def public_keys() -> list[PublicKey]:
    """Return keys of each family that is short, and a certificate."""
    keys = [*_keys(), generate("ssh-rsa", bits=1024), generate("ssh-dss")]
    return [*(key.public for key in keys), _certificate(keys[0], keys[1])]


def key_files() -> list[bytes]:
    """Return key files in each format, without and with a passphrase."""
    made: list[bytes] = []
    for key in _keys():
        made += [dump_private(key, word, format="openssh", rounds=1) for word in ("", "secret")]
        made += [dump_private(key, "", format=form) for form in ("pkcs8", "ppk2", "ppk3")]
        forms: tuple[PublicKeyFormat, ...] = ("openssh", "rfc4716", "pkcs8")
        made += [dump_public(key.public, "a comment", format=form) for form in forms]
    rsa = generate("ssh-rsa", bits=1024)
    return [*made, dump_private(rsa, format="pem"), dump_public(rsa.public, format="pem")]


def files_of_keys() -> list[bytes]:
    """Return authorized_keys, known_hosts and a list of signers."""
    key, authority = (one.public for one in _keys())
    authorized = (
        f'command="a \\"b\\"",from="10.*,!h",restrict {key} c\ncert-authority {authority}\n'
    )
    signers = f'a,*@x namespaces="f,!g",valid-after="20200101Z" {key}\n* cert-authority {authority}'
    return [
        authorized.encode(),
        signers.encode(),
        f"h,[::1]:22 {key}\n@revoked * {authority}\n@cert-authority *.x,!y {key}\n".encode(),
        KnownHosts.line_for("h", 2222, key, hashed=True).encode(),
    ]


def revocations() -> list[bytes]:
    """Return lists of revoked keys."""
    keys = _keys()
    made = RevocationList()
    made.comment = "a comment"
    made.add_key(keys[0].public)
    made.add_sha256(keys[1].public)
    for low, high in ((1, 1), (3, 9), (60, 70), (1 << 33, 1 << 60)):
        made.add_serials(keys[0].public, low, high)
    made.add_key_id(None, "an id")
    return [made.encode(0), RevocationList().encode(0, keys)]


def signatures() -> list[bytes]:
    """Return signatures of files."""
    return [sign(key, b"a message", "file").armored() for key in _keys()]


def agent_requests() -> list[bytes]:
    """Return requests to an agent, without their length."""
    key, other = _keys()
    bound = Constraints(lifetime=9, confirm=True)
    requests = [
        agent.request_identities(),
        agent.request_extension(agent.QUERY),
        agent.request_signature(key.public.blob, b"data", "ssh-ed25519"),
        agent_changes.request_add(key, UNCONSTRAINED),
        agent_changes.request_add(other, bound),
        agent_changes.request_remove(key.public.blob),
        agent_changes.request_add_token("/lib/x.so", b"1234", bound),
    ]
    return [request[4:] for request in requests]


def agent_answers() -> list[bytes]:
    """Return answers of an agent, without their length."""
    key, other = _keys()
    identities = [agent.Identity(one.public.blob, "c") for one in (key, other)]
    answers = [
        b"\0\0\0\1\5",
        b"\0\0\0\1\6",
        encode_identities(identities),
        encode_signature(key.sign(b"data", "ssh-ed25519")),
        encode_extension(agent.QUERY, text("a@b") + text("c@d")),
    ]
    return [answer[4:] for answer in answers]


# --- SFTP ---

VERSIONS = [3, 4, 5, 6]
HANDLE = bytes(7) + b"\1"
SOME = Attributes(
    5, 1, 2, 0o100644, 3, 4, (("x@y", b"z"),), FileDetails(owner="a", group="b", mtime_ns=5)
)
REQUESTS: list[msg.SFTPRequest[Any]] = [
    msg.Open("/f", msg.OpenFlag.READ | msg.OpenFlag.WRITE | msg.OpenFlag.CREAT, SOME),
    msg.Read(HANDLE, 0, 100),
    msg.Write(HANDLE, 3, b"data" * 5),
    msg.FStat(HANDLE),
    msg.FSetStat(HANDLE, SOME),
    msg.Stat("/f"),
    msg.LStat("/f"),
    msg.SetStat("/f", SOME),
    ext.LSetStat("/f", SOME),
    msg.OpenDir("/"),
    msg.MkDir("/d", SOME),
    msg.RealPath("/d/../f"),
    msg.SymLink("f", "/l"),
    msg.ReadLink("/l"),
    msg.Rename("/f", "/g"),
    ext.PosixRename("/g", "/f"),
    ext.HardLink("/f", "/h"),
    ext.CheckFileName("/f", "sha256", 0, 0, 0),
    ext.TextSeek(HANDLE, 1),
    ext.VersionSelect("6"),
    msg.Remove("/h"),
    msg.Close(HANDLE),
]


def sftp_requests(number: int) -> bytes:
    """Return what a client sends that speaks a version."""
    client = SFTPClientProtocol()
    if number != 3:
        client.propose(number)
    sent = b"".join(client.data_to_send())
    server = SFTPServerProtocol()
    server.receive(sent)
    server.next_call()
    client.receive(b"".join(server.data_to_send()))
    for request in REQUESTS:
        if isinstance(request, ext.TextSeek) and number == 3:
            continue
        client.send(request)
    return sent + b"".join(client.data_to_send())


def sftp_answers(number: int) -> bytes:
    """Return what a server of a version sends to a client that has called ``ask``."""
    client = sftp_client(number)
    server = SFTPServerProtocol()
    server.receive(b"".join(client.data_to_send()))
    assert server.next_call() is None
    version_packet = b"".join(server.data_to_send())
    client.receive(version_packet)
    ask(client)
    server.receive(b"".join(client.data_to_send()))
    while (call := server.next_call()) is not None:
        if isinstance(call.request, msg.OpenDir):
            server.send_handle(call.id, object())
        elif isinstance(call.request, msg.RealPath):
            server.send_path(call.id, "/f", SOME)
        elif isinstance(call.request, msg.Stat):
            server.send_attributes(call.id, SOME)
        else:
            server.send_error(call.id, OSError(17, ""))
    body = b"".join(server.data_to_send())
    listing = version(number).put_entry(Entry("a", "-rw-r--r-- a", SOME))
    return version_packet + body + listing


def sftp_client(number: int) -> SFTPClientProtocol:
    """Return a client that proposes a version."""
    client = SFTPClientProtocol()
    if number != 3:
        client.propose(number)
    return client


def ask(client: SFTPClientProtocol) -> None:
    """Send what ``sftp_answers`` answers."""
    for request in (
        msg.Stat("/f"),
        msg.OpenDir("/"),
        msg.RealPath("/f"),
        msg.ReadDir(HANDLE),
        msg.Remove("/f"),
    ):
        client.send(request)


def sftp_server_seeds() -> list[bytes]:
    """Return what clients of each version send."""
    return [sftp_requests(number) for number in VERSIONS]


def sftp_client_seeds() -> list[bytes]:
    """Return what servers of each version send, behind a byte that chooses the version."""
    return [bytes((number - 3,)) + sftp_answers(number) for number in VERSIONS]


def scp_records() -> list[bytes]:
    """Return what sources send, behind a byte that chooses whether names were asked for."""
    tree = b"T1 0 2 0\nD0755 0 dir\nC0644 3 a\nabc\0E\n"
    return [b"\0" + tree, b"\xffT1 0 2 0\nC0644 3 a\nabc\0", b"\0\x01scp: no\n\x02end\n"]


# --- programs beside us ---


def sharing_messages() -> list[bytes]:
    """Return messages between a master of a shared connection and its clients."""
    messages: list[Record] = [
        sharing.Hello(sharing.VERSION, text("info") + text("0")),
        sharing.NewSession(1, b"", 1, 0, 0, 0, sharing.NO_ESCAPE, "xterm", "id", text("A=b")),
        sharing.OpenForward(2, sharing.LOCAL, "", 1, "h", 2),
        sharing.Failure(2, "no"),
        sharing.Exited(1, 0),
    ]
    each = [sharing.encode(message) for message in messages]
    return [*each, b"".join(each)]


def said_by_gates() -> list[bytes]:
    """Return what gates say of one client, up to the handover or to a denial."""
    host, key = monitored.HOST_KEY, monitored.KEY
    keyed: list[Message] = [
        *(monitor.Reads(), monitor.Ready(), monitor.Arrived(1)),
        monitor.SignExchange(1, 1, host.public.blob, "ssh-ed25519", monitored.SESSION),
    ]
    signed = monitored.proof("alice", monitored.SESSION, key, None)
    bound = monitored.proof("bob", monitored.SESSION, key, host)
    vouched = monitored.host_proof("carol", monitored.SESSION, key)
    talks: list[list[Message]] = [
        [monitor.NameUser(1, 2, "dave")],
        [monitor.NameUser(1, 2, "alice"), monitor.OfferPassword(1, 3, "right", False, "")],
        [monitor.NameUser(1, 2, "alice"), monitor.ProveKey(1, 3, False, signed)],
        [monitor.NameUser(1, 2, "bob"), monitor.ProveKey(1, 3, True, bound)],
        [
            monitor.NameUser(1, 2, "alice"),
            monitor.QueryKey(1, 3, "ssh-ed25519", key.public.blob),
            monitor.OfferPassword(1, 4, "old", True, "new"),
        ],
        [monitor.NameUser(1, 2, "carol"), monitor.ProveHost(1, 3, vouched)],
        [
            monitor.NameUser(1, 2, "carol"),
            monitor.AnswerPrompts(1, 3, True, "", b""),
            monitor.AnswerPrompts(1, 4, False, "", text("right")),
        ],
    ]
    ends = monitor.HandOver(1, b"state"), monitor.Left(1), monitor.LogRecord(b'{"event": "x"}')
    return [b"\1" + _told(*keyed, *talk, *ends, monitor.Stopped()) for talk in talks]


def said_by_session_processes() -> list[bytes]:
    """Return what session processes say of their connection."""
    session, blob = monitored.SESSION, monitored.HOST_KEY.public.blob
    proves = hostkeys.signed(session, blob)
    return [
        _told(
            *(monitor.Reads(), monitor.Ready(), monitor.LookUp(1, session)),
            monitor.Sign(2, session, blob, "ssh-ed25519", bytes(32)),
            *(monitor.Certify(3, session, b""), monitor.Certify(4, session, blob)),
            *(monitor.OpenLedger(5, session, ""), monitor.OpenTrail(6, session)),
            monitor.LogRecord(b'{"event": "x"}'),
        ),
        _told(monitor.Sign(1, session, blob, "ssh-ed25519", proves)),
        _told(
            monitor.AtTerminal(session, "/dev/pts/0", True),
            monitor.AtTerminal(session, "/dev/pts/0", False),
            monitor.ConnectionOver(session),
        ),
    ]


def _told(*messages: Message) -> bytes:
    """Return messages as they are on a link."""
    return b"".join(map(monitored.framed, messages))


def socks_requests() -> list[bytes]:
    """Return requests of SOCKS 4, 4a and 5, with each kind of address."""
    return [
        b"\x04\x01\0\x50\x7f\0\0\x01me\0",
        b"\x04\x01\0\x50\0\0\0\x01me\0host\0",
        b"\x05\x01\0\x05\x01\0\x01\x7f\0\0\x01\0\x50",
        b"\x05\x02\0\x02\x05\x01\0\x03\x04host\0\x50",
        b"\x05\x01\0\x05\x01\0\x04" + bytes(15) + b"\x01\0\x50",
    ]


def x11_setups() -> list[bytes]:
    """Return setup packets of both byte orders, with the cookie that the target knows."""
    name, cookie = b"MIT-MAGIC-COOKIE-1", bytes((1,)) * 16
    made = []
    for order, letter in (("little", b"l"), ("big", b"B")):
        numbers = (11, 0, len(name), len(cookie), 0)
        fields = b"".join(n.to_bytes(2, "little" if order == "little" else "big") for n in numbers)
        made.append(letter + b"\0" + fields + name + bytes(2) + cookie + b"behind")
    return made
