"""What ``nacre serve`` was told of hooks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from nacre.config.values import LogLevel
from nacre.daemon.separate.rights import hook_rights
from nacre.value import value

if TYPE_CHECKING:
    from nacre.daemon.hooks.hooks import ServerHooks


@value(kw_only=True)
class HooksWanted:
    """That hooks are told, and as whom.

    :ivar user: the account of their process, under root; None for that of gates.
    """

    user: str | None = None

    def rights(self, gate_user: str | None) -> tuple[int, int] | None:
        """Return the account and group of the process; None for this one's.

        :raises AccountError: the account can't be used.
        """
        return hook_rights(self.user, gate_user) if os.geteuid() == 0 else None

    def open(self, state: Path, gate_user: str | None, log_level: LogLevel) -> ServerHooks:
        """Return what tells the hooks of a server.

        :raises AccountError: the account can't be used.
        """
        from nacre.daemon.hooks.hooks import ServerHooks

        return ServerHooks(state, self.rights(gate_user), log_level)
