"""A key or a certificate that a user shows at a login, and what the login then permits.

The rules for certificates are those of OpenSSH's PROTOCOL.certkeys, and of TrustedUserCAKeys and
AuthorizedPrincipalsFile in sshd_config(5).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from nacre.errors import KeyFormatError, MalformedMessage, UnusableKey
from nacre.keys.base import PublicKey
from nacre.keys.certificate import Certificate
from nacre.keys.key_options import (
    KeyOptions,
    Services,
    network,
    no_services,
    options_end,
    parse_options,
)
from nacre.wire.codec import WireReader
from nacre.wire.text import safe


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownKey:
    """What a client shows, from where, and when.

    :ivar key: a key, or a certificate, whose authority's signature was verified.
    :ivar user: the name that must be among a certificate's principals, unless others are listed.
    :ivar address: the client's IP address; without it, conditions on addresses do not hold.
    :ivar host: the client's host name, if it was looked up.
    :ivar now: seconds since the epoch; without it, nothing that expires is accepted.
    """

    key: PublicKey
    user: str = ""
    address: str | None = None
    host: str | None = None
    now: float | None = None

    @property
    def listed(self) -> PublicKey:
        """The key that a line must have: for a certificate that of its authority."""
        return self.key.authority if isinstance(self.key, Certificate) else self.key

    def fits(self, key: PublicKey, options: KeyOptions) -> bool:
        """Return whether a line with this key and these options is about what is shown."""
        return key == self.listed and options.cert_authority is isinstance(self.key, Certificate)

    def by_line(self, options: KeyOptions) -> KeyOptions:
        """Return what is permitted by a line that fits.

        :param options: those of the line.
        :raises UnusableKey: a condition does not hold; the message says which.
        """
        self._check(options)
        if not isinstance(self.key, Certificate):
            return options
        granted = self._certified(self.key)
        names = options.principals
        if names is not None and not set(names) & set(self.key.principals):
            raise UnusableKey("the certificate has no name of principals=")
        # As in sshd, a certificate without principals is for all who list its authority.
        self._valid(self.key, self.user if names is None else None, needs_principals=False)
        return options.and_also(granted)

    def by_authority(self, named: KeyOptions | None = None) -> KeyOptions:
        """Return what is permitted by a certificate of a trusted authority.

        :param named: the options in front of one of its principals, where a file or a command
            lists them; None if the user's name must be one.
        :raises UnusableKey: a condition does not hold, or it is no certificate.
        """
        if not isinstance(self.key, Certificate):
            raise UnusableKey("it is not a certificate")
        self._valid(self.key, self.user if named is None else None, needs_principals=True)
        granted = self._certified(self.key)
        if named is None:
            return granted
        if named.cert_authority:
            raise UnusableKey("cert-authority is not for principals")
        self._check(named)
        return named.and_also(granted)

    def _certified(self, certificate: Certificate) -> KeyOptions:
        granted = certificate_options(certificate)
        self._check(granted)
        return granted

    def _check(self, options: KeyOptions) -> None:
        refusal = options.refusal(address=self.address, host=self.host, now=self.now)
        if refusal is not None:
            raise UnusableKey(refusal)

    def _valid(self, certificate: Certificate, name: str | None, *, needs_principals: bool) -> None:
        if self.now is None:
            raise UnusableKey("whether the certificate has expired is not known")
        refusal = certificate.refusal("user", name, now=self.now, needs_principals=needs_principals)
        if refusal is not None:
            raise UnusableKey(refusal)


def certificate_options(certificate: Certificate) -> KeyOptions:
    """Return what a user's certificate permits, and under which conditions.

    What no extension permits is not permitted; unknown extensions are ignored.

    :raises UnusableKey: a critical option is not known, or the data of one is damaged.
    """
    options = _NOTHING
    for name, data in certificate.critical_options.items():
        take = _CRITICAL.get(name)
        if take is None:
            raise UnusableKey(f"the certificate's critical option {safe(name, 64)} is not known")
        options = _taken(take, name, options, data)
    for name, data in certificate.extensions.items():
        take = _EXTENSIONS.get(name)
        if take is not None:
            options = _taken(take, name, options, data)
    return options


_Take: TypeAlias = Callable[[KeyOptions, WireReader], KeyOptions]

_NOTHING = parse_options("restrict")


def _taken(take: _Take, name: str, options: KeyOptions, data: bytes) -> KeyOptions:
    reader = WireReader(data)
    try:
        options = take(options, reader)
        reader.end()
    except (KeyFormatError, MalformedMessage) as error:
        raise UnusableKey(f"the certificate's {name} is damaged: {error}") from None
    return options


def _flag(**fields: Any) -> _Take:
    return lambda options, reader: replace(options, **fields)


def _force_command(options: KeyOptions, reader: WireReader) -> KeyOptions:
    return replace(options, command=reader.text())


def _source_address(options: KeyOptions, reader: WireReader) -> KeyOptions:
    return replace(options, networks=tuple(map(network, reader.text().split(","))))


_CRITICAL: Mapping[str, _Take] = {
    "force-command": _force_command,
    "source-address": _source_address,
    "verify-required": _flag(verify_required=True),
}

_EXTENSIONS: Mapping[str, _Take] = {
    "no-touch-required": _flag(touch_required=False),
    "permit-X11-forwarding": _flag(x11_forwarding=True),
    "permit-agent-forwarding": _flag(agent_forwarding=True),
    "permit-port-forwarding": _flag(port_forwarding=True),
    "permit-pty": _flag(pty=True),
    "permit-user-rc": _flag(user_rc=True),
}


def find_principal(
    text: bytes,
    certificate: Certificate,
    report: Callable[[int, str], None] = lambda number, reason: None,
    services: Services = no_services,
) -> KeyOptions | None:
    """Return the options of the first line that names a principal of the certificate, or None.

    A line is a principal, perhaps with options of ``authorized_keys`` in front; ``#`` begins a
    comment.

    :param text: the lines of a file, or the output of a command.
    :param report: called with the number and the fault of a line that names a principal and whose
        options can't be read; the line does not count.
    :param services: finds the ports of services, by whose names options may give them.
    """
    for number, raw in enumerate(text.split(b"\n"), 1):
        line = raw.partition(b"#")[0].decode("utf-8", "surrogateescape").strip()
        name = line.split()[-1] if line else ""
        if name not in certificate.principals or not name:
            continue
        written = line.removesuffix(name)
        try:
            return parse_options(written[: options_end(written)], services)
        except KeyFormatError as error:
            report(number, str(error))
    return None
