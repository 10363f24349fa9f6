"""Calls of users who have signed in, about themselves."""

from __future__ import annotations

import time

from nacre.cli.api.call import CheckedCall, Problem, Resources
from nacre.cli.api.calls.factors import usage_of, user_of
from nacre.cli.api.calls.people import shown_key
from nacre.cli.api.calls.signing_in import CHANGE, WITH_PASSWORD
from nacre.cli.api.sessions.table import APISession
from nacre.daemon.store.passwords import ONE_TIME_SECONDS
from nacre.daemon.store.values import User


def session_of(call: CheckedCall) -> APISession:
    """Return the session that a call is made in.

    :raises Problem: it is made in none.
    """
    # The client of a Unix socket that needs no key may call anything, and is no user.
    if call.session is None:
        raise Problem(403, "this is of a user who has signed in: show the token of a session")
    return call.session


def _caller(resources: Resources, call: CheckedCall) -> User:
    return user_of(session_of(call).user, resources)


def show_own(resources: Resources, call: CheckedCall) -> object:
    """Return what a user may know of itself."""
    user = _caller(resources, call)
    return {
        "name": user.name,
        "role": user.role,
        "groups": list(user.groups),
        "service": user.service,
        "created": user.created,
        "expires": user.expires or None,
        "enrolled": resources.store.factors.enrolled(user.name),
        "keys": [shown_key(key) for key in resources.store.keys(user.name)],
        "usage": usage_of(user, resources),
    }


def check_session(resources: Resources, call: CheckedCall) -> object:
    """Return the role of the user whose session the call is made in."""
    return {"role": _caller(resources, call).role}


def sign_out(resources: Resources, call: CheckedCall) -> object:
    """End the session that the call is made in."""
    resources.sessions.end(session_of(call))
    return None


def add_login(resources: Resources, call: CheckedCall) -> object:
    """Return a password for one login with SSH: what the user does there, the server judges.

    :raises Problem: the user's password is not enough for a login any more.
    """
    session, user = session_of(call), _caller(resources, call)
    if user.auth not in WITH_PASSWORD:
        raise Problem(403, "your logins need a key, which the API does not have")
    if user.password_expired():
        raise Problem(403, CHANGE)
    return {
        "name": user.name,
        "password": resources.store.passwords.issue(user.name, session.address),
        "expires": int(time.time()) + ONE_TIME_SECONDS,
        "addresses": list(resources.ssh.addresses),
        "host_keys": list(resources.ssh.host_keys),
    }
