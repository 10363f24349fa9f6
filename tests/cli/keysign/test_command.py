"""``nacre-ssh-keysign``: which requests it signs. Beside ssh-keysign: tests/interop."""

from __future__ import annotations

import io
import os
import pwd
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from nacre.cli.help.command import run as help_of
from nacre.cli.keysign import command
from nacre.keys import dump_private, generate
from nacre.keys.agents.keysign import HostSignatureRequest, decode_reply
from nacre.wire.codec import string, text, u8

KEY = generate("ssh-ed25519")
OTHER = generate("ssh-ed25519").public
USER = pwd.getpwuid(os.getuid()).pw_name
DATA = b"".join(
    (
        string(bytes(32)) + u8(50) + text("bob") + text("ssh-connection") + text("hostbased"),
        text("ssh-ed25519") + string(KEY.public.blob) + text("This.Example.") + text(USER),
    )
)


@pytest.fixture
def carrier() -> Iterator[socket.socket]:
    with socket.socket() as one:
        yield one


@pytest.fixture
def etc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "ssh_host_ed25519_key").write_bytes(dump_private(KEY))
    (tmp_path / "ssh_config").write_text("EnableSSHKeysign yes\n")
    monkeypatch.setattr(command, "HOST_KEYS", str(tmp_path))
    monkeypatch.setattr(command, "SYSTEM_FILE", str(tmp_path / "ssh_config"))
    monkeypatch.setattr(command, "local_name", lambda carrier: "this.example")
    return tmp_path


def asked(monkeypatch: pytest.MonkeyPatch, request: bytes) -> tuple[int, bytes]:
    output = SimpleNamespace(buffer=io.BytesIO())
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(request)))
    monkeypatch.setattr("sys.stdout", output)
    return command.run("nacre-ssh-keysign", []), output.buffer.getvalue()


def test_a_request_of_the_user_is_signed(
    etc: Path, carrier: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    status, reply = asked(monkeypatch, HostSignatureRequest(carrier.fileno(), DATA).encode())
    assert status == 0
    assert KEY.public.verify(decode_reply(reply), DATA, "ssh-ed25519")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (DATA.replace(text("This.Example."), text("other.example.")), "this host is this.example"),
        (DATA.replace(text(USER), text("nobody")), "for another user"),
        (DATA.replace(text("ssh-ed25519") + string(KEY.public.blob), text("rsa-sha2-512") +
                      string(KEY.public.blob)), "not one of the key's"),
        (DATA.replace(KEY.public.blob, OTHER.blob), "no matching host key"),
        (b"nonsense", ""),
    ],
    ids=["host", "user", "algorithm", "key", "nonsense"],
)  # fmt: skip
def test_other_requests_are_refused(
    etc: Path,
    carrier: socket.socket,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    data: bytes,
    reason: str,
) -> None:
    request = HostSignatureRequest(carrier.fileno(), data).encode()
    assert asked(monkeypatch, request) == (255, b"")
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize("request_", [b"", bytes(4), b"\xff" * 4, b"\0\0\0\5ab"])
def test_what_is_no_request(etc: Path, monkeypatch: pytest.MonkeyPatch, request_: bytes) -> None:
    assert asked(monkeypatch, request_) == (255, b"")


@pytest.mark.parametrize("descriptor", [0, 2, 999_999, (1 << 32) - 1])
def test_other_descriptors(etc: Path, monkeypatch: pytest.MonkeyPatch, descriptor: int) -> None:
    assert asked(monkeypatch, HostSignatureRequest(descriptor, DATA).encode()) == (255, b"")


def test_it_must_be_switched_on_and_have_keys(
    etc: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (etc / "ssh_config").write_text("")
    assert asked(monkeypatch, b"")[0] == 255
    assert "EnableSSHKeysign yes switches it on" in capsys.readouterr().err
    (etc / "ssh_host_ed25519_key").write_bytes(b"nonsense")
    assert asked(monkeypatch, b"")[0] == 255
    assert "could not open any host key" in capsys.readouterr().err


def test_its_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run("nacre-ssh-keysign", ["-h"]) == 0
    assert capsys.readouterr().out.startswith("usage: nacre-ssh-keysign [-h]\n")
    assert help_of("nacre help", ["ssh-keysign"]) == 0
    assert capsys.readouterr().out.startswith("usage: nacre-ssh-keysign [-h]\n")
