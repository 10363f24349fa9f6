"""The options of ``nacre serve`` for the audit."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from nacre.daemon.audit.events import AuditMode

_OPTIONS = (
    click.option(
        "--audit",
        "audit",
        flag_value="on",
        help="Keep each login, session and operation on files in a table. What has changed a file "
        "is answered when the table has it; see `nacre audit`.",
    ),
    click.option(
        "--audit-hashes",
        "audit",
        flag_value="hashes",
        help="Keep the SHA-256 of what is transferred, too. Implies --audit.",
    ),
    click.option(
        "--audit-sync",
        is_flag=True,
        help="Answer what has changed a file when the disk has confirmed its event. Without it, "
        "that is so for logins, commands and forwardings alone. Implies --audit.",
    ),
    click.option(
        "--audit-connections",
        is_flag=True,
        help="Keep each client that connects, too, also one that does not log in. At most 20 of a "
        "network at once and one per second, and a count of the others. Implies --audit.",
    ),
    click.option(
        "--audit-store",
        is_flag=True,
        help="Copy all events to the database of --store, too. `nacre audit --all-nodes` searches "
        "those of all servers. Implies --audit.",
    ),
)


def audit_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options, and their values as one argument, ``audit``."""

    @wraps(function)
    def call(
        *args: Any,
        audit: AuditMode | None,
        audit_sync: bool,
        audit_connections: bool,
        audit_store: bool,
        **options: Any,
    ) -> None:
        from nacre.daemon.audit.events import AuditPlan

        mode = audit or ("on" if audit_sync or audit_connections or audit_store else "off")
        plan = AuditPlan(mode, audit_sync, audit_connections, copied=audit_store)
        function(*args, audit=plan, **options)

    decorated: Callable[..., None] = call
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated
