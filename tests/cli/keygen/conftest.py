from __future__ import annotations

from pathlib import Path

import pytest

from cli.keygen.programs import Keygen, keygen_without_terminal
from nacre.cli.common import prompts
from nacre.keys import dump_private, generate


@pytest.fixture
def keygen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keygen:
    """Call it in ``tmp_path``, where no terminal is: what it asks is answered on standard input."""
    monkeypatch.setattr(prompts, "TTY", str(tmp_path / "no terminal"))
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("SSH_ASKPASS_REQUIRE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return keygen_without_terminal(monkeypatch)


@pytest.fixture(params=["rsa1", "ssh-ed25519"])
def made(request: pytest.FixtureRequest, keygen: Keygen) -> Path:
    """A key with the passphrase ``old``, and its public half beside it."""
    key = generate(request.param, bits=1024 if request.param == "rsa1" else None, comment="me")
    file = Path("key")
    file.write_bytes(dump_private(key, "old"))
    file.chmod(0o600)
    Path("key.pub").write_text(f"{key.public} me\n")
    return file
