"""Calls about second factors, and about what users store and transfer."""

from __future__ import annotations

import socket
import time
from typing import Any

from nacre.cli.api.call import CheckedCall, Problem, Resources
from nacre.cli.user.usage import used_in
from nacre.daemon.store.second_factor.totp import (
    new_secret,
    provisioning_uri,
    recovery_codes,
    written,
)
from nacre.daemon.store.values import User, usage_directory
from nacre.errors import UserStoreError
from nacre.sftp.filesystems.quota.ledger import read_ledger
from nacre.sftp.filesystems.quota.limits import period_start

_LIMITS = ("quota_bytes", "quota_files", "transfer_up", "transfer_down", "transfer_period")


def user_of(name: str, resources: Resources) -> User:
    """Return a user with the settings that hold.

    :raises Problem: there is none of this name.
    """
    found = resources.store.find(name)
    if found is None:
        raise Problem(404, f"there is no user {name}")
    return found


def add_factor(resources: Resources, call: CheckedCall) -> object:
    """Give a user a second factor, and return what an authenticator app reads: this once."""
    user = user_of(call.path["name"], resources)
    if resources.store.factors.enrolled(user.name):
        raise Problem(409, f"{user.name} has a second factor already: remove it first")
    secret, codes = new_secret(), recovery_codes()
    resources.store.factors.enrol(user.name, secret, recovery=codes)
    uri = provisioning_uri(secret, user.name, socket.gethostname())
    return {"secret": written(secret), "uri": uri, "recovery": list(codes)}


def remove_factor(resources: Resources, call: CheckedCall) -> object:
    """Remove a user's second factor with its recovery codes."""
    user = user_of(call.path["name"], resources)
    if not resources.store.factors.enrolled(user.name):
        raise Problem(404, f"{user.name} has no second factor")
    resources.store.factors.remove(user.name)
    return None


def show_usage(resources: Resources, call: CheckedCall) -> object:
    """Return what a user stores, and has transferred in this period, beside the limits."""
    return usage_of(user_of(call.path["name"], resources), resources)


def usage_of(user: User, resources: Resources) -> dict[str, Any]:
    """Return the figures of a user."""
    try:
        found = read_ledger(usage_directory(resources.store.directory), user.name)
    except OSError as error:
        raise UserStoreError(f"can't read {error.filename}: {error.strerror}") from error
    used = used_in(found, period_start(user.transfer_period, time.time()))
    limits = {name: getattr(user, name) for name in _LIMITS}
    return {**used, **limits, "counted": found is not None and not found.doubted}
