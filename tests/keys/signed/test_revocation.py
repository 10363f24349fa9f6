from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import pytest

from nacre.errors import KeyFormatError
from nacre.keys import Certificate, generate, load_public
from nacre.keys.signed import revocation, serials
from nacre.keys.signed.revocation import (
    MAXIMUM_SIZE,
    RevocationList,
    load,
    parse,
    unreadable,
)
from nacre.wire.codec import boolean, mpint, string, text, u8, u32, u64

CA = generate("ssh-ed25519", comment="ca")
OTHER_CA = generate("ssh-ed25519")
KEY = generate("ecdsa-sha2-nistp256").public
OTHER = generate("ssh-ed25519").public


def issued(**fields) -> Certificate:
    return Certificate.issue(fields.pop("key", KEY), fields.pop("authority", CA), **fields)


def again(made: RevocationList) -> RevocationList:
    return RevocationList.decode(made.encode(0))


def section(kind: int, body: bytes) -> bytes:
    return RevocationList().encode(0) + u8(kind) + string(body)


@pytest.mark.parametrize("add", ["add_key", "add_sha1", "add_sha256", "add"])
def test_a_revoked_key_is_revoked_in_every_certificate(add: str) -> None:
    made = RevocationList()
    getattr(made, add)(KEY)
    for one in (made, again(made)):
        assert one.refusal(KEY) == f"the key {KEY.fingerprint()} is revoked"
        assert one.refusal(issued()) == one.refusal(KEY)
        assert one.refusal(OTHER) is None
        assert one.refusal(issued(key=OTHER)) is None


def test_a_revoked_authority_revokes_its_certificates() -> None:
    made = RevocationList()
    made.add_key(CA.public)
    assert "authority: the key SHA256:" in str(made.refusal(issued()))
    assert made.refusal(issued(authority=OTHER_CA)) is None
    assert made.refusal(KEY) is None


def test_a_key_is_revoked_by_its_hash() -> None:
    made = RevocationList()
    made.add_hash(next(iter(_hashes(KEY))))
    assert again(made).refusal(KEY)
    with pytest.raises(KeyFormatError, match="20 bytes; expected are 32"):
        made.add_hash(bytes(20))


def _hashes(key) -> set[bytes]:
    made = RevocationList()
    made.add_sha256(key)
    return made.sha256


@pytest.mark.parametrize("authority", [CA.public, None], ids=["one-ca", "any-ca"])
def test_certificates_are_revoked_by_number_and_key_id(authority) -> None:
    made = RevocationList()
    made.add_serials(authority, 5, 9)
    made.add_key_id(authority, "mallory")
    for one in (made, again(made)):
        assert one.refusal(issued(serial=5)) == (
            "the certificate with the serial number 5 is revoked"
        )
        assert one.refusal(issued(serial=9))
        assert one.refusal(issued(serial=10)) is None
        assert one.refusal(issued(serial=0)) is None
        assert one.refusal(issued(key_id="mallory")) == (
            "the certificate with the key id mallory is revoked"
        )
        assert one.refusal(issued(key_id="alice")) is None
        elsewhere = one.refusal(issued(serial=5, authority=OTHER_CA))
        assert (elsewhere is None) == (authority is not None)
        assert one.refusal(KEY) is None


def test_one_certificate_is_revoked_by_its_number_or_else_its_key_id() -> None:
    made = RevocationList()
    made.add(issued(serial=3, key_id="same"))
    assert made.refusal(issued(serial=3))
    assert made.refusal(issued(serial=4, key_id="same")) is None
    made.add(issued(key_id="other"))
    assert made.refusal(issued(serial=4, key_id="other"))
    assert made.refusal(KEY) is None


def test_a_list_comes_back_as_it_was_written() -> None:
    made = RevocationList()
    made.version, made.comment = 7, "a comment"
    made.add_key(KEY)
    made.add_sha1(OTHER)
    made.add_sha256(OTHER)
    made.add_serials(CA.public, 1, 1 << 40)
    made.add_key_id(None, "x")
    encoded = made.encode(1234)
    found = RevocationList.decode(encoded)
    assert (found.version, found.generated, found.comment) == (7, 1234, "a comment")
    assert found.encode(1234) == encoded


@pytest.mark.parametrize(
    "lines",
    [
        ["serial: 1", "serial: 3-9", "serial: 100-100000", "id: hello", "id: b\\x"],
        ["serial: 0x10", "serial: 18446744073709551615", "hash: {hash}"],
        [f"serial: {serial}" for serial in range(1, 4000, 3)],
        ["key: {key}", "sha1: {other}", "sha256: {other}", "# comment", ""],
        [],
    ],
    ids=["mixed", "bounds", "many", "keys", "empty"],
)
def test_ssh_keygen_writes_the_same_bytes_and_prints_the_same(
    tmp_path: Path, keygen, lines: list[str]
) -> None:
    words = {"key": KEY, "other": OTHER, "hash": OTHER.fingerprint()}
    (tmp_path / "spec").write_text("\n".join(line.format(**words) for line in lines) + "\n")
    (tmp_path / "ca.pub").write_text(f"{CA.public}\n")
    file = tmp_path / "krl"
    keygen("-q", "-k", "-f", file, "-s", tmp_path / "ca.pub", "-z", 4, tmp_path / "spec")
    theirs = file.read_bytes()
    found = RevocationList.decode(theirs)
    assert found.encode(found.generated) == theirs
    assert f"{found}\n" == keygen("-Q", "-l", "-f", file)


def test_ssh_keygen_reads_lists_with_many_numbers(tmp_path: Path, keygen) -> None:
    made = RevocationList()
    for serial in range(1, 60_000, 2):
        made.add_serials(CA.public, serial, serial)
    (tmp_path / "krl").write_bytes(made.encode(0))
    assert keygen("-Q", "-l", "-f", tmp_path / "krl").splitlines()[-1] == "serial: 59999"


