"""Fingerprints of host keys in the DNS (SSHFP, RFC 4255), looked up with dnspython.

The answer counts as secure if the resolver says that it has validated it (the bit AD, RFC 4035
section 3.2.3), and if this system trusts the resolver and the way to it: only with ``trust-ad``
among the options of resolv.conf(5), as with the C library.
"""

from __future__ import annotations

import ipaddress
import os
from hmac import compare_digest

from nacre.errors import ConfigurationError, UnusableKey
from nacre.keys.base import PublicKey
from nacre.keys.hosts.sshfp import records
from nacre.value import value
from nacre.wire.text import safe

RESOLV_CONF = "/etc/resolv.conf"
PORT = 53

TIME = 10.0
"""Seconds that a lookup may take in all; the login goes on without an answer then."""

_MOST_BYTES = 1232  # of an answer over UDP: what passes every network without fragments


@value
class InDNS:
    """What the DNS says of a host's key.

    :ivar found: whether there are fingerprints of keys of the host.
    :ivar matches: whether all those of this key's family match it, and there is one.
    :ivar secure: whether the answer was validated (DNSSEC).
    """

    found: bool = False
    matches: bool = False
    secure: bool = False


def look_up(host: str, key: PublicKey) -> InDNS:
    """Look a host up. This blocks, for :data:`TIME` at most.

    A host that is an address has no records.

    :raises ConfigurationError: dnspython is missing, or there is no answer; the message says which.
    """
    if _is_address(host):
        return InDNS()
    try:
        import dns.exception
        import dns.flags
        import dns.name
        import dns.rdatatype
        import dns.resolver
    except ImportError:
        raise ConfigurationError(
            "fingerprints in the DNS need the package dnspython, which is not installed: "
            "pip install 'nacre[dns]'"
        ) from None
    trusted = _trusts_resolver()
    try:
        resolver = dns.resolver.Resolver(RESOLV_CONF)
        resolver.port = PORT
        resolver.flags = dns.flags.RD | (dns.flags.AD if trusted else 0)
        resolver.use_edns(0, dns.flags.DO, _MOST_BYTES)
        name = dns.name.from_text(host)  # absolute: no domain is tried behind it
        answer = resolver.resolve(name, dns.rdatatype.SSHFP, lifetime=TIME, search=False)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return InDNS()
    except (dns.exception.DNSException, OSError, ValueError) as error:
        raise ConfigurationError(
            f"the DNS gives no answer for {safe(host)}: {_said(error)}"
        ) from None
    found = [(one.algorithm, one.fp_type, bytes(one.fingerprint)) for one in answer]
    secure = trusted and bool(answer.response.flags & dns.flags.AD)
    return InDNS(bool(found), _matches(key, found), secure)


def _matches(key: PublicKey, found: list[tuple[int, int, bytes]]) -> bool:
    try:
        ours = {(one.algorithm, one.hash): one.digest for one in records(key)}
    except UnusableKey:
        return False
    same = [(ours[kind], digest) for *kind_, digest in found if (kind := tuple(kind_)) in ours]
    return bool(same) and all(compare_digest(mine, theirs) for mine, theirs in same)


def _said(error: Exception) -> str:
    return safe(str(error) or type(error).__name__, 300)


def _trusts_resolver() -> bool:
    """Return whether ``trust-ad`` is set, in resolv.conf(5) or in RES_OPTIONS."""
    options = os.environ.get("RES_OPTIONS", "").split()
    try:
        with open(RESOLV_CONF, encoding="utf-8", errors="replace") as file:
            for line in file:
                words = line.split()
                if words[:1] == ["options"]:
                    options += words[1:]
    except OSError:
        return False
    return "trust-ad" in options


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
