"""The layout of openssh-key-v1, field by field: each kind of damage has its own message."""

from __future__ import annotations

import pytest

from nacre.errors import KeyFormatError, PassphraseRequired
from nacre.keys import dump_private, generate, load_private
from nacre.keys.files import public_half
from nacre.keys.formats import openssh
from nacre.keys.formats.armor import wrapped
from nacre.keys.key import encode_private
from nacre.wire.codec import string, u32

KEY = generate("ssh-ed25519", comment="a comment")
OTHER = generate("ssh-ed25519")


def private_section(padding: bytes | None = None, check: bytes = b"abcdabcd") -> bytes:
    section = check + encode_private(KEY)
    if padding is None:
        padding = bytes(range(1, -len(section) % 8 + 1))
    return section + padding


def file(
    *,
    magic: bytes = b"openssh-key-v1\0",
    cipher: bytes = b"none",
    kdf: bytes = b"none",
    options: bytes = b"",
    count: int = 1,
    public: bytes = KEY.public.blob,
    section: bytes | None = None,
    tail: bytes = b"",
) -> bytes:
    section = private_section() if section is None else section
    data = magic + string(cipher) + string(kdf) + string(options) + u32(count)
    data += string(public) + string(section) + tail
    return wrapped(openssh.LABEL, data)


def test_the_file_that_the_damaged_ones_are_made_from() -> None:
    key = load_private(file())
    assert key.public == KEY.public
    assert key.comment == "a comment"


def test_the_public_half_is_read_without_a_passphrase() -> None:
    assert public_half(dump_private(KEY, "secret", rounds=1)) == KEY.public
    for damaged in (file(count=2), file(public=b"junk"), file(magic=b""), file()[:90]):
        with pytest.raises(KeyFormatError):
            public_half(damaged)


def test_text_around_the_armor_and_crlf_are_taken() -> None:
    assert load_private(b"hello\r\n" + file().replace(b"\n", b"\r\n")).public == KEY.public


def test_a_section_without_padding_that_fills_its_blocks() -> None:
    key = generate("ssh-ed25519")
    while len(encode_private(key)) % 8:
        key.comment += "x"
    section = b"abcdabcd" + encode_private(key)
    assert load_private(file(public=key.public.blob, section=section)).public == key.public


BCRYPT = string(b"salt") + u32(1)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (file(magic=b"openssh-key-v2\0"), "does not begin with openssh-key-v1"),
        (file(cipher=b"blowfish-cbc", kdf=b"bcrypt"), "cipher blowfish-cbc is not supported"),
        (file(cipher=b"\x1b[2J", kdf=b"bcrypt"), r"cipher \(no name\) is not supported"),
        (file(kdf=b"bcrypt"), "key derivation bcrypt is not supported"),
        (file(cipher=b"aes256-ctr"), "key derivation none is not supported"),
        (file(cipher=b"aes256-ctr", kdf=b"scrypt"), "key derivation scrypt is not supported"),
        (file(count=0), "holds 0 keys"),
        (file(count=2), "holds 2 keys"),
        (file(public=OTHER.public.blob), "do not match"),
        (file(public=b"junk"), "public key is damaged"),
        (file(tail=b"x"), "bytes follow"),
        (file(section=private_section()[:-1]), "section is cut off"),
        (file(section=b""), "cut off"),
        (file(section=private_section(check=b"abcdabce")), "check numbers differ"),
        (file(section=private_section(padding=bytes(5))), "(padding is wrong|cut off)"),
        (file(cipher=b"aes256-ctr", kdf=b"bcrypt", section=bytes(16)), "damaged"),
    ],
    ids=range(16),
)
def test_damage_has_a_name(text: bytes, says: str) -> None:
    with pytest.raises(KeyFormatError, match=says):
        load_private(text, "secret")


def test_wrong_padding_of_the_right_length() -> None:
    good = private_section()
    for bad in (good[:-1] + b"\0", good + bytes(range(2, 10)), good + bytes(512)):
        with pytest.raises(KeyFormatError, match="padding is wrong"):
            load_private(file(section=bad))


@pytest.mark.parametrize("rounds", [0, openssh.MAXIMUM_ROUNDS + 1, (1 << 32) - 1])
def test_the_rounds_of_a_file_are_bounded(rounds: int) -> None:
    options = string(b"salt") + u32(rounds)
    with pytest.raises(KeyFormatError, match=f"has {rounds} rounds"):
        load_private(
            file(cipher=b"aes256-ctr", kdf=b"bcrypt", options=options, section=bytes(16)), "secret"
        )


def test_a_file_without_a_salt_is_refused() -> None:
    options = string(b"") + u32(1)
    with pytest.raises(KeyFormatError, match="a salt of 0 bytes"):
        load_private(
            file(cipher=b"aes256-ctr", kdf=b"bcrypt", options=options, section=bytes(16)), "secret"
        )


def test_an_encrypted_file_that_decrypts_to_nothing_asks_for_another_passphrase() -> None:
    text = file(cipher=b"aes256-cbc", kdf=b"bcrypt", options=BCRYPT, section=bytes(64))
    with pytest.raises(PassphraseRequired, match="wrong"):
        load_private(text, "secret")


def test_a_tag_that_is_cut_off_is_damage() -> None:
    text = file(
        cipher=b"aes256-gcm@openssh.com",
        kdf=b"bcrypt",
        options=BCRYPT,
        section=bytes(64),
        tail=b"x",
    )
    with pytest.raises(KeyFormatError, match="cut off"):
        load_private(text, "secret")


@pytest.mark.parametrize("damage", [b"!", b"=", b"AAAAA"])
def test_what_is_no_base64(damage: bytes) -> None:
    text = file().replace(b"\n", b"\n" + damage, 1)
    with pytest.raises(KeyFormatError, match=r"damaged|does not begin"):
        load_private(text)
