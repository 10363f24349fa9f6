"""The options in front of a key in ``authorized_keys`` (sshd(8), AUTHORIZED_KEYS FILE FORMAT)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, TypeAlias

from nacre.errors import KeyFormatError, UnusableKey
from nacre.keys.patterns import matches
from nacre.keys.times import parse_time
from nacre.wire.text import safe, safe_name

HostPort: TypeAlias = tuple[str, int | None]
"""A host pattern and a port; None stands for any port."""

Network: TypeAlias = IPv4Network | IPv6Network

Services: TypeAlias = Callable[[str], int | None]
"""Returns the TCP port of a service by its name (getservbyname(3)), or None if there is none."""


def no_services(name: str) -> int | None:
    """Return None: ports are numbers alone."""
    return None


@dataclass(frozen=True, slots=True)
class KeyOptions:
    """The conditions of a login with a key, and what it permits.

    :ivar command: the command to run in place of the one that the client requests.
    :ivar environment: variables to set, each once; the server's policy decides whether to set them.
    :ivar sources: the ``from=`` patterns; None allows every address.
    :ivar networks: the networks of a certificate's ``source-address``; None allows every address.
    :ivar expires: seconds since the epoch after which the key is refused, or None.
    :ivar permit_open: targets that ``direct-tcpip`` may have; empty allows all.
    :ivar permit_listen: addresses that ``tcpip-forward`` may have; empty allows all.
    :ivar tunnel: the tun device that must be used, as written.
    :ivar cert_authority: the key signs certificates, and can't be used to log in.
    :ivar principals: the names of which a certificate must have one, or None.
    :ivar touch_required: a security key must attest that it was touched.
    :ivar verify_required: a security key must attest that its user was verified.
    """

    command: str | None = None
    environment: tuple[tuple[str, str], ...] = ()
    sources: tuple[str, ...] | None = None
    networks: tuple[Network, ...] | None = None
    expires: float | None = None
    pty: bool = True
    user_rc: bool = True
    port_forwarding: bool = True
    agent_forwarding: bool = True
    x11_forwarding: bool = True
    permit_open: tuple[HostPort, ...] = ()
    permit_listen: tuple[HostPort, ...] = ()
    tunnel: str | None = None
    cert_authority: bool = False
    principals: tuple[str, ...] | None = None
    touch_required: bool = True
    verify_required: bool = False

    def refusal(
        self, *, address: str | None = None, host: str | None = None, now: float | None = None
    ) -> str | None:
        """Return why the key is refused to this client now, or None if it is not.

        A condition on ``address`` or ``now`` does not hold if that argument is None.

        :param address: the client's IP address.
        :param host: the client's host name, if it was looked up.
        :param now: seconds since the epoch.
        """
        if self.expires is not None and (now is None or now > self.expires):
            return "the key has expired"
        if self.principals is not None and not self.cert_authority:
            return "principals= is for lines with cert-authority"
        if self.sources is not None and not _from_source(self.sources, address, host):
            return "the key may not be used from this address"
        if self.networks is not None and not _in_network(self.networks, address):
            return "the certificate may not be used from this address"
        return None

    def and_also(self, second: KeyOptions) -> KeyOptions:
        """Return what a login permits on which both options are binding: only what both do.

        This one's environment and destinations come first.

        :raises UnusableKey: both have a command, and not the same.
        """
        if None not in (self.command, second.command) and self.command != second.command:
            raise UnusableKey("two commands are forced, and they differ")
        permissions = {
            name: getattr(self, name) and getattr(second, name) for name in _FLAGS["restrict"]
        }
        return replace(
            self,
            command=second.command if self.command is None else self.command,
            environment=self.environment or second.environment,
            expires=min(filter(None, (self.expires, second.expires)), default=None),
            touch_required=self.touch_required or second.touch_required,
            verify_required=self.verify_required or second.verify_required,
            permit_open=self.permit_open or second.permit_open,
            permit_listen=self.permit_listen or second.permit_listen,
            tunnel=second.tunnel if self.tunnel is None else self.tunnel,
            **permissions,
        )


NO_OPTIONS = KeyOptions()


def parse_options(text: str, services: Services = no_services) -> KeyOptions:
    """Return the options in ``text``, which commas separate. Later ones override ``restrict``.

    :param services: finds the port of a service, by whose name ``permitopen`` or ``permitlisten``
        may give it.
    :raises KeyFormatError: an option is unknown, malformed or given twice.
    """
    options = NO_OPTIONS
    seen: set[str] = set()
    for name, argument in split_options(text):
        if name in _FLAGS and argument is None:
            options = replace(options, **_FLAGS[name])
        elif name in _VALUES and argument is not None:
            if name in seen and name not in _REPEATABLE:
                raise KeyFormatError(f"the option {name} is given twice")
            options = _VALUES[name](options, argument)
        elif name in _PLACES and argument is not None:
            field, default_host = _PLACES[name]
            place = host_port(argument, default_host, services)
            changed: dict[str, Any] = {field: (*getattr(options, field), place)}
            options = replace(options, **changed)
        else:
            raise KeyFormatError(f"the option {safe_name(name)} is unknown or malformed")
        seen.add(name)
    return options


def options_end(line: str) -> int:
    """Return where the options at the start of a line end: at a blank outside of quotes."""
    quoted = False
    i = 0
    while i < len(line):
        if line[i] == "\\" and line[i + 1 : i + 2] == '"':
            i += 1
        elif line[i] == '"':
            quoted = not quoted
        elif line[i] in " \t" and not quoted:
            break
        i += 1
    return i


# A value ends at the first quote without a backslash; a backslash escapes no other character.
_OPTION = re.compile(r'([A-Za-z0-9-]++)(?:="((?:\\"|[^"])*+)")?(,|\Z)')


def split_options(text: str) -> Iterator[tuple[str, str | None]]:
    """Yield the names of options in lower case, and their values without quotes, if they have any.

    As in sshd, needless commas are ignored.

    :raises KeyFormatError: the text is malformed.
    """
    position, separator = _next(text, 0), ","
    while separator and position < len(text):
        found = _OPTION.match(text, position)
        if found is None:
            # The text is not repeated: it may be a line of a private key.
            raise KeyFormatError(f"the options are malformed at column {position + 1}")
        name, argument, separator = found.groups()
        position = _next(text, found.end())
        yield name.lower(), None if argument is None else argument.replace('\\"', '"')


def _next(text: str, position: int) -> int:
    """Return where the next option begins, at ``position`` or behind commas."""
    return len(text) - len(text[position:].lstrip(","))


_PERMISSIONS = ("pty", "user-rc", "port-forwarding", "agent-forwarding", "x11-forwarding")


def _permission(name: str, allowed: bool) -> dict[str, Any]:
    return {name.replace("-", "_"): allowed}


_FLAGS: dict[str, dict[str, Any]] = {
    **{name: _permission(name, True) for name in _PERMISSIONS},
    **{f"no-{name}": _permission(name, False) for name in _PERMISSIONS},
    "restrict": {key: False for name in _PERMISSIONS for key in _permission(name, False)},
    "cert-authority": {"cert_authority": True},
    **{f"{no}touch-required": {"touch_required": not no} for no in ("", "no-")},
    **{f"{no}verify-required": {"verify_required": not no} for no in ("", "no-")},
}


def _command(options: KeyOptions, argument: str) -> KeyOptions:
    return replace(options, command=argument)


def _environment(options: KeyOptions, argument: str) -> KeyOptions:
    name, equals, content = argument.partition("=")
    if not equals or not re.fullmatch(r"[A-Za-z0-9_]+", name):
        raise KeyFormatError(f"environment={safe(argument, 32)!r} is not NAME=value")
    if any(name == set_before for set_before, _ in options.environment):
        return options  # the first one counts, as in sshd(8)
    return replace(options, environment=(*options.environment, (name, content)))


def _from(options: KeyOptions, argument: str) -> KeyOptions:
    patterns = tuple(argument.split(","))
    for pattern in patterns:
        bare = pattern.removeprefix("!")
        if not bare:
            raise KeyFormatError("from= holds an empty pattern")
        if _NETWORK.fullmatch(bare):
            network(bare)
    return replace(options, sources=patterns)


_NETWORK = re.compile(r"[0-9a-fA-F:.]+/[0-9]{1,3}")


def network(text: str) -> Network:
    """Return the network that an address stands for, with a number of bits or alone.

    :raises KeyFormatError: it is neither, or bits behind the network's are set.
    """
    try:
        if "/" in text and not _NETWORK.fullmatch(text):
            raise ValueError("not an address and a number of bits")
        return ip_network(text)
    except ValueError as error:
        raise KeyFormatError(f"{safe(text, 64)} is no network: {safe(str(error), 100)}") from error


def _expiry_time(options: KeyOptions, argument: str) -> KeyOptions:
    try:
        expires = parse_time(argument)
    except ValueError:
        raise KeyFormatError(
            f"expiry-time={safe(argument, 32)!r} is not YYYYMMDD[HHMM[SS]][Z]"
        ) from None
    # Of several times the first one counts.
    return replace(options, expires=min(expires, options.expires or expires))


_MOST_HOST = 1024
"""Bytes of a host's name (NI_MAXHOST)."""

