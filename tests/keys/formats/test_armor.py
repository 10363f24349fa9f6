"""What editors, mail and other systems do to key files, which is no part of the key."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import pytest

from nacre.errors import KeyFormatError
from nacre.keys import dump_private, dump_public, generate, load_private, load_public
from nacre.keys.files import PrivateKeyFormat, is_private
from nacre.keys.formats import armor
from nacre.keys.formats.armor import MAXIMUM_HEADER, KeyBlock, blocks, wrapped

KEY = generate("ecdsa-sha2-nistp256", comment="mine")
PRIVATE: tuple[PrivateKeyFormat, ...] = ("openssh", "pem", "pkcs8", "ppk2", "ppk3")
PARAMETERS = wrapped("EC PARAMETERS", bytes.fromhex("06082a8648ce3d030107"))
CERTIFICATE = wrapped("CERTIFICATE", b"\x30\x00")

CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda t: t,
    "CRLF": lambda t: t.replace(b"\n", b"\r\n"),
    "a byte-order mark": lambda t: b"\xef\xbb\xbf" + t,
    "a byte-order mark and CRLF": lambda t: b"\xef\xbb\xbf" + t.replace(b"\n", b"\r\n"),
    "UTF-16": lambda t: t.decode().encode("utf-16"),
    "UTF-16, big end first": lambda t: b"\xfe\xff" + t.decode().encode("utf-16-be"),
    "no last line end": lambda t: t.rstrip(b"\n"),
    "blanks behind each line": lambda t: t.replace(b"\n", b" \t\n"),
    "blank lines around": lambda t: b"\n\n  \n" + t + b"\n \n\n",
    "a blank line between each two": lambda t: t.replace(b"\n", b"\n\n"),
}
ARMORED: dict[str, Callable[[bytes], bytes]] = {
    "blanks before each line": lambda t: b"  " + t.replace(b"\n", b"\n  "),
    "text in front": lambda t: b"Bag Attributes\n    localKeyID: 01\nKey Attributes: <None>\n" + t,
    "text behind": lambda t: t + b"and more\n",
    "all on one line": lambda t: t.replace(b"\n", b" "),
    "parameters in front": lambda t: PARAMETERS + t,
    "a certificate in front": lambda t: CERTIFICATE + t,
    "another private key behind": lambda t: t + dump_private(generate("ssh-ed25519")),
    "a public key in front": lambda t: (
        dump_public(generate("ssh-ed25519").public, format="pkcs8") + t
    ),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("form", PRIVATE)
@pytest.mark.parametrize("passphrase", [None, "secret"])
def test_changes_of_private_files(
    form: PrivateKeyFormat, change: str, passphrase: str | None
) -> None:
    text = CHANGES[change](dump_private(KEY, passphrase, format=form, rounds=1))
    assert is_private(text)
    assert load_private(text, passphrase).public == KEY.public


@pytest.mark.parametrize("change", ARMORED)
@pytest.mark.parametrize("form", ["openssh", "pem", "pkcs8"])
def test_changes_of_private_files_with_begin_and_end(form: PrivateKeyFormat, change: str) -> None:
    text = ARMORED[change](dump_private(KEY, format=form))
    assert load_private(text).public == KEY.public


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("form", ["openssh", "rfc4716", "pem", "pkcs8"])
def test_changes_of_public_files(form, change: str) -> None:
    text = CHANGES[change](dump_public(KEY.public, "mine", format=form))
    assert not is_private(text)
    assert load_public(text)[0] == KEY.public


def test_the_first_line_with_a_key_counts() -> None:
    other = generate("ssh-ed25519").public
    text = b"# mine\n\n" + dump_public(KEY.public, "mine") + dump_public(other, "other")
    assert load_public(text) == (KEY.public, "mine")


@pytest.mark.parametrize("comment", [b"M\xfcller", b"\xff\xfe", "Mücke".encode()])
@pytest.mark.parametrize("form", ["openssh", "ppk2", "ppk3"])
def test_comments_in_any_encoding(form: PrivateKeyFormat, comment: bytes) -> None:
    key = generate("ssh-ed25519", comment=comment.decode("utf-8", "surrogateescape"))
    text = dump_private(key, format=form)
    assert comment in (base64.b64decode(blocks(text)[0].base64) if form == "openssh" else text)
    assert load_private(text).comment == key.comment
    for public in (dump_public(key.public, key.comment, format=f) for f in ("openssh", "rfc4716")):
        assert comment in public
        assert load_public(public) == (key.public, key.comment)


def test_a_text_that_only_begins_as_utf_16() -> None:
    for read in (load_private, load_public):
        with pytest.raises(KeyFormatError, match="begins as UTF-16"):
            read(b"\xff\xfe\x00\xd8")


@pytest.mark.parametrize("form", ["openssh", "pem", "pkcs8"])
def test_a_file_that_is_cut_off_says_so(form: PrivateKeyFormat) -> None:
    text = dump_private(KEY, format=form)
    for end in (45, len(text) // 2, len(text) - 10):
        with pytest.raises(KeyFormatError, match=r"private key file is damaged: it is cut off"):
            load_private(text[:end])
    with pytest.raises(KeyFormatError, match="public key file is damaged: it is cut off"):
        load_public(dump_public(KEY.public, format="rfc4716")[:-10])


def test_headers() -> None:
    text = b'---- BEGIN SSH2 PUBLIC KEY ----\nSubject: me\nCOMMENT: "one\\\n two\\\n"\nX-y:\nAAAA\n'
    (block,) = blocks(text + b"---- END SSH2 PUBLIC KEY ----\n")
    assert block.fields() == {"subject": "me", "comment": '"one two"', "x-y": ""}
    assert block.data() == bytes(3)
    endless = b"---- BEGIN SSH2 PUBLIC KEY ----\nA: " + b"x\\\n" * MAXIMUM_HEADER
    with pytest.raises(KeyFormatError, match="header"):
        blocks(endless)
    (block,) = blocks(b"---- BEGIN SSH2 PUBLIC KEY ----\nA: b\\")
    assert (block.headers, block.base64, block.whole) == ((b"A: b",), b"", False)


def test_blocks_in_their_order() -> None:
    text = PARAMETERS + b"-----BEGIN RSA PRIVATE KEY-----\nAAAA\n" + CERTIFICATE
    found = [(block.label, block.whole) for block in blocks(text)]
    assert found == [("EC PARAMETERS", True), ("RSA PRIVATE KEY", False), ("CERTIFICATE", True)]


@pytest.mark.parametrize("base64", [b"!", b"A", b"AAAA=A"])
def test_what_is_no_base64(base64: bytes) -> None:
    with pytest.raises(KeyFormatError, match="lines of base64"):
        KeyBlock("PUBLIC KEY", (), base64, True).data()


def test_lines_have_a_width() -> None:
    assert armor.folded(bytes(9), 8) == b"AAAAAAAA\nAAAA\n"
    assert wrapped("X", bytes(6), 4) == b"-----BEGIN X-----\nAAAA\nAAAA\n-----END X-----\n"


def test_ssh_keygen_reads_a_folded_comment(keygen, tmp_path: Path) -> None:
    file = tmp_path / "key.pub"
    comment = "a long comment " * 20
    file.write_bytes(dump_public(KEY.public, comment, format="rfc4716"))
    assert max(map(len, file.read_bytes().splitlines())) == 72
    assert load_public(keygen("-i", "-f", file))[0] == KEY.public
    assert load_public(file.read_bytes()) == (KEY.public, comment.strip())
