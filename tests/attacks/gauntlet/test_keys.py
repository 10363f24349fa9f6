"""Public vulnerabilities, tried on nacre: keys, certificates, signatures and agents."""

from __future__ import annotations

import hashlib
import os
import pickle
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from nacre.cli.keygen import keyfiles
from nacre.cli.keygen.arguments import parse_arguments
from nacre.errors import KeyFormatError, MalformedMessage, UnusableKey
from nacre.keys import Certificate, generate, load_private, load_public
from nacre.keys.agents.changes import request_add
from nacre.keys.agents.constraints import Constraints
from nacre.keys.agents.requests import decode_request
from nacre.keys.families.ecdsa import ECDSAPrivateKey
from nacre.keys.key_options import parse_options
from nacre.keys.shown import ShownKey
from nacre.wire.codec import WireReader, string, u32

P521_ORDER = (
    2**521 - 2**260 + int("a51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409", 16)
)


def test_nonces_have_all_their_bits() -> None:
    """CVE-2024-31497: of PuTTY's nonces for P-521 nine bits were zero, which gives the key away."""
    key = generate("ecdsa-sha2-nistp521")
    assert isinstance(key, ECDSAPrivateKey)
    nonces = set()
    for number in range(40):
        data = number.to_bytes(4, "big")
        made = WireReader(key.sign(data, "ecdsa-sha2-nistp521"))
        made.string()
        fields = WireReader(made.string())
        r, s = fields.mpint(), fields.mpint()
        digest = int.from_bytes(hashlib.sha512(data).digest(), "big")
        # The owner of the key can solve for the nonce; the attacker needs to know a few bits.
        nonce = pow(s, -1, P521_ORDER) * (digest + r * key.signer.secret) % P521_ORDER
        point = ec.derive_private_key(nonce, ec.SECP521R1()).public_key().public_numbers()
        assert point.x % P521_ORDER == r, "the nonce is not the one of this signature"
        nonces.add(nonce)
    assert len(nonces) == 40
    assert any(nonce >> 520 for nonce in nonces)
    assert any(nonce >> 519 & 1 for nonce in nonces)


class _Ran:
    """What runs when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.mkdir, (self.path,)

    def __init__(self, path: Path) -> None:
        self.path = str(path)


def test_objects_in_the_place_of_keys(tmp_path: Path) -> None:
    """CVE-2022-45047: Apache MINA deserialised what stood in the place of its host key."""
    ran = tmp_path / "ran"
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        text = pickle.dumps(_Ran(ran), protocol)
        for load in (load_private, load_public):
            with pytest.raises(KeyFormatError):
                load(text)
    assert not ran.exists()
    pickle.loads(text)
    assert ran.exists()


def test_a_new_key_file_is_nobody_elses_at_any_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CVE-2022-24302: Paramiko made the file first, and took others' rights to read it then."""
    modes: list[int] = []

    def look() -> None:
        modes.extend(stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir())

    def watched(call: Callable[..., None]) -> Callable[..., None]:
        def watching(*about: Any) -> None:
            look()
            call(*about)
            look()

        return watching

    for name in ("fchmod", "fsync", "replace"):
        monkeypatch.setattr(os, name, watched(getattr(os, name)))
    before = os.umask(0)
    try:
        keyfiles.save(tmp_path / "key", generate("ssh-ed25519"), None, parse_arguments([]))
    finally:
        os.umask(before)
    assert len(modes) == 6
    assert set(modes) == {0o600}


@pytest.mark.parametrize(
    ("listed", "certified"),
    [
        ("root,admin", ["root,admin"]),
        ("root,admin", ["admin,x", ",root", "root,"]),
        ("root", ["x,root", "root,x"]),
    ],
)
def test_commas_in_principals(listed: str, certified: list[str]) -> None:
    """CVE-2026-35414: OpenSSH's server took a principal with a comma for two."""
    authority, key = generate("ssh-ed25519"), generate("ssh-ed25519").public
    options = parse_options(f'cert-authority,principals="{listed}"')
    for principals, admitted in ((certified, False), ([*certified, "root"], True)):
        certificate = Certificate.issue(key, authority, kind="user", principals=principals)
        shown = ShownKey(key=certificate, user="root", now=1.0)
        if admitted:
            shown.by_line(options)
        else:
            with pytest.raises(UnusableKey, match="no name of principals="):
                shown.by_line(options)


def test_keys_for_an_agent_that_are_cut_off() -> None:
    """CVE-2025-47914 and CVE-2026-46598: Go's agent read behind what it was to hold."""
    message = request_add(generate("ssh-ed25519", comment="c"), Constraints(confirm=True))[4:]
    assert decode_request(message)
    for end in range(len(message) - 1):  # the last byte is a constraint, and there may be none
        with pytest.raises((MalformedMessage, KeyFormatError)):
            decode_request(message[:end])
    public, secret = bytes(range(32)), b"\1" * 64
    for first, second in ((public, secret[:-1]), (public, b""), (public[:-1], secret), (b"", b"")):
        made = b"\x11" + string(b"ssh-ed25519") + string(first) + string(second) + string(b"")
        with pytest.raises(KeyFormatError):
            decode_request(made)
        with pytest.raises((MalformedMessage, KeyFormatError)):
            decode_request(made[:-4] + u32(1 << 31))