_PLACE = re.compile(r"(?:\[([^\]]*)\]|([^\[:/][^:/]*)?)([:/])(.*)", re.DOTALL)
_PORT = re.compile(r"[ \t\n\v\f\r]*\+?0*[0-9]{1,5}", re.ASCII)


def host_port(
    argument: str, default_host: str | None, services: Services, *, delimiters: str = ":/"
) -> HostPort:
    """Return host and port of ``host:port``, ``[IPv6]:port`` or, with a default, ``port``.

    As in sshd, a slash may stand in the colon's place, the host may be empty, and the port may be
    the name of a service. The port ``*`` means any port, and is returned as None.

    :param delimiters: what may stand between host and port.
    :raises KeyFormatError: it is none of these.
    """
    host, port = default_host, argument
    if default_host is None or ":" in argument:
        found = _PLACE.fullmatch(argument)
        known = found is not None and found[3] in delimiters
        host, port = (found[1] or found[2] or "", found[4]) if found and known else (None, "")
    number = int(port) if _PORT.fullmatch(port) else services(port)
    known = port == "*" or (number is not None and 1 <= number <= 65535)
    if host is None or len(host.encode("utf-8", "surrogateescape")) > _MOST_HOST or not known:
        raise KeyFormatError(f"{safe(argument, 64)!r} is not a host and a port")
    return host, None if port == "*" else number


