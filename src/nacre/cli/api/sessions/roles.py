"""What the roles of users are for: the scopes of each."""

from __future__ import annotations

from collections.abc import Mapping

from nacre.daemon.store.api_keys import SCOPES
from nacre.daemon.store.values import ROLES

OWN_SCOPES = frozenset({"own:read", "own:write"})
"""What is of a user who has signed in. No key has them: it is nobody's."""

_SIGN_IN = frozenset({"sessions:write"})
"""What no role has: sessions are begun with a key."""

_READ = frozenset(scope for scope in SCOPES if scope.endswith(":read"))

_SCOPES = {
    "none": frozenset(),
    "user": OWN_SCOPES,
    "auditor": OWN_SCOPES | _READ,
    "admin": OWN_SCOPES | SCOPES.keys() - _SIGN_IN,
}

SCOPES_OF: Mapping[str, frozenset[str]] = {role: _SCOPES[role] for role in ROLES}
"""The scopes of each of :data:`nacre.daemon.store.values.ROLES`."""
