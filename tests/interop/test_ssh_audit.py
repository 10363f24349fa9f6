"""ssh-audit on the server as it is by default: nothing but what it says of the default list."""

from __future__ import annotations

import re

from interop.daemons import Daemon
from interop.programs import check, require, run

CLASSIC_KEX = {
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "diffie-hellman-group14-sha256",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group-exchange-sha256",
}

ACCEPTED = {
    # The post-quantum hybrids come first; a peer without them needs one of these.
    "does not provide protection against post-quantum attacks": CLASSIC_KEX,
    # Those who distrust NIST's curves never negotiate them: Curve25519 and Ed25519 come before.
    # Peers bound to FIPS 140 have nothing else.
    "using elliptic curves that are suspected as being backdoored": {
        "mlkem768nistp256-sha256",
        "mlkem1024nistp384-sha384",
        "ecdh-sha2-nistp256",
        "ecdh-sha2-nistp384",
        "ecdh-sha2-nistp521",
        "ecdsa-sha2-nistp256",
    },
    # True of every ECDSA signature; nacre's come from OpenSSL, seeded by the system.
    "using weak random number generator could reveal the key": {"ecdsa-sha2-nistp256"},
    # The last of the list, and what RFC 9142 demands of everybody.
    "2048-bit modulus only provides 112-bits of symmetric strength": {
        "diffie-hellman-group14-sha256"
    },
    # For peers that know no -etm MAC and no AEAD cipher.
    "using encrypt-and-MAC mode": {"hmac-sha2-256", "hmac-sha2-512"},
}
"""What ssh-audit says of the algorithms that the default list holds on purpose."""


def test_default_server(nacre_server: Daemon) -> None:
    options = ["--no-colors", "--skip-rate-test", "-p", str(nacre_server.port)]
    done = run([require("ssh-audit"), *options, "127.0.0.1"], timeout=50)
    report = done.stdout.decode()
    assert "(kex) mlkem768x25519-sha256" in report, report + done.stderr.decode()
    unexpected = []
    algorithm = ""
    for line in report.splitlines():
        if match := re.match(r"\((?:kex|key|enc|mac)\) (\S+)", line):
            algorithm = match[1]
        if match := re.search(r"\[(?:fail|warn)\] (.*)", line):
            reason = next((r for r in ACCEPTED if match[1].startswith(r)), "")
            if algorithm not in ACCEPTED.get(reason, set()):
                unexpected.append(f"{algorithm}: {match[0]}")
    assert not unexpected, report
    assert "(CVE)" not in report.replace("CVE-2023-48795", "")


def test_its_client_side_lists_are_in_the_same_order(nacre_server: Daemon) -> None:
    """OpenSSH's client picks what it likes best of what is offered: a sanity check by a peer."""
    scanned = check([require("ssh-keyscan"), "-p", str(nacre_server.port), "127.0.0.1"])
    kinds = {line.split()[1] for line in scanned.decode().splitlines() if line[:1] != "#"}
    assert kinds == {"ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"}
