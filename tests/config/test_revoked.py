import time

import pytest

from nacre.config import revoked
from nacre.config.kept import KeptFiles
from nacre.keys.certificate import Certificate
from nacre.keys.key import generate
from nacre.keys.signed import revocation
from nacre.keys.signed.revocation import RevocationList

KEY, AUTHORITY = generate("ssh-ed25519"), generate("ssh-ed25519")
CERTIFICATE = Certificate.issue(KEY.public, AUTHORITY, kind="host", serial=7)


def test_a_list_of_keys(tmp_path):
    file = tmp_path / "revoked"
    file.write_text(f"# none\n{AUTHORITY.public} comment\n")
    assert revoked.refusal(file, KEY.public) is None
    assert "authority" in (revoked.refusal(file, CERTIFICATE) or "")
    file.write_bytes(b"")
    assert revoked.refusal(file, CERTIFICATE) is None


def test_a_krl(tmp_path):
    krl = RevocationList()
    krl.add_serials(AUTHORITY.public, 7, 7)
    (tmp_path / "krl").write_bytes(krl.encode(0))
    assert revoked.refusal(tmp_path / "krl", KEY.public) is None
    assert revoked.refusal(tmp_path / "krl", CERTIFICATE) is not None


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "No such file"), (b"no key\n", "line 1"), (b"SSHKRL\n\0\0", "can't be read")],
    ids=["missing", "no list", "no KRL"],
)
def test_a_file_that_cannot_be_read_revokes_every_key(tmp_path, content, reason):
    if content is not None:
        (tmp_path / "revoked").write_bytes(content)
    assert reason in (revoked.refusal(tmp_path / "revoked", KEY.public) or "")


def test_a_file_without_an_end(tmp_path, monkeypatch):
    monkeypatch.setattr(revoked, "MAXIMUM_SIZE", 3)
    (tmp_path / "revoked").write_bytes(b"####")
    assert "more than 3 bytes" in (revoked.refusal(tmp_path / "revoked", KEY.public) or "")


def test_a_list_is_read_once_while_its_file_is_the_same(tmp_path, monkeypatch):
    read = []

    def load(data):
        read.append(data)
        return revocation.load(data)

    monkeypatch.setattr(revoked, "load", load)
    monkeypatch.setattr(revoked, "_kept", KeptFiles(4, 1000))
    monkeypatch.setattr(time, "time_ns", lambda: 1 << 62)  # every file is old
    file = tmp_path / "revoked"
    file.write_bytes(b"# none\n")
    for _ in range(3):
        assert revoked.refusal(file, KEY.public) is None
    assert len(read) == 1
    file.write_bytes(f"{KEY.public}\n".encode())
    for _ in range(3):
        assert revoked.refusal(file, KEY.public) is not None
    assert len(read) == 2
    (tmp_path / "next").write_bytes(b"# none\n")
    (tmp_path / "next").rename(file)
    assert revoked.refusal(file, KEY.public) is None
    assert len(read) == 3
    for number in range(6):
        (tmp_path / f"{number}").write_bytes(b"")
        assert revoked.refusal(tmp_path / f"{number}", KEY.public) is None
    assert revoked._kept.paths == [str(tmp_path / f"{number}") for number in range(2, 6)]


def test_a_file_that_was_just_written_is_read_each_time(tmp_path, monkeypatch):
    """Its time may not change when it is written again."""
    file = tmp_path / "revoked"
    file.write_bytes(b"#" * (len(str(KEY.public)) + 1))
    monkeypatch.setattr(time, "time_ns", lambda: file.stat().st_mtime_ns)
    assert revoked.refusal(file, KEY.public) is None
    assert str(file) not in revoked._kept.paths
