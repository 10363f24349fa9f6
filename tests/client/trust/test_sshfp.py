from __future__ import annotations

import socket
import sys
import threading

import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset
import pytest

from nacre.client.trust import sshfp
from nacre.client.trust.files import KnownHostsFile
from nacre.client.trust.sshfp import InDNS, look_up
from nacre.errors import ConfigurationError, HostKeyRevoked, HostKeyUnknown
from nacre.keys.certificate import Certificate
from nacre.keys.hosts.sshfp import records
from nacre.keys.key import generate

PRIVATE = generate("ssh-ed25519")
KEY, OTHER = PRIVATE.public, generate("ssh-ed25519").public
ECDSA = generate("ecdsa-sha2-nistp256").public


def data(key, *hashes):
    return [f"{one.algorithm} {one.hash} {one.digest.hex()}" for one in records(key, hashes)]


ZONE = {
    "both.example.": data(KEY, "sha1", "sha256"),
    "sha1.example.": data(KEY, "sha1"),
    "other.example.": data(OTHER, "sha256"),
    "ecdsa.example.": data(ECDSA, "sha256"),
    "half.example.": [*data(KEY, "sha256"), *data(OTHER, "sha1")],
    "unknown.example.": ["4 9 00", f"9 1 {'00' * 20}"],
    "empty.example.": [],
}


class Names:
    """A name server on loopback; ``validated`` is whether its answers have the bit AD."""

    def __init__(self) -> None:
        self.validated = True
        self.silent = False
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.asked: list[dns.message.Message] = []
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        while True:
            wire, client = self.socket.recvfrom(4096)
            if not wire:
                return
            query = dns.message.from_wire(wire)
            self.asked.append(query)
            if self.silent:
                continue
            reply = dns.message.make_response(query)
            reply.flags |= dns.flags.RA | (dns.flags.AD if self.validated else 0)
            name = query.question[0].name
            known = ZONE.get(str(name))
            if known is None:
                reply.set_rcode(dns.rcode.NXDOMAIN)
            elif known:
                reply.answer.append(dns.rrset.from_text(name, 0, "IN", "SSHFP", *known))
            self.socket.sendto(reply.to_wire(), client)

    def stop(self) -> None:
        self.socket.sendto(b"", self.socket.getsockname())
        self.thread.join(30)
        self.socket.close()


@pytest.fixture
def names(monkeypatch, tmp_path):
    server = Names()
    monkeypatch.delenv("RES_OPTIONS", raising=False)
    monkeypatch.setattr(sshfp, "RESOLV_CONF", str(tmp_path / "resolv.conf"))
    monkeypatch.setattr(sshfp, "PORT", server.socket.getsockname()[1])
    (tmp_path / "resolv.conf").write_text(
        "# mine\nsearch example\noptions edns0 trust-ad\nnameserver 127.0.0.1\n"
    )
    yield server
    server.stop()


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("both.example", InDNS(True, True, True)),
        ("sha1.example", InDNS(True, True, True)),
        ("other.example", InDNS(True, False, True)),
        ("ecdsa.example", InDNS(True, False, True)),
        ("half.example", InDNS(True, False, True)),
        ("unknown.example", InDNS(True, False, True)),
        ("empty.example", InDNS()),
        ("missing.example", InDNS()),
        ("both", InDNS()),
        ("192.0.2.1", InDNS()),
        ("fe80::1%lo", InDNS()),
    ],
)
def test_look_up(names, host, expected):
    assert look_up(host, KEY) == expected


def test_only_a_trusted_resolver_s_validation_counts(names, tmp_path, monkeypatch):
    names.validated = False
    assert look_up("both.example", KEY) == InDNS(True, True, False)
    names.validated = True
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    assert look_up("both.example", KEY) == InDNS(True, True, False)
    monkeypatch.setenv("RES_OPTIONS", "trust-ad")
    assert look_up("both.example", KEY) == InDNS(True, True, True)


def test_a_server_that_does_not_answer_is_given_up(names, monkeypatch):
    names.silent = True
    monkeypatch.setattr(sshfp, "TIME", 0.2)
    with pytest.raises(ConfigurationError, match=r"no answer for both\.example"):
        look_up("both.example", KEY)


@pytest.mark.parametrize("host", ["a..b", "x" * 64, ""])
def test_a_name_that_is_none(names, host):
    with pytest.raises(ConfigurationError, match="no answer"):
        look_up(host, KEY) if host else look_up("." * 3, KEY)


def test_without_dnspython(monkeypatch):
    monkeypatch.setitem(sys.modules, "dns.resolver", None)
    with pytest.raises(ConfigurationError, match=r"nacre\[dns\]"):
        look_up("both.example", KEY)


# --- what a client makes of it ---


@pytest.fixture
def known(tmp_path):
    said: list[str] = []

    def make(dns, text="", **options):
        file = tmp_path / "known_hosts"
        file.write_text(text)
        checker = KnownHostsFile([file], global_paths=(), dns=dns, notice=said.append, **options)
        return checker, said

    return make


async def test_a_validated_answer_is_trusted_without_a_question(names, known):
    checker, said = known("yes")
    await checker.check("both.example", 2222, "192.0.2.1", KEY)
    await checker.check("both.example", 22, "", Certificate.issue(KEY, PRIVATE, kind="host"))
    with pytest.raises(HostKeyUnknown):
        await checker.check("both.example", 22, "", ECDSA)
    assert "does not match the fingerprints of both.example in the DNS" in said[0]
    with pytest.raises(HostKeyUnknown):
        await checker.check("missing.example", 22, "", KEY)
    names.validated = False
    with pytest.raises(HostKeyUnknown):
        await checker.check("both.example", 22, "", KEY)


async def test_a_revoked_key_is_refused_all_the_same(names, known):
    checker, _ = known("yes", f"@revoked * {KEY}\n")
    with pytest.raises(HostKeyRevoked):
        await checker.check("both.example", 22, "", KEY)


async def test_a_person_is_told(names, known):
    asked = []

    async def confirm(question):
        asked.append((question.name, question.in_dns))
        return False

    for how, host in (("ask", "both"), ("ask", "missing"), ("no", "both")):
        checker, _ = known(how, strict="ask", confirm=confirm)
        with pytest.raises(HostKeyUnknown):
            await checker.check(f"{host}.example", 22, "", KEY)
    assert asked == [("both.example", True), ("missing.example", False), ("both.example", None)]


async def test_a_dns_without_an_answer_stops_nothing(names, known, monkeypatch):
    monkeypatch.setattr(sshfp, "TIME", 0.2)
    names.silent = True
    checker, said = known("yes", f"both.example {KEY}\n")
    await checker.check("both.example", 22, "", KEY)
    assert "no answer" in said[0]
