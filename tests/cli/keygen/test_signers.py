from __future__ import annotations

from pathlib import Path

import pytest

from agent.virtual_token import VirtualToken
from cli.keygen.programs import Keygen
from nacre.agent import tokens
from nacre.cli.keygen import signers
from nacre.cli.keygen.arguments import parse_arguments
from nacre.cli.keygen.signers import in_agent, in_file, load_public_key
from nacre.errors import KeyFormatError, UnusableKey
from nacre.keys import Certificate, dump_private, generate
from nacre.keys.families.security_key import ED25519 as SECURITY
from nacre.keys.families.security_key import SecurityFlags

KEY = generate("ssh-ed25519", comment="me")
CA = generate("ssh-ed25519")


@pytest.fixture(autouse=True)
def _directory(keygen: Keygen) -> None:
    """Be in an empty directory."""


def test_a_public_key_is_found_in_each_file() -> None:
    Path("key.pub").write_text(f"{KEY.public} me\n")
    assert load_public_key(Path("key.pub")) == (KEY.public, "me")
    assert load_public_key(Path("key")) == (KEY.public, "me")
    Path("key").write_bytes(dump_private(KEY))
    assert load_public_key(Path("key")) == (KEY.public, "me")
    with pytest.raises(FileNotFoundError):
        load_public_key(Path("none"))
    Path("bad").write_text("bad")
    with pytest.raises(KeyFormatError, match="bad: invalid format"):
        load_public_key(Path("bad"))


def test_a_file_has_the_key_that_is_wanted() -> None:
    Path("key").write_bytes(dump_private(KEY))
    Path("key").chmod(0o600)
    options = parse_arguments(["-P", ""])
    assert in_file(options, Path("key")).public == KEY.public
    certificate = Certificate.issue(KEY.public, CA)
    assert in_file(options, Path("key"), certificate).public == certificate
    with pytest.raises(UnusableKey, match="is not the private half of"):
        in_file(options, Path("key"), CA.public)


def test_without_an_agent_no_key_is_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with pytest.raises(UnusableKey, match="SSH_AUTH_SOCK is not set"):
        in_agent(KEY.public)


def test_a_security_key_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    token = VirtualToken("1234")
    monkeypatch.setattr(tokens, "connected", lambda: [token])
    flags = SecurityFlags.TOUCH | SecurityFlags.VERIFY
    made = tokens.enroll(SECURITY, flags=flags, challenge=b"c", pin="1234", devices=lambda: [token])
    Path("key").write_bytes(dump_private(made.key))
    Path("key").chmod(0o600)
    public = made.key.public
    asked: list[str] = []

    def ask(text: str) -> str:
        asked.append(text)
        return "1234"

    monkeypatch.setattr(signers, "ask_secret", ask)
    for wanted in (public, Certificate.issue(public, CA)):
        signer = in_file(parse_arguments(["-P", ""]), Path("key"), wanted)
        assert signer.public == wanted
        assert public.verify(signer.sign(b"x", wanted.signature_algorithms[0]), b"x", SECURITY)
    assert asked == ["Enter PIN for ED25519-SK key key: "] * 2
