"""Keys in PEM: the label of each family. Contents are in tests/crypto/test_pem.py."""

from __future__ import annotations

import pytest

from nacre.errors import KeyFormatError, PassphraseRequired
from nacre.keys import Certificate, CertifiedKey, dump_private, dump_public, load_private
from nacre.keys.formats.armor import blocks
from nacre.keys.key import KEY_TYPES

OLD = {
    "ssh-rsa": "RSA PRIVATE KEY",
    "ssh-dss": "DSA PRIVATE KEY",
    **{f"ecdsa-sha2-nistp{bits}": "EC PRIVATE KEY" for bits in (256, 384, 521)},
}


COMPOSITE = "ssh-mldsa44-ed25519@openssh.com"
"""The type of keys that has no form in PEM."""


@pytest.mark.parametrize("type", OLD)
def test_the_old_form_of_each_family(type: str, key_of) -> None:
    key = key_of(type)
    for passphrase in (None, "secret"):
        text = dump_private(key, passphrase, format="pem")
        (block,) = blocks(text)
        assert block.label == OLD[type]
        assert (b"\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC," in text) == bool(passphrase)
        assert load_private(text, passphrase).secret_fields() == key.secret_fields()
    for wrong in (None, "wrong"):
        with pytest.raises(PassphraseRequired):
            load_private(text, wrong)


@pytest.mark.parametrize("type", [type for type in KEY_TYPES if type != COMPOSITE])
def test_pkcs8_of_each_family(type: str, key_of) -> None:
    for passphrase, label in ((None, "PRIVATE KEY"), ("secret", "ENCRYPTED PRIVATE KEY")):
        (block,) = blocks(dump_private(key_of(type), passphrase, format="pkcs8"))
        assert block.label == label
    for form, old in (("pem", "RSA PUBLIC KEY"), ("pkcs8", "PUBLIC KEY")):
        (block,) = blocks(dump_public(key_of(type).public, format=form))  # type: ignore[arg-type]
        assert block.label == (old if type == "ssh-rsa" else "PUBLIC KEY")


def test_randomness_of_the_old_form_is_taken_from_outside(key_of) -> None:
    text = dump_private(key_of("ssh-rsa"), "secret", format="pem", random=bytes)
    assert b"DEK-Info: AES-128-CBC," + b"00" * 16 in text


def test_what_has_no_form_in_pem(key_of) -> None:
    key = key_of("ssh-ed25519")
    with pytest.raises(KeyFormatError, match="no PEM form but PKCS#8"):
        dump_private(key, format="pem")
    certificate = Certificate.issue(key.public, key)
    for form in ("pem", "pkcs8"):
        with pytest.raises(KeyFormatError, match="no form in PEM or PKCS#8"):
            dump_private(CertifiedKey(certificate, key), format=form)
        with pytest.raises(KeyFormatError, match="no form in PEM or PKCS#8"):
            dump_public(certificate, format=form)
        with pytest.raises(KeyFormatError, match="no form in PEM or PKCS#8"):
            dump_private(key_of(COMPOSITE), format=form)


def test_a_format_that_does_not_exist(key_of) -> None:
    with pytest.raises(KeyFormatError, match="openssh, pem, pkcs8, ppk2, ppk3"):
        dump_private(key_of("ssh-rsa"), format="der")  # type: ignore[arg-type]
    with pytest.raises(KeyFormatError, match="openssh, rfc4716, pem, pkcs8"):
        dump_public(key_of("ssh-rsa").public, format="der")  # type: ignore[arg-type]
    with pytest.raises(KeyFormatError, match="no cipher is named none"):
        dump_private(key_of("ssh-rsa"), "secret", cipher="none")


def test_a_label_that_is_not_read() -> None:
    text = b"-----BEGIN FOREIGN PRIVATE KEY-----\nAAAA\n-----END FOREIGN PRIVATE KEY-----\n"
    with pytest.raises(KeyFormatError, match="not read: BEGIN FOREIGN PRIVATE KEY"):
        load_private(text)
