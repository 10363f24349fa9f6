from __future__ import annotations

from nacre.crypto.signatures.certified import certified, plain, plain_names


def test_the_names_of_certificates_lead_back_to_plain_ones() -> None:
    for name in ("ssh-rsa", "rsa-sha2-512", "sk-ssh-ed25519@openssh.com"):
        assert plain(certified(name)) == name
        assert plain(name) == name
    assert certified("sk-ssh-ed25519@openssh.com") == "sk-ssh-ed25519-cert-v01@openssh.com"


def test_plain_names_come_once_and_in_order() -> None:
    names = ("ssh-rsa-cert-v01@openssh.com", "ssh-ed25519", "ssh-rsa")
    assert plain_names(names) == ("ssh-rsa", "ssh-ed25519")
