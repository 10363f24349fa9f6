"""Whether a host's certificate, whose authority is trusted, is valid for the host."""

from __future__ import annotations

from collections.abc import Collection

from nacre.keys.base import PublicKey
from nacre.keys.certificate import Certificate
from nacre.keys.key import too_weak
from nacre.wire.text import safe


def authority(key: PublicKey) -> PublicKey:
    """Return the key that signed a certificate."""
    assert isinstance(key, Certificate)
    return key.authority


def refusal(
    key: PublicKey, name: str, *, now: float, ca_signatures: Collection[str], rsa_bits: int
) -> str | None:
    """Return why a certificate is not valid for a host, or None.

    It must be a host's, name the host or nobody, be in its time, have no critical options (none is
    defined for hosts), and be signed by a strong enough authority (PROTOCOL.certkeys of OpenSSH).

    :param name: the host, without its port, or its alias. Principals are no patterns.
    :param now: seconds since the epoch.
    :param ca_signatures: the algorithms that may sign certificates (CASignatureAlgorithms).
    :param rsa_bits: the least size of an RSA key (RequiredRSASize).
    """
    assert isinstance(key, Certificate)
    unfit = key.refusal("host", name, now=now, needs_principals=False)
    if unfit is None and key.critical_options:
        names = ", ".join(safe(option, 64) for option in key.critical_options)
        unfit = f"it has critical options, of which hosts have none: {names}"
    return unfit or too_weak(key, rsa_bits, ca_signatures)
