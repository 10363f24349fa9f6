"""Who may log in, and by which methods: the keywords of sshd_config(5) that name users and methods.

Nothing here depends on what a client shows, so a refused user costs no more than an unknown one.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator

from nacre.config.server.config import ServerConfig
from nacre.config.server.rules import ServerRules
from nacre.daemon.accounts.accounts import Account
from nacre.keys.key_options import KeyOptions
from nacre.keys.patterns import matches
from nacre.protocol.requirement import METHODS, Alternative, Requirement

ANY: Requirement = tuple(frozenset({method}) for method in METHODS)
"""Any one method is enough."""

_DEVICES = {"keyboard-interactive:pam": "keyboard-interactive"}
"""Methods with a device (AuthenticationMethods in sshd_config(5)) that are a method here."""

_FOR_ACCOUNTS = {
    *("AllowGroups", "DenyGroups", "PermitRootLogin", "AuthorizedKeysFile"),
    *("AuthorizedKeysCommand", "AuthorizedPrincipalsCommand", "AuthorizedPrincipalsFile"),
    *("PermitEmptyPasswords", "ChrootDirectory", "PermitUserEnvironment"),
    *("HostbasedAuthentication", "IgnoreRhosts", "IgnoreUserKnownHosts"),
    *("GSSAPIAuthentication", "GSSAPIKeyExchange"),
}
"""Keywords that can't hold for the users of the store."""

_ROOT_METHODS = {
    "yes": frozenset({"publickey", "password", "hostbased", "gssapi"}),
    "prohibit-password": frozenset({"publickey", "hostbased", "gssapi"}),
    "forced-commands-only": frozenset({"publickey"}),
    "no": frozenset[str](),
}
"""The methods by which an account with uid 0 may log in, for each ``PermitRootLogin``."""


class Admission:
    """The rules of one configuration. A reason that a method returns is for the log alone."""

    def __init__(self, config: ServerConfig) -> None:
        self._config = config
        switches = {
            "publickey": config.pubkey_authentication,
            "password": config.password_authentication,
            "keyboard-interactive": config.kbd_interactive_authentication,
            "hostbased": config.hostbased_authentication,
            "gssapi-with-mic": config.gssapi_authentication,
            "gssapi-keyex": config.gssapi_authentication and config.gssapi_key_exchange,
        }
        self._methods = frozenset(method for method, on in switches.items() if on)

    def requirement(self, own: Requirement = ANY) -> Requirement:
        """Return the alternatives that can be met with the methods that are switched on.

        Where none is left the result has each of these methods, as for an unknown user;
        :meth:`closed` then refuses every login.

        :param own: what the user needs without ``AuthenticationMethods``, and also with it.
        """
        left = self._possible(own)
        return left or tuple(frozenset({method}) for method in sorted(self._methods))

    def closed(self, own: Requirement = ANY) -> str | None:
        """Return why no alternative can be met, or None."""
        if self._possible(own):
            return None
        return "the methods that the user needs are switched off"

    def _possible(self, own: Requirement) -> Requirement:
        listed = self._config.authentication_methods
        required = [one for methods in listed for one in _both(methods, own)] if listed else own
        return tuple(one for one in required if self._methods.issuperset(one))

    @property
    def takes_empty(self) -> bool:
        """Whether a user whose password is empty gets in without a method."""
        config = self._config
        alone = not config.authentication_methods
        return config.permit_empty_passwords and config.password_authentication and alone

    def refuses_name(self, name: str, address: str, host: str | None = None) -> str | None:
        """Return why ``DenyUsers`` or ``AllowUsers`` refuses the user, or None.

        :param address: the client's IP address.
        :param host: the client's host name, if it was looked up.
        """
        config = self._config
        if _lists(config.deny_users, name, address, host):
            return "DenyUsers lists the user"
        if config.allow_users and not _lists(config.allow_users, name, address, host):
            return "AllowUsers does not list the user"
        return None

    def refuses_account(
        self, account: Account, address: str, method: str, host: str | None = None
    ) -> str | None:
        """Return why an account of this system may not log in by ``method``, or None. May block.

        The other parameters are those of :meth:`refuses_name`.

        :param method: ``publickey``, ``hostbased``, ``gssapi`` for both of its methods, or
            ``password`` for every method that sends it.
        """
        config = self._config
        if account.uid == 0 and method not in _ROOT_METHODS[config.permit_root_login]:
            return f"PermitRootLogin is {config.permit_root_login}"
        if (reason := self.refuses_name(account.name, address, host)) is not None:
            return reason
        if config.deny_groups or config.allow_groups:
            groups = account.group_names()
            if _any_matches(config.deny_groups, groups):
                return "DenyGroups lists a group of the user"
            if config.allow_groups and not _any_matches(config.allow_groups, groups):
                return "AllowGroups lists no group of the user"
        return _unusable(account.shell)

    def refuses_key(self, account: Account, options: KeyOptions) -> str | None:
        """Return why the account may not log in with a key that has these options, or None."""
        only_forced = self._config.permit_root_login == "forced-commands-only"
        if account.uid == 0 and only_forced and options.command is None:
            return "PermitRootLogin is forced-commands-only, and the key has no command="
        return None


def check_for_store(rules: ServerRules) -> None:
    """Check that no keyword is set that can't hold for the users of the store.

    :raises ConfigurationError: one is; a rule that was ignored would look as if it held.
    """
    usual = ServerConfig()
    for word, setting in rules.values():
        if word.name in _FOR_ACCOUNTS and setting.value != getattr(usual, word.field):
            raise setting.origin.error(
                f"{word.name} is for accounts of this system: add --users system, or leave it out"
            )


def _both(listed: tuple[str, ...], own: Requirement) -> Iterator[Alternative]:
    """Yield what one list of ``AuthenticationMethods`` and a user's own requirement ask for."""
    methods = tuple(_DEVICES.get(method, method) for method in listed)
    if any(frozenset(methods).issuperset(one) for one in own):
        yield methods
        return
    for one in own:
        yield (*methods, *(method for method in METHODS if method in one and method not in methods))


def _lists(patterns: Iterable[str], name: str, address: str, host: str | None) -> bool:
    for pattern in patterns:
        if matches(name, pattern):  # also with an @ in the name itself
            return True
        user, at, place = pattern.rpartition("@")
        if at and matches(name, user):
            source = KeyOptions(sources=(place,))
            if source.refusal(address=address, host=host) is None:
                return True
    return False


def _any_matches(patterns: Iterable[str], names: Iterable[str]) -> bool:
    return any(matches(name, pattern) for pattern in patterns for name in names)


def _unusable(shell: str) -> str | None:
    """Return why an account with this shell has no login, or None. As in sshd, any program will."""
    try:
        mode = os.stat(shell).st_mode
    except OSError:
        return f"the shell {shell} does not exist"
    if not stat.S_ISREG(mode) or not mode & 0o111:
        return f"the shell {shell} is not executable"
    return None
