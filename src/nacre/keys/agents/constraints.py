"""What an agent is told to keep to with a key (draft-ietf-sshm-ssh-agent section 3.2.7)."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

from nacre.errors import KeyFormatError, MalformedMessage
from nacre.keys.agents import destinations as destinations_
from nacre.keys.agents.destinations import DestinationConstraint
from nacre.keys.base import PublicKey
from nacre.value import replace, value
from nacre.wire.codec import WireReader, boolean, string, text, u8, u32
from nacre.wire.text import safe

MAXIMUM_CERTIFICATES = 1024
"""Certificates that come with the keys of a token."""

RESTRICT_DESTINATION = "restrict-destination-v00@openssh.com"
ASSOCIATED_CERTIFICATES = "associated-certs-v00@openssh.com"
_PROVIDER = "sk-provider@openssh.com"


class ConstraintNumber(IntEnum):
    """The numbers of constraints (section 6.2 of the draft)."""

    LIFETIME = 1
    CONFIRM = 2
    EXTENSION = 255


@value
class Constraints:
    """Under which conditions an agent may use a key.

    :ivar lifetime: seconds until the agent forgets the key; None for its own default.
    :ivar confirm: whether the agent asks its user before each signature.
    :ivar provider: the library that signs with a security key; empty for the agent's own.
    :ivar destinations: the hops that the key may be used for; none for every use.
    :ivar certificates: certificates of the keys of a PKCS#11 token.
    :ivar certificates_only: whether the token's plain keys are left out.
    """

    lifetime: int | None = None
    confirm: bool = False
    provider: str = ""
    destinations: tuple[DestinationConstraint, ...] = ()
    certificates: tuple[PublicKey, ...] = ()
    certificates_only: bool = False

    def __bool__(self) -> bool:
        """Return whether there is any."""
        return self != UNCONSTRAINED


UNCONSTRAINED = Constraints()


def encode(constraints: Constraints) -> bytes:
    """Return the wire form, which stands behind a key."""
    parts = []
    if constraints.lifetime is not None:
        parts.append(u8(ConstraintNumber.LIFETIME) + u32(constraints.lifetime))
    if constraints.confirm:
        parts.append(u8(ConstraintNumber.CONFIRM))
    if constraints.provider:
        parts.append(_extension(_PROVIDER) + text(constraints.provider))
    if constraints.destinations:
        data = destinations_.encode(constraints.destinations)
        parts.append(_extension(RESTRICT_DESTINATION) + string(data))
    if constraints.certificates:
        blobs = b"".join(string(one.blob) for one in constraints.certificates)
        only = boolean(constraints.certificates_only)
        parts.append(_extension(ASSOCIATED_CERTIFICATES) + only + string(blobs))
    return b"".join(parts)


def _extension(name: str) -> bytes:
    return u8(ConstraintNumber.EXTENSION) + text(name)


def decode(reader: WireReader) -> Constraints:
    """Return the constraints that are left in ``reader``.

    :raises KeyFormatError: one of them is not supported, or comes twice: a key whose constraints
        can't be kept must be refused.
    :raises MalformedMessage: a field is cut off.
    """
    made = UNCONSTRAINED
    seen: set[int | str] = set()
    while reader.remaining:
        number = reader.u8()
        name = reader.text() if number == ConstraintNumber.EXTENSION else number
        if name in seen:
            raise KeyFormatError(f"the constraint {_shown(name)} comes twice")
        seen.add(name)
        take = _TAKE.get(name)
        if take is None:
            raise KeyFormatError(f"the constraint {_shown(name)} is not supported")
        made = take(made, reader)
    return made


def _shown(name: int | str) -> str:
    return safe(str(name), 64)


def _lifetime(made: Constraints, reader: WireReader) -> Constraints:
    return replace(made, lifetime=reader.u32())


def _confirm(made: Constraints, reader: WireReader) -> Constraints:
    return replace(made, confirm=True)


def _provider(made: Constraints, reader: WireReader) -> Constraints:
    return replace(made, provider=reader.text())


def _destinations(made: Constraints, reader: WireReader) -> Constraints:
    found = destinations_.decode(reader.string())
    if not found:
        raise MalformedMessage("the restriction of destinations has none")
    return replace(made, destinations=found)


def _certificates(made: Constraints, reader: WireReader) -> Constraints:
    from nacre.keys.key import decode_public

    only, blobs = reader.boolean(), WireReader(reader.string())
    found: list[PublicKey] = []
    while blobs.remaining:
        if len(found) == MAXIMUM_CERTIFICATES:
            raise KeyFormatError(f"at most {MAXIMUM_CERTIFICATES} certificates come with a token")
        found.append(decode_public(blobs.string()))
    return replace(made, certificates=tuple(found), certificates_only=only)


_TAKE: dict[int | str, Callable[[Constraints, WireReader], Constraints]] = {
    ConstraintNumber.LIFETIME: _lifetime,
    ConstraintNumber.CONFIRM: _confirm,
    _PROVIDER: _provider,
    RESTRICT_DESTINATION: _destinations,
    ASSOCIATED_CERTIFICATES: _certificates,
}
