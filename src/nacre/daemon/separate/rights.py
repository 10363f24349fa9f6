"""Whether a server can be separated into processes, and as whom its gates run."""

from __future__ import annotations

from nacre.config.server.config import ServerConfig
from nacre.daemon.accounts.accounts import find_account
from nacre.errors import AccountError, ConfigurationError

GATES = 2
"""As many as there may be, where one has died, to take new clients meanwhile."""

ACCOUNTS = ("nacre", "nobody")
"""The accounts of gates; the first one that exists."""

RECORDER = "nacre"
"""The account of the recorder, if none is named."""


def gate_rights(name: str | None) -> tuple[int, int]:
    """Return the numbers of the account that gates run as, and of its group.

    :param name: the account; None for the first one of :data:`ACCOUNTS` that there is.
    :raises AccountError: there is none, or it is root's.
    """
    error = AccountError("this system has no account for gates")
    for one in ACCOUNTS if name is None else (name,):
        try:
            account = find_account(one)
        except AccountError as missing:
            error = missing
            continue
        if account.uid == 0 or account.gid == 0:
            raise AccountError(f"gates have no rights, and the account {one} has root's")
        return account.uid, account.gid
    raise AccountError(f"{error}: --gate-user names the account of gates") from None


def recorder_rights(name: str | None) -> tuple[int, int]:
    """Return the numbers of the recorder's account and of its group.

    :param name: the account; None for :data:`RECORDER`.
    :raises AccountError: there is none, or it is root's.
    """
    try:
        account = find_account(name or RECORDER)
    except AccountError as error:
        raise AccountError(
            f"{error}, as which recordings would be written: "
            f"`useradd --system {RECORDER}` makes it, or --record-user names another one"
        ) from None
    if account.uid == 0 or account.gid == 0:
        raise AccountError(f"the recorder has no rights, and the account {account.name} has root's")
    return account.uid, account.gid


def hook_rights(name: str | None, gate_user: str | None) -> tuple[int, int]:
    """Return the numbers of the account that hooks run as, and of its group.

    :param name: the account; None for that of gates, which ``gate_user`` names.
    :raises AccountError: there is none, or it is root's.
    """
    if name is None:
        return gate_rights(gate_user)
    account = find_account(name)
    if account.uid == 0 or account.gid == 0:
        raise AccountError(
            f"hooks do not run with root's rights, and the account {name} has them: name another "
            "one with --hook-user, and let sudo give its commands what they need"
        )
    return account.uid, account.gid


def default_gates(config: ServerConfig, workers: int = 1) -> int:
    """Return how many gates a server has that was not told: none if it has workers.

    :param config: a configuration with what a gate can't do has no gates.
    """
    if workers > 1:
        return 0
    try:
        check_separable(config)
    except ConfigurationError:
        return 0
    return GATES


def check_separable(config: ServerConfig) -> None:
    """Check that connections can leave a gate after the login.

    :raises ConfigurationError: the configuration has what a gate can't do.
    """
    if 1 in config.protocol:
        raise ConfigurationError("SSH-1 can't be served by gates: its connections can't be moved")
    if config.gssapi_authentication or config.gss_kex():
        raise ConfigurationError("GSSAPI can't be served by gates")
