"""The options of ``nacre serve`` for recordings."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from nacre.daemon.recorder.plan import RecordingPlan


def _keep(_context: click.Context, _parameter: click.Parameter, text: str | None) -> float | None:
    from nacre.config.values import seconds
    from nacre.errors import ConfigurationError

    if text is None:
        return None
    try:
        found = seconds("--keep", text)
    except ConfigurationError as error:
        raise click.BadParameter(str(error)) from None
    if not found:
        raise click.BadParameter(f"{text!r} is no time: write for example 90d, 12w or 36h")
    return float(found)


_OPTIONS = (
    click.option(
        "--record",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="Record sessions into this directory. It belongs to the account of --record-user, and "
        "is created if it is missing; `nacre replay` plays what is in it. A session that can't be "
        "recorded ends.",
    ),
    click.option(
        "--record-key",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="The public key that recordings are sealed for. `nacre replay keygen` makes it; who "
        "has the server can't read what was recorded then.",
    ),
    click.option(
        "--record-user",
        metavar="ACCOUNT",
        help="The account of the process that writes recordings. If root runs the server; by "
        "default nacre.",
    ),
    click.option(
        "--keep",
        metavar="TIME",
        callback=_keep,
        help="Remove recordings after this time. For example 90d, 12w or 36h; by default none is "
        "removed.",
    ),
)


def recording_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options, and their values as one argument, ``recording``."""

    @wraps(function)
    def call(
        *args: Any,
        record: Path | None,
        record_key: Path | None,
        record_user: str | None,
        keep: float | None,
        **options: Any,
    ) -> None:
        plan = _plan(record, record_key, record_user, keep)
        function(*args, recording=plan, **options)

    decorated: Callable[..., None] = call
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated


def _plan(
    record: Path | None, key: Path | None, user: str | None, keep: float | None
) -> RecordingPlan | None:
    if record is None:
        if key or user or keep:
            raise click.UsageError("--record-key, --record-user and --keep need --record DIR")
        return None
    from nacre.daemon.recorder.plan import RecordingPlan

    return RecordingPlan(directory=record.absolute(), key=key, user=user, keep=keep)
