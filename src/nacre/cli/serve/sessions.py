"""The options of ``nacre serve`` for sessions."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, TypedDict

import click

if TYPE_CHECKING:
    from nacre.daemon.watching.frames import WatchMode


class SessionOptions(TypedDict):
    """Arguments of :class:`~nacre.daemon.daemon.Daemon`."""

    end_processes: bool
    drain: int
    watch: WatchMode


_OPTIONS = (
    click.option(
        "--end-processes",
        is_flag=True,
        help="End what outlives its session. An example is a job that was started in the "
        "background with nohup. By default it lives on, as with sshd.",
    ),
    click.option(
        "--drain",
        type=click.IntRange(0, 7 * 86400),
        default=0,
        metavar="SECONDS",
        help="How long connections may go on when the server is told to stop. It takes no new ones "
        "meanwhile, and its health page says so. By default sessions have five seconds.",
    ),
    click.option(
        "--no-watch",
        "watch",
        flag_value="no",
        help="Let nobody watch sessions. By default root and the server's account may, with "
        "`nacre watch` and `nacre join`, and the session's user is told.",
    ),
    click.option(
        "--quiet-watch",
        "watch",
        flag_value="quiet",
        help="Let who watches leave out telling the session's user. See --quiet of `nacre watch`.",
    ),
)


def session_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options, and their values as one argument, ``sessions``."""

    @wraps(function)
    def call(
        *args: Any, end_processes: bool, drain: int, watch: WatchMode | None, **options: Any
    ) -> None:
        sessions = SessionOptions(end_processes=end_processes, drain=drain, watch=watch or "told")
        function(*args, sessions=sessions, **options)

    decorated: Callable[..., None] = call
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated
