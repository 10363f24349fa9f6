"""Damaged known_hosts files: what is not understood is no line, and hides no other one."""

from __future__ import annotations

import random

import pytest

from fuzz.mutate import BUDGET, mutated, seeds
from nacre.keys.certificate import Certificate
from nacre.keys.hosts.known_hosts import KnownHosts, Verdict
from nacre.keys.hosts.rotation import edited, plan
from nacre.keys.key import generate

pytestmark = pytest.mark.timeout(120 + 2 * BUDGET)

KEY, OTHER, AUTHORITY = (generate("ssh-ed25519") for _ in range(3))
CERTIFICATE = Certificate.issue(KEY.public, AUTHORITY, kind="host")
LINES = [
    f"h,192.0.2.1 {OTHER.public} a comment",
    KnownHosts.line_for("h", 2222, KEY.public, hashed=True),
    f"@cert-authority *.example,!x.example,h {AUTHORITY.public}",
    f"@revoked * {generate('ecdsa-sha2-nistp256').public}",
    f"@revoked x {CERTIFICATE}",
    f"[h]:* {KEY.public}",
    "old 1024 65537 " + str((1 << 1023) + 1),
    "# a comment",
    "",
]
WHOLE = f"\nsafe {KEY.public}\n".encode()
"""A line that no damage before it may hide."""


def test_damaged_files() -> None:
    for seed in seeds():
        draw = random.Random(seed)
        lines = draw.choices(LINES, k=draw.randrange(1, 12))
        text = mutated("\n".join(lines).encode(), draw) + WHOLE
        hosts = KnownHosts(text)
        for key in (KEY.public, OTHER.public, CERTIFICATE):
            for host, port in (("h", 22), ("h", 2222), ("x.example", 22), ("ü", 22)):
                hosts.check(host, port, key, "192.0.2.1")
                hosts.key_types(host, port)
        found = hosts.check("safe", 22, KEY.public)
        assert found.verdict in (Verdict.TRUSTED, Verdict.REVOKED), seed
        # The search of the text finds what the parser of lines does.
        assert hosts.about("h") == tuple(e for e in hosts.entries if e.matches("h")), seed
        plan([hosts], [("h", 22)], OTHER.public, [OTHER.public])
        changed = edited(text, [("safe", 22)], [KEY.public, OTHER.public], add=True)
        if changed is not None:
            assert set(text.split(b"\n")) <= set(changed.split(b"\n")), seed
            again = KnownHosts(changed).check("safe", 22, OTHER.public).verdict
            assert again in (Verdict.TRUSTED, Verdict.REVOKED), seed
