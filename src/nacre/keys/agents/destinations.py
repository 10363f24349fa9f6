"""Where an agent's key may be used (``restrict-destination-v00@openssh.com``, ``PROTOCOL.agent``).

A connection to an agent is bound to SSH sessions, hop by hop: to the session that it is forwarded
through, and at last to the one that a login is for. :func:`refusal` compares these bindings with
the destinations of a key.
"""

from __future__ import annotations

from collections.abc import Sequence

from nacre.crypto.registry import CA_SIGNATURES
from nacre.errors import KeyFormatError, MalformedMessage
from nacre.keys.base import PublicKey
from nacre.keys.key import decode_public
from nacre.keys.patterns import matches
from nacre.value import value
from nacre.wire.codec import WireReader, boolean, string, text

MAXIMUM_DESTINATIONS = 1024
"""Destinations of one key."""

MAXIMUM_HOST_KEYS = 1024
"""Host keys of one end of a destination."""


@value
class DestinationKey:
    """A key by which a host is known.

    :ivar key: the host's key, or that of an authority which certifies it.
    :ivar is_authority: whether it is that of an authority.
    """

    key: PublicKey
    is_authority: bool = False


@value
class DestinationEnd:
    """One end of a destination.

    :ivar host: the host's name; empty for the machine of the agent.
    :ivar keys: the keys by which the host is known.
    :ivar user: a pattern of user names, or empty for every user; only where the key is used.
    """

    host: str = ""
    keys: tuple[DestinationKey, ...] = ()
    user: str = ""

    def is_host(self, key: PublicKey, now: float) -> bool:
        """Return whether ``key``, plain or a certificate, is the host's."""
        if key.plain is key:
            return any(not known.is_authority and known.key == key for known in self.keys)
        from nacre.keys.certificate import Certificate

        assert isinstance(key, Certificate)
        if key.critical_options or key.signature_algorithm not in CA_SIGNATURES:
            return False
        return any(known.is_authority and known.key == key.authority for known in self.keys) and (
            key.refusal("host", self.host, now=now, patterns=True, needs_principals=False) is None
        )


@value
class DestinationConstraint:
    """A hop that a key may be used for: a login to ``end`` from ``start``.

    :ivar start: the host where the agent is forwarded to; without a name, the agent's machine.
    :ivar end: the host to log in to, or to forward the agent to.
    """

    start: DestinationEnd
    end: DestinationEnd

    def permits(
        self, start: PublicKey | None, end: PublicKey | None, user: str | None, now: float
    ) -> bool:
        """Return whether it is a destination from ``start`` to ``end``.

        :param start: the key of the host where the request comes from; None for this machine.
        :param end: the key of the host that the request is for; None for any host.
        :param user: the user to log in as; None for any user.
        """
        if start is None:
            if self.start.host or self.start.keys:
                return False
        elif not self.start.is_host(start, now):
            return False
        if end is not None and not self.end.is_host(end, now):
            return False
        return not self.end.user or user is None or matches(user, self.end.user)


@value
class Binding:
    """A session that a connection to an agent is bound to.

    :ivar host_key: the key of the session's server.
    :ivar session_id: the session's identifier (RFC 4253 section 7.2).
    :ivar forwarding: whether the agent is forwarded through the session; otherwise it is for the
        login.
    """

    host_key: PublicKey
    session_id: bytes
    forwarding: bool


def refusal(
    destinations: Sequence[DestinationConstraint],
    bindings: Sequence[Binding],
    user: str | None,
    now: float,
) -> str | None:
    """Return why a key with ``destinations`` can't be used over a connection, or None.

    :param bindings: the sessions that the connection is bound to, the first hop first; none for a
        program on the agent's machine.
    :param user: the user of the login that is to be signed; None to list the key.
    :param now: seconds since the epoch.
    """
    if not destinations or not bindings:
        return None
    start: PublicKey | None = None
    for binding in bindings[:-1]:
        if not binding.forwarding:
            return "the connection was forwarded through a session that is bound for a login"
        if not _any(destinations, start, binding.host_key, None, now):
            return "the key is not for the hosts that the agent is forwarded through"
        start = binding.host_key
    last = bindings[-1]
    if last.forwarding and user is not None:
        return "a login is not possible through the session that the agent is forwarded through"
    if not _any(destinations, start, last.host_key, user, now):
        return "the key is not for this host and user"
    if last.forwarding and not _any(destinations, last.host_key, None, None, now):
        return "the key is for logins to the host, not for logins from there"
    return None


def _any(
    destinations: Sequence[DestinationConstraint],
    start: PublicKey | None,
    end: PublicKey | None,
    user: str | None,
    now: float,
) -> bool:
    return any(one.permits(start, end, user, now) for one in destinations)


def encode(destinations: Sequence[DestinationConstraint]) -> bytes:
    """Return the wire form of destinations."""
    return b"".join(
        string(_encode_hop(one.start) + _encode_hop(one.end) + string(b"")) for one in destinations
    )


def _encode_hop(hop: DestinationEnd) -> bytes:
    keys = b"".join(string(one.key.blob) + boolean(one.is_authority) for one in hop.keys)
    return string(text(hop.user) + text(hop.host) + string(b"") + keys)


def decode(data: bytes) -> tuple[DestinationConstraint, ...]:
    """Return the destinations of a wire form.

    :raises KeyFormatError: they contradict themselves, are too many, or name a key that nacre
        does not support.
    :raises MalformedMessage: a field is cut off.
    """
    reader = WireReader(data)
    found: list[DestinationConstraint] = []
    while reader.remaining:
        if len(found) == MAXIMUM_DESTINATIONS:
            raise KeyFormatError(f"a key has at most {MAXIMUM_DESTINATIONS} destinations")
        found.append(_decode_one(WireReader(reader.string())))
    return tuple(found)


def _decode_one(reader: WireReader) -> DestinationConstraint:
    start, end = _decode_hop(reader.string()), _decode_hop(reader.string())
    _reserved(reader)
    reader.end()
    if start.user:
        raise KeyFormatError("a destination has a user at its start")
    if bool(start.host) != bool(start.keys):
        raise KeyFormatError("a destination's start has a name without keys, or keys without one")
    if not end.host or not end.keys:
        raise KeyFormatError("a destination's end needs a name and keys")
    return DestinationConstraint(start, end)


def _decode_hop(data: bytes) -> DestinationEnd:
    reader = WireReader(data)
    user, host = reader.text(), reader.text()
    _reserved(reader)
    keys: list[DestinationKey] = []
    while reader.remaining:
        if len(keys) == MAXIMUM_HOST_KEYS:
            raise KeyFormatError(f"a destination's end has at most {MAXIMUM_HOST_KEYS} keys")
        keys.append(DestinationKey(decode_public(reader.string()), reader.boolean()))
    return DestinationEnd(host, tuple(keys), user)


def _reserved(reader: WireReader) -> None:
    if reader.string():
        raise MalformedMessage("a destination has a field that is not known")
