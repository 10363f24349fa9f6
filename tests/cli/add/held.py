"""Keys for ``nacre add``: their files, and answers to its questions."""

from __future__ import annotations

from pathlib import Path

from nacre.keys import PrivateKey, dump_private, generate
from nacre.keys.certificate import Certificate

KEY = generate("ssh-ed25519", comment="a key")
OTHER = generate("ecdsa-sha2-nistp256", comment="another key")
CERTIFICATE = Certificate.issue(KEY.public, OTHER, key_id="me", principals=["me"])


def save(path: Path, key: PrivateKey, passphrase: str | None = None) -> Path:
    """Write a key file, and the file of its public half."""
    path.write_bytes(dump_private(key, passphrase, rounds=1))
    path.chmod(0o600)
    path.with_name(f"{path.name}.pub").write_text(f"{key.public} {key.comment}\n")
    return path


def save_certificate(path: Path, certificate: Certificate = CERTIFICATE) -> Path:
    """Write the certificate of a key file beside it."""
    beside = path.with_name(f"{path.name}-cert.pub")
    beside.write_text(f"{certificate} its comment\n")
    return beside


class Answers(list[str]):
    """Answers to give, the first one first.

    :ivar asked: the questions so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    async def prompt(self, text: str, echo: bool, *, standard_input: bool = False) -> str | None:
        """Stand in for the question on the terminal."""
        assert not echo
        self.asked.append(text)
        return self.pop(0) if self else None
