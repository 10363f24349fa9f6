"""The second factor of a user in the API: a security key, or a code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nacre.cli.api.call import Problem, Resources
from nacre.cli.api.sessions.ceremonies import KeyRefused, proof_options, shown_counter
from nacre.cli.api.sessions.challenges import KeyChallenge, Use
from nacre.cli.api.sessions.origins import WrongOrigin, rp_id_of
from nacre.cli.api.sessions.table import APISession
from nacre.daemon.store.second_factor.webauthn_keys import WebAuthnKey
from nacre.daemon.store.values import User


def has_second_factor(user: User, resources: Resources) -> bool:
    """Tell whether a user has a security key, or codes."""
    factors = resources.store.factors
    return factors.enrolled(user.name) or bool(factors.security_keys.of(user.name))


def checked_rp_id(origin: str) -> str:
    """Return the host name of an origin that a call says.

    :raises Problem: browsers permit no WebAuthn there.
    """
    try:
        return rp_id_of(origin)
    except WrongOrigin as error:
        raise Problem(422, str(error)) from None


def keys_at(resources: Resources, user: User, rp_id: str) -> list[WebAuthnKey]:
    """Return the security keys of a user that sign for a host name."""
    found = resources.store.factors.security_keys.of(user.name)
    return [one for one in found if one.rp_id == rp_id]


def ask_key(
    resources: Resources,
    use: Use,
    user: User,
    *,
    address: str,
    origin: str,
    session: APISession | None = None,
) -> dict[str, Any] | None:
    """Return a challenge for the security keys of a user; None if none is for this origin.

    :raises Problem: the origin is none where browsers permit WebAuthn.
    """
    rp_id = checked_rp_id(origin)
    keys = keys_at(resources, user, rp_id)
    if not keys:
        return None
    ticket, challenge = resources.challenges.begin(
        use, user, address=address, origin=origin, rp_id=rp_id, session=session
    )
    return {"ticket": ticket, "options": proof_options(challenge, keys)}


def refusal_of_key(
    resources: Resources, user: User, challenge: KeyChallenge, answer: Mapping[str, Any]
) -> str | None:
    """Check the answer of a security key, and note its counter.

    :returns: None if it is right, or why it is refused, for the log.
    """
    store = resources.store.factors.security_keys
    keys = keys_at(resources, user, challenge.rp_id)
    try:
        key, counter = shown_counter(challenge, store.handle(user.name), keys, answer)
    except KeyRefused as error:
        return str(error)
    return store.use(key, counter)
