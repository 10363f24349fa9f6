"""A user of the store signs in with the password, and with a code or a security key.

It is for a program that people use in place of the command line: its key has ``sessions:write``
alone, and what it can do beyond that, the users who sign in there may do. The program tells from
which address they come.
"""

from __future__ import annotations

import time
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from nacre.cli.api.call import CheckedCall, Problem, Resources
from nacre.cli.api.calls.second_step import (
    ask_key,
    checked_rp_id,
    has_second_factor,
    refusal_of_key,
)
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
    :param guessed: whether something may have been guessed, which is an offence.
    """

    def __init__(self, reason: str, *, guessed: bool = True) -> None:
        super().__init__(401, _WRONG)
        self.logged = reason
        self.offence = "authfail" if guessed else ""


class SecondFactorAsked(Problem):
    """The password is right, and a security key or a code is to be shown.

    :param asked: the challenge for the keys, its ticket, and whether a code does as well.
    """

    def __init__(self, asked: dict[str, Any]) -> None:
        super().__init__(401, "show a security key or a code: /v1/sessions/confirm")
        self.logged = "asked for a security key"
        self._asked = asked

    def members(self) -> dict[str, Any]:
        """Return the object that the answer has."""
        return {**super().members(), "second_factor": self._asked}


def sign_in(resources: Resources, call: CheckedCall) -> object:
    """Begin a session of a user; it takes equally long for unknown ones.

    :raises Problem: it is refused, or the second factor is asked for.
    """
    name, address = call.body["name"], call.body["address"]
    _check_address(address)
    if "origin" in call.body:
        checked_rp_id(call.body["origin"])
    if not resources.sign_ins.take(network_of(address, _BITS)):
        raise Problem(429, "too many sign-ins: wait a minute", {"Retry-After": "60"})
    given = call.body["password"].encode("utf-8", "surrogateescape")
    user = resources.store.find(name)
    _check_ban(resources, address, given)
    reason = _refusal(user, address)
    if user is None or user.password is None or reason is not None:
        verify_unknown(given)
        raise SignInRefused(reason or "the user has no password")
    if not verify_password(user.password, given):
        raise SignInRefused("wrong password")
    if _needs_second(user, resources):
        _check_code(user, resources, call)
    return _begun(user, resources, address)


def confirm(resources: Resources, call: CheckedCall) -> object:
    """Begin the session of a user who has shown the password, and now shows the second factor.

    :raises Problem: it is refused.
    """
    name, address = call.body["name"], call.body["address"]
    _check_address(address)
    _check_ban(resources, address)
    challenge = resources.challenges.take(call.body["ticket"], "sign-in")
    if challenge is None or (challenge.user, challenge.address) != (name, address):
        # That of somebody who was slow, or whom others have pushed out. No ticket can be guessed.
        raise SignInRefused("the challenge is unknown, was used, or is too old", guessed=False)
    user = resources.store.find(name)
    reason = _refusal(user, address)
    if user is None or reason is not None:
        raise SignInRefused(reason or "there is no such user")
    if user.password != challenge.password:
        raise SignInRefused("the password was changed meanwhile")
    if (answer := call.body.get("answer")) is not None:
        reason = refusal_of_key(resources, user, challenge, answer)
    else:
        reason = resources.store.factors.check(name, call.body.get("code", ""))
    if reason is not None:
        raise SignInRefused(reason)
    return _begun(user, resources, address)


def _check_address(address: str) -> None:
    """Check that an address is one.

    :raises Problem: it is none.
    """
    try:
        ip_address(address)
    except ValueError:
        raise Problem(422, "address is to be the IP address of the user's client") from None


def _check_ban(resources: Resources, address: str, password: bytes | None = None) -> None:
    """Check that the network of an address is not banned.

    :param password: what was given: a refusal takes as long as it takes to verify one.
    :raises SignInRefused: it is. That is no offence, or a ban would prolong itself.
    """
    if resources.bans_refuse(address):
        if password is not None:
            verify_unknown(password)
        raise SignInRefused("the network is banned", guessed=False)


def _begun(user: User, resources: Resources, address: str) -> dict[str, Any]:
    if user.password_expired():
        raise Problem(403, CHANGE)
    token = resources.sessions.begin(user, address)
    expires = int(time.time() + LONGEST)
    return {"token": token, "name": user.name, "role": user.role, "expires": expires}


def _check_code(user: User, resources: Resources, call: CheckedCall) -> None:
    """Check the code of the second factor, or ask for a security key where none was given.

    :raises Problem: it is refused, or a key is asked for.
    """
    address, code = call.body["address"], call.body.get("code", "")
    enrolled = resources.store.factors.enrolled(user.name)
    if not code and (origin := call.body.get("origin")) is not None:
        asked = ask_key(resources, "sign-in", user, address=address, origin=origin)
        if asked is not None:
            raise SecondFactorAsked({**asked, "code": enrolled})
    reason = resources.store.factors.check(user.name, code)
    if reason is not None and not enrolled and has_second_factor(user, resources):
        reason = "the user has no codes, and no security key for where this is"
    if reason is not None:
        raise SignInRefused(reason)


def _refusal(user: User | None, address: str) -> str | None:
    """Return why a user may not sign in, whatever is shown, or None."""
    if user is None:
        return "there is no such user"
    if user.role == "none":
        return "the user's role is none"
    if user.auth not in WITH_PASSWORD:
        return "the user's auth needs a key"
    return user.refusal(address=address, host=None)


def _needs_second(user: User, resources: Resources) -> bool:
    """Tell whether a second factor is needed: one who has it shows it, also where logins by SSH do
    not ask for it."""
    return user.second_factor == "required" or has_second_factor(user, resources)
