from __future__ import annotations

from dataclasses import replace

import pytest

from nacre.errors import NoCommonAlgorithm
from nacre.protocol.events import Proposal
from nacre.protocol.phases import Role
from nacre.ssh2.transport.negotiate import guessed_right, negotiate

BASE = Proposal(
    kex=("curve25519-sha256", "ext-info-c"),
    host_key=("ssh-ed25519",),
    ciphers_c2s=("aes128-ctr",),
    ciphers_s2c=("aes128-ctr",),
    macs_c2s=("hmac-sha2-256",),
    macs_s2c=("hmac-sha2-256",),
    compression_c2s=("none",),
    compression_s2c=("none",),
)


def test_the_clients_order_decides_in_each_direction() -> None:
    client = replace(
        BASE,
        ciphers_c2s=("aes256-ctr", "aes128-ctr"),
        ciphers_s2c=("aes128-ctr", "aes256-ctr"),
        compression_c2s=("zlib", "none"),
    )
    server = replace(
        BASE,
        ciphers_c2s=("aes128-ctr", "aes256-ctr"),
        ciphers_s2c=("aes256-ctr", "aes128-ctr"),
        compression_c2s=("none", "zlib"),
    )
    chosen = negotiate(client, server, Role.CLIENT)
    assert (chosen.cipher_c2s, chosen.cipher_s2c) == ("aes256-ctr", "aes128-ctr")
    assert (chosen.compression_c2s, chosen.compression_s2c) == ("zlib", "none")
    assert chosen.strict is False


def test_an_aead_cipher_needs_no_common_mac() -> None:
    client = replace(BASE, ciphers_c2s=("aes128-gcm@openssh.com",), macs_c2s=("hmac-sha2-512",))
    server = replace(BASE, ciphers_c2s=("aes128-gcm@openssh.com",))
    chosen = negotiate(client, server, Role.SERVER)
    assert (chosen.mac_c2s, chosen.mac_s2c) == ("<implicit>", "hmac-sha2-256")


@pytest.mark.parametrize(
    ("field", "kind"),
    [
        ("kex", "kex"),
        ("host_key", "host key"),
        ("ciphers_c2s", "cipher"),
        ("ciphers_s2c", "cipher"),
        ("macs_c2s", "MAC"),
        ("macs_s2c", "MAC"),
        ("compression_c2s", "compression"),
        ("compression_s2c", "compression"),
    ],
)
def test_the_error_names_both_lists(field: str, kind: str) -> None:
    other = replace(BASE, **{field: ("what-else", "ext-info-s")})
    with pytest.raises(NoCommonAlgorithm) as caught:
        negotiate(BASE, other, Role.CLIENT)
    assert caught.value.kind == kind
    assert caught.value.remote[0] == "what-else"
    assert caught.value.local == tuple(n for n in getattr(BASE, field) if n != "ext-info-c")
    assert "what-else" in str(caught.value)


def test_markers_are_no_algorithms() -> None:
    both = replace(BASE, kex=("ext-info-c", "kex-strict-c-v00@openssh.com"))
    with pytest.raises(NoCommonAlgorithm):
        negotiate(both, both, Role.CLIENT)


def test_strict_kex_needs_both() -> None:
    client = replace(BASE, kex=(*BASE.kex, "kex-strict-c-v00@openssh.com"))
    server = replace(BASE, kex=(*BASE.kex, "kex-strict-s-v00@openssh.com"))
    assert negotiate(client, server, Role.CLIENT).strict
    assert not negotiate(client, BASE, Role.CLIENT).strict
    assert not negotiate(BASE, server, Role.CLIENT).strict


def test_a_guess_is_right_when_both_prefer_the_same() -> None:
    """RFC 4253 section 7: only the first names count."""
    assert guessed_right(BASE, BASE)
    for field in ("kex", "host_key"):
        first = getattr(BASE, field)[0]
        fewer, more = replace(BASE, **{field: (first,)}), replace(BASE, **{field: (first, "more")})
        assert guessed_right(fewer, more)
        assert guessed_right(more, fewer)
    assert not guessed_right(BASE, replace(BASE, kex=("other", *BASE.kex)))
    assert not guessed_right(BASE, replace(BASE, host_key=("other", *BASE.host_key)))


def test_all_mismatches_are_told_with_what_mends_them() -> None:
    old = replace(
        BASE,
        kex=("diffie-hellman-group1-sha1",),
        host_key=("what-else", "ssh-rsa"),
        ciphers_c2s=("3des-cbc",),
        ciphers_s2c=("3des-cbc",),
        macs_c2s=("hmac-md5",),
        macs_s2c=("hmac-sha1",),
    )
    with pytest.raises(NoCommonAlgorithm) as caught:
        negotiate(BASE, old, Role.CLIENT)
    error = caught.value
    assert [one.kind for one in (error, *error.others)] == [
        "kex",
        "host key",
        "cipher",
        "MAC",
        "MAC",
    ]
    for words in (
        "-o KexAlgorithms=+diffie-hellman-group1-sha1 -o HostKeyAlgorithms=+ssh-rsa "
        "-o Ciphers=+3des-cbc -o MACs=+hmac-md5,hmac-sha1",
        "--profile legacy",
        "the peer offers what-else,ssh-rsa",
    ):
        assert words in str(error)


def test_no_remedy_is_named_that_does_not_help() -> None:
    other = replace(BASE, kex=("diffie-hellman-group1-sha1",), host_key=("what-else",))
    with pytest.raises(NoCommonAlgorithm, match="nacre has no host key algorithm") as caught:
        negotiate(BASE, other, Role.CLIENT)
    assert "KexAlgorithms=+" not in str(caught.value)


def test_who_has_left_out_usual_algorithms_is_told_that_and_gets_no_old_ones() -> None:
    ours = replace(BASE, kex=("diffie-hellman-group1-sha1",), ciphers_c2s=("3des-cbc",))
    theirs = replace(
        BASE,
        kex=("diffie-hellman-group14-sha1", "curve25519-sha256"),
        ciphers_c2s=("aes128-cbc", "aes256-ctr"),
    )
    with pytest.raises(NoCommonAlgorithm) as caught:
        negotiate(ours, theirs, Role.CLIENT)
    assert "-o KexAlgorithms=+curve25519-sha256 -o Ciphers=+aes256-ctr" in str(caught.value)
    assert "legacy" not in str(caught.value)
    assert "old" not in str(caught.value)