def test_signatures_are_verified_and_stand_at_the_end() -> None:
    made = RevocationList()
    made.add_key(KEY)
    signed = made.encode(0, [CA, OTHER_CA])
    assert RevocationList.decode(signed).signers == (CA.public, OTHER_CA.public)
    damaged = bytearray(signed)
    damaged[20] ^= 1  # the version
    with pytest.raises(KeyFormatError, match="does not verify"):
        RevocationList.decode(bytes(damaged))
    with pytest.raises(KeyFormatError, match="behind its signatures"):
        RevocationList.decode(signed + u8(2) + string(b""))


def extension(critical: bool) -> bytes:
    return text("a@b") + boolean(critical) + string(b"content")


def test_an_unknown_extension_is_skipped_unless_it_is_critical() -> None:
    inner = string(b"") + string(b"")
    for kind, before in ((255, b""), (1, inner + u8(0x39))):
        body = [before + (string(x) if before else x) for x in map(extension, (False, True))]
        RevocationList.decode(section(kind, body[0]))
        with pytest.raises(KeyFormatError, match="critical extension a@b"):
            RevocationList.decode(section(kind, body[1]))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"SSHKRL\n",
        b"SSHKRL\n\0" + u32(2) + bytes(32),
        section(6, b""),
        section(1, string(b"") + string(b"") + u8(0x24) + string(b"")),
        section(1, string(b"no key") + string(b"")),
        section(3, string(bytes(19))),
        section(1, string(b"") + string(b"") + u8(0x20) + string(u64(0))),
        section(5, string(bytes(33))),
        section(2, b"\0\0\0\5abc"),
        section(4, string(b"")),
        RevocationList().encode(0)[:-1],
        b"SSHKRL\n\0" + bytes(MAXIMUM_SIZE),
    ],
    ids=range(13),
)
def test_lists_that_can_not_be_used_are_refused(data: bytes) -> None:
    with pytest.raises(KeyFormatError):
        RevocationList.decode(data)


def test_a_list_of_keys_revokes_them_their_certificates_and_what_they_sign() -> None:
    listed = f"# comment\n\n  {KEY} a comment\n{issued(key=OTHER)}\n"
    found = parse(listed.encode())
    assert "is revoked" in str(found.refusal(KEY))
    assert found.refusal(issued())
    assert found.refusal(OTHER)
    assert found.refusal(CA.public) is None
    by_authority = parse(f"{CA.public}".encode())
    assert "authority" in str(by_authority.refusal(issued()))
    assert by_authority.refusal(issued(authority=OTHER_CA)) is None
    assert parse(b"").refusal(KEY) is None


def test_short_rsa_keys_of_old_lists_are_skipped() -> None:
    blob = string(b"ssh-rsa") + mpint(65537) + mpint((1 << 767) + 1)
    old = f"ssh-rsa {b64encode(blob).decode()} short\n"
    assert parse(f"{old}{KEY}\n".encode()).refusal(KEY)
    assert parse(f"{old}{KEY}\n".encode()).refusal(OTHER) is None


@pytest.mark.parametrize("data", [b"nonsense\n", b"SSHKRL\n\0 cut off", b"ssh-ed25519 AAAA\n"])
def test_what_can_not_be_read_revokes_every_key(data: bytes) -> None:
    with pytest.raises(KeyFormatError):
        parse(data)
    assert "which keys are revoked can't be read" in str(load(data).refusal(KEY))
    assert load(str(OTHER).encode()).refusal(KEY) is None
    assert "no such file" in str(unreadable("no such file").refusal(load_public(str(KEY))[0]))


HEAD = b"SSHKRL\n\0" + u32(1) + 3 * u64(0) + 2 * string(b"")


def certified(body: bytes, authority: bytes = b"") -> bytes:
    return u8(1) + string(string(authority) + string(b"") + body)


@pytest.mark.parametrize(
    "sections",
    [
        11 * certified(b""),
        certified(u8(0x20) + string(b"".join(map(u64, range(1, 11))))),
        certified(8 * (u8(0x22) + string(u64(1) + mpint(0b1011)))),
        certified(u8(0x23) + string(10 * string(b"id"))),
        u8(2) + string(10 * string(b"")),
        u8(3) + string(10 * string(bytes(20))),
        u8(5) + string(10 * string(bytes(32))),
    ],
    ids=["sections", "numbers", "bitmaps", "key ids", "keys", "SHA-1", "SHA-256"],
)
def test_lists_that_take_too_long_to_read_are_refused(
    sections: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of 16 MiB can name 60 million serial numbers, which would take minutes and GiB."""
    parse(HEAD + sections)
    monkeypatch.setattr(serials, "MOST_ENTRIES", 10)
    assert "more than 10 entries" in str(load(HEAD + sections).refusal(KEY))


def test_lines_signatures_and_authorities_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revocation, "MOST_ENTRIES", 3)
    assert parse(b"\n\n\n").refusal(KEY) is None
    assert "more than 3 lines" in str(load(b"\n\n\n\n").refusal(KEY))
    assert len(RevocationList.decode(RevocationList().encode(0, [CA] * 8)).signers) == 8
    with pytest.raises(KeyFormatError, match="more than 8 signatures"):
        RevocationList.decode(RevocationList().encode(0, [CA] * 9))
    monkeypatch.setattr(revocation, "_MOST_AUTHORITIES", 1)
    both = HEAD + certified(b"", KEY.blob) + certified(b"", KEY.blob)
    parse(both)
    with pytest.raises(KeyFormatError, match="more than 1 authorities"):
        parse(both + certified(b"", OTHER.blob))