_PLACES = {"permitopen": ("permit_open", None), "permitlisten": ("permit_listen", "*")}
"""The options that name a place: the attribute, and the host of a port alone."""


def _tunnel(options: KeyOptions, argument: str) -> KeyOptions:
    if not re.fullmatch(r"any|[0-9]+", argument):
        raise KeyFormatError(f"tunnel={safe(argument, 32)!r} does not name a tun device")
    return replace(options, tunnel=argument)


def _principals(options: KeyOptions, argument: str) -> KeyOptions:
    names = tuple(argument.split(","))
    if "" in names:
        raise KeyFormatError("principals= holds an empty name")
    return replace(options, principals=names)


_VALUES: dict[str, Callable[[KeyOptions, str], KeyOptions]] = {
    "command": _command,
    "environment": _environment,
    "from": _from,
    "expiry-time": _expiry_time,
    "tunnel": _tunnel,
    "principals": _principals,
}
_REPEATABLE = frozenset({"environment", "expiry-time", "tunnel"})


def _from_source(patterns: tuple[str, ...], address: str | None, host: str | None) -> bool:
    """Return whether the patterns allow this client; a negated pattern overrides the others."""
    client = _client(address)
    if client is None:
        return False
    allowed = False
    for pattern in patterns:
        if _is_at(pattern.removeprefix("!"), client, host):
            if pattern.startswith("!"):
                return False
            allowed = True
    return allowed


def _in_network(networks: tuple[Network, ...], address: str | None) -> bool:
    client = _client(address)
    return client is not None and any(client in one for one in networks)


def _client(address: str | None) -> IPv4Address | IPv6Address | None:
    """Return the address, an IPv4 address that is written as an IPv6 one as IPv4."""
    try:
        client = ip_address((address or "").partition("%")[0])
    except ValueError:
        return None
    mapped = client.ipv4_mapped if isinstance(client, IPv6Address) else None
    return mapped or client


def _is_at(pattern: str, client: IPv4Address | IPv6Address, host: str | None) -> bool:
    try:
        return client in network(pattern)
    except KeyFormatError:
        names = [str(client)] if host is None else [str(client), host.lower()]
        return any(matches(name, pattern.lower()) for name in names)
