"""Calls about the security keys of users: those of one's own, and those that admins see."""

from __future__ import annotations

from math import ceil
from typing import Any

from nacre.cli.api.call import CheckedCall, Problem, Resources
from nacre.cli.api.calls.factors import user_of
from nacre.cli.api.calls.own import session_of
from nacre.cli.api.calls.second_step import (
    ask_key,
    checked_rp_id,
    has_second_factor,
    refusal_of_key,
)
from nacre.cli.api.sessions.ceremonies import KeyRefused, enrolled_key, enrolment_options
from nacre.cli.api.sessions.table import APISession
from nacre.crypto.password import verify_password
from nacre.daemon.store.second_factor.webauthn_keys import WebAuthnKey
from nacre.daemon.store.values import User
from nacre.errors import UserStoreError
from nacre.server.admission.sources import network_of

_AGAIN = "show your second factor again, or your password if you have none: /v1/own/proof"
_WRONG = "that is not right: try again"
_OLD = "the challenge is unknown, was used, or is too old: begin again"

_BITS = (32, 64)
"""The bits of a network that has a bound of its own."""


class ProofRefused(Problem):
    """What a user has shown again is wrong.

    :param reason: for the log: why.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(403, _WRONG)
        self.logged = reason


def shown_webauthn_key(key: WebAuthnKey) -> dict[str, Any]:
    """Return what is shown of a security key."""
    shown = {"id": key.id, "name": key.name, "host": key.rp_id}
    return {**shown, "added": key.added, "used": key.used or None}


def list_security_keys(resources: Resources, call: CheckedCall) -> object:
    """Return the security keys of a user."""
    return _listed(resources, user_of(call.path["name"], resources).name)


def remove_security_key(resources: Resources, call: CheckedCall) -> object:
    """Remove a security key of a user."""
    _remove(resources, user_of(call.path["name"], resources).name, call.path["id"])
    return None


def list_own_keys(resources: Resources, call: CheckedCall) -> object:
    """Return the security keys of the caller, and for how long they may be changed."""
    session, user = _caller(resources, call)
    return {
        **_listed(resources, user.name),
        "second_factor": has_second_factor(user, resources),
        "codes": resources.store.factors.enrolled(user.name),
        "proof": ceil(resources.sessions.proof_left(session)),
    }


def challenge_own(resources: Resources, call: CheckedCall) -> object:
    """Return a challenge: for a key of the caller, or for one that is to be enrolled."""
    session, user = _caller(resources, call)
    origin = call.body["origin"]
    if call.body["use"] == "proof":
        asked = ask_key(
            resources, "proof", user, address=session.address, origin=origin, session=session
        )
        if asked is None:
            raise Problem(404, "you have no security key for this host name")
        return asked
    _check_proof(resources, session)
    rp_id = checked_rp_id(origin)
    ticket, challenge = resources.challenges.begin(
        *("enrolment", user),
        address=session.address,
        origin=origin,
        rp_id=rp_id,
        session=session,
    )
    keys = resources.store.factors.security_keys
    options = enrolment_options(challenge, keys.handle(user.name), keys.of(user.name))
    return {"ticket": ticket, "options": options}


def prove_own(resources: Resources, call: CheckedCall) -> object:
    """Check what the caller shows again: the second factor, or the password of who has none.

    :raises Problem: it is wrong, or there were too many tries.
    """
    session, user = _caller(resources, call)
    if not resources.sign_ins.take(network_of(session.address, _BITS)):
        raise Problem(429, "too many tries: wait a minute", {"Retry-After": "60"})
    reason = _refusal_of_proof(resources, session, user, call)
    if reason is not None:
        raise ProofRefused(reason)
    resources.sessions.prove(session)
    return {"proof": ceil(resources.sessions.proof_left(session))}


def _refusal_of_proof(
    resources: Resources, session: APISession, user: User, call: CheckedCall
) -> str | None:
    """Return why what is shown does not count, for the log, or None."""
    body = call.body
    if (answer := body.get("answer")) is not None:
        challenge = resources.challenges.take(body.get("ticket", ""), "proof", session)
        if challenge is None:
            return "the challenge is unknown, was used, or is too old"
        return refusal_of_key(resources, user, challenge, answer)
    if (code := body.get("code")) is not None:
        return resources.store.factors.check(user.name, code)
    if has_second_factor(user, resources):
        return "the user has a second factor, and has shown none"
    given = body.get("password", "").encode("utf-8", "surrogateescape")
    return None if verify_password(user.password or "", given) else "wrong password"


def add_own_key(resources: Resources, call: CheckedCall) -> object:
    """Enrol a security key of the caller.

    The proof was looked at when the challenge was made, which is of this session alone.
    """
    session, user = _caller(resources, call)
    challenge = resources.challenges.take(call.body["ticket"], "enrolment", session)
    if challenge is None:
        raise Problem(409, _OLD)
    try:
        key = enrolled_key(challenge, call.body["name"], call.body["answer"])
    except KeyRefused as error:
        raise Problem(422, str(error)) from None
    try:
        resources.store.factors.security_keys.add(key)
    except UserStoreError as error:
        raise Problem(409, str(error)) from None
    return _listed(resources, user.name)


def remove_own_key(resources: Resources, call: CheckedCall) -> object:
    """Remove a security key of the caller, who has shown the second factor again."""
    session, user = _caller(resources, call)
    _check_proof(resources, session)
    _remove(resources, user.name, call.path["id"])
    return None


def _caller(resources: Resources, call: CheckedCall) -> tuple[APISession, User]:
    session = session_of(call)
    return session, user_of(session.user, resources)


def _check_proof(resources: Resources, session: APISession) -> None:
    if not resources.sessions.proof_left(session):
        raise Problem(403, _AGAIN)


def _listed(resources: Resources, name: str) -> dict[str, Any]:
    keys = resources.store.factors.security_keys.of(name)
    return {"security_keys": [shown_webauthn_key(one) for one in keys]}


def _remove(resources: Resources, name: str, key: str) -> None:
    try:
        resources.store.factors.security_keys.remove(name, key)
    except UserStoreError as error:
        raise Problem(404, str(error)) from None
