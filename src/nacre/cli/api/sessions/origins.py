"""Origins of web pages where browsers permit WebAuthn."""

from __future__ import annotations

import re
from ipaddress import ip_address

LONGEST_ORIGIN = 300
"""Characters: those of a host name, with the scheme and the port."""

_FORM = re.compile(r"(https?)://([a-z0-9-]+(?:\.[a-z0-9-]+)*)(?::([1-9][0-9]{0,4}))?")
_USUAL_PORTS = {"http": "80", "https": "443"}


class WrongOrigin(ValueError):
    """A text is no origin where browsers permit WebAuthn."""


def rp_id_of(origin: str) -> str:
    """Return the RP ID of an origin: its host name.

    Browsers write an origin in one form only (RFC 6454, section 6.2): in lower case, without a
    path, and without the port that is usual.

    :raises WrongOrigin: it is none in this form, or browsers permit no WebAuthn there.
    """
    found = _FORM.fullmatch(origin) if len(origin) <= LONGEST_ORIGIN else None
    if found is None or int(found[3] or 1) > 65535:
        raise WrongOrigin("an origin is https:// and a host name in lower case, without a path")
    scheme, host, port = found.groups()
    if port == _USUAL_PORTS[scheme]:
        raise WrongOrigin(f"browsers leave :{port} out of an origin")
    if _is_address(host):
        raise WrongOrigin("security keys need a host name in place of an IP address")
    if scheme == "http" and host != "localhost" and not host.endswith(".localhost"):
        raise WrongOrigin("security keys need HTTPS, or http://localhost")
    return host


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        # What browsers take for an address of IPv4 in another form ends with a number.
        return host.rpartition(".")[2].isdecimal()
    return True
