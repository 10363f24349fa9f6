import pytest

from nacre.client.trust import revoked
from nacre.keys.certificate import Certificate
from nacre.keys.key import generate
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
