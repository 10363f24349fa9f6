"""Keys on security keys, of which one is there in software."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.virtual_token import VirtualToken
from cli.keygen.programs import Keygen, mode
from nacre.agent import tokens
from nacre.errors import UnusableKey
from nacre.keys import load_private, load_public
from nacre.keys.families.security_key import SecurityFlags, SecurityPrivateKey

PIN = "1234"


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> VirtualToken:
    made = VirtualToken()
    monkeypatch.setattr(tokens, "connected", lambda: [made])
    return made


def load(name: str, passphrase: str | None = None) -> SecurityPrivateKey:
    key = load_private(Path(name).read_bytes(), passphrase)
    assert isinstance(key, SecurityPrivateKey)
    return key


@pytest.mark.parametrize("type", ["ed25519-sk", "ecdsa-sk"])
def test_a_key_is_made(keygen: Keygen, token: VirtualToken, type: str) -> None:
    done = keygen("-t", type, "-f", "key", "-N", "", "-C", "mine")
    assert done.exit_code == 0, done.stderr
    assert "You may need to touch your authenticator" in done.stdout
    assert f"[{type.upper()} 256]" in done.stdout
    key = load("key")
    assert (key.flags, key.comment) == (SecurityFlags.TOUCH, "mine")
    assert mode(Path("key")) == 0o600
    assert load_public(Path("key.pub").read_text()) == (key.public, "mine")
    assert key.public.verify(tokens.sign(key, b"x", devices=lambda: [token]), b"x", key.public.type)


def test_options(keygen: Keygen, token: VirtualToken) -> None:
    token.pin = PIN
    Path("challenge").write_bytes(b"c" * 32)
    words = ["application=ssh:test", "user=alice", "resident", "verify-required"]
    words += ["no-touch-required", "challenge=challenge", "write-attestation=attested"]
    options = [part for word in words for part in ("-O", word)]
    wanted = ["-t", "ed25519-sk", "-f", "key", "-N", "secret", "-a", "1"]
    done = keygen(*wanted, *options, typed=f"4321\n{PIN}\n")
    assert done.exit_code == 0, done.stderr
    assert "PIN of the security key is wrong" in done.stdout
    key = load("key", "secret")
    assert key.flags == SecurityFlags.VERIFY | SecurityFlags.RESIDENT
    assert key.public.application == b"ssh:test"
    assert Path("attested").read_bytes().startswith(b"\0\0\0\x11ssh-sk-attest-v01")


def test_kept_keys_are_downloaded(keygen: Keygen, token: VirtualToken) -> None:
    token.pin = PIN
    for application, user in (("ssh:", ""), ("ssh:../x", "al/ice")):
        tokens.enroll(
            "sk-ssh-ed25519@openssh.com",
            application=application,
            user=user,
            flags=SecurityFlags.TOUCH | SecurityFlags.RESIDENT,
            challenge=b"c",
            pin=PIN,
            devices=lambda: [token],
        )
    done = keygen("-K", "-N", "", typed=f"{PIN}\n")
    assert done.exit_code == 0, done.stderr
    assert sorted(path.name for path in Path().glob("id_*_rk*")) == [
        "id_ed25519_sk_rk",
        "id_ed25519_sk_rk.pub",
        "id_ed25519_sk_rk_.._x_al_ice",
        "id_ed25519_sk_rk_.._x_al_ice.pub",
    ]
    assert load("id_ed25519_sk_rk").flags == SecurityFlags.TOUCH | SecurityFlags.RESIDENT
    token._kept.clear()
    assert "No keys to download" in keygen("-K", typed=f"{PIN}\n").stdout


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["-t", "ed25519-sk", "-O", "nonsense"], 255, "unknown option"),
        (["-t", "ed25519-sk", "-O", "resident=1"], 255, "unknown option"),
        (["-t", "ed25519-sk", "-O", "application=web"], 255, 'begin with "ssh:"'),
        (["-t", "ed25519-sk", "-O", f"user={'x' * 32}"], 255, "at most 31 bytes"),
        (["-t", "ed25519-sk", "-w", "/lib/x.so"], 1, "x.so can't be loaded"),
        (["-t", "ed25519-sk", "-O", "device=/dev/null"], 1, "used as a security key"),
        (["-K", "-w", "/lib/x.so"], 1, "Unable to load resident keys: the library"),
        (["-D", "/lib/x.so"], 255, "no PKCS#11"),
    ],
    ids=str,
)
def test_what_is_refused(
    keygen: Keygen, token: VirtualToken, words: list[str], status: int, said: str
) -> None:
    done = keygen(*words, "-f", "key", "-N", "")
    assert (done.exit_code, said in done.output) == (status, True), done.output
    assert not Path("key").exists()


def test_no_security_key_and_no_package(
    keygen: Keygen, token: VirtualToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "connected", list)
    done = keygen("-t", "ed25519-sk", "-f", "key", "-N", "")
    assert (done.exit_code, "plug it in" in done.output) == (1, True)

    def missing() -> list[VirtualToken]:
        raise UnusableKey("pip install 'nacre[fido]'")

    monkeypatch.setattr(tokens, "_check_installed", missing)
    done = keygen("-t", "ed25519-sk", "-f", "key", "-N", "")
    assert (done.exit_code, "nacre[fido]" in done.output) == (1, True)
