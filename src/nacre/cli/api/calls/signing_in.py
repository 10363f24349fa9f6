"""A user of the store signs in with the password, and with the code of the second factor.

It is for a program that people use in place of the command line: its key has ``sessions:write``
alone, and what it can do beyond that, the users who sign in there may do. The program tells from
which address they come.
"""

from __future__ import annotations

import time
from ipaddress import ip_address
from typing import TYPE_CHECKING

from nacre.cli.api.call import CheckedCall, Problem, Resources
from nacre.cli.api.sessions.table import LONGEST
from nacre.crypto.password import verify_password, verify_unknown
from nacre.server.admission.sources import network_of

if TYPE_CHECKING:
    from nacre.daemon.store.values import User

WITH_PASSWORD = ("any", "password")
"""The ``auth`` of users who may sign in: others need a key, which nobody can show here."""

_WRONG = "the name, the password or the code is wrong, or this user may not sign in"
"""What is said of each refusal: who guesses learns nothing from it."""

CHANGE = "your password has to be changed first: log in with ssh, which asks for a new one"

_BITS = (32, 64)
"""The bits of a network that has a bound of its own."""


class SignInRefused(Problem):
    """Somebody may not sign in.

    :param reason: for the log: why.
    """

    offence = "authfail"

    def __init__(self, reason: str) -> None:
        super().__init__(401, _WRONG)
        self.logged = reason


def sign_in(resources: Resources, call: CheckedCall) -> object:
    """Begin a session of a user; it takes equally long for unknown ones.

    :raises Problem: it is refused.
    """
    name, address = call.body["name"], call.body["address"]
    try:
        ip_address(address)
    except ValueError:
        raise Problem(422, "address is to be the IP address of the user's client") from None
    if not resources.sign_ins.take(network_of(address, _BITS)):
        raise Problem(429, "too many sign-ins: wait a minute", {"Retry-After": "60"})
    given = call.body["password"].encode("utf-8", "surrogateescape")
    user = resources.store.find(name)
    reason = "the network is banned" if resources.bans_refuse(address) else _refusal(user, address)
    if user is None or user.password is None or reason is not None:
        verify_unknown(given)
        raise SignInRefused(reason or "the user has no password")
    if not verify_password(user.password, given):
        raise SignInRefused("wrong password")
    if _needs_code(user, resources):
        reason = resources.store.factors.check(name, call.body.get("code", ""))
        if reason is not None:
            raise SignInRefused(reason)
    if user.password_expired():
        raise Problem(403, CHANGE)
    token = resources.sessions.begin(user, address)
    return {"token": token, "name": name, "role": user.role, "expires": int(time.time() + LONGEST)}


def _refusal(user: User | None, address: str) -> str | None:
    """Return why a user may not sign in, whatever is shown, or None."""
    if user is None:
        return "there is no such user"
    if user.role == "none":
        return "the user's role is none"
    if user.auth not in WITH_PASSWORD:
        return "the user's auth needs a key"
    return user.refusal(address=address, host=None)


def _needs_code(user: User, resources: Resources) -> bool:
    """Tell whether a code is needed: one who has a second factor shows it, also where logins by SSH
    do not ask for it."""
    return user.second_factor == "required" or resources.store.factors.enrolled(user.name)
