"""``nacre hook``: add hooks, list, test and remove them, and tell how far they are."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from nacre.cli.help.grouped import GroupedGroup
from nacre.cli.manage.options import CONTEXT, json_lines_option, print_each, reported, state_option
from nacre.cli.manage.times import span

if TYPE_CHECKING:
    from nacre.daemon.hooks.table import HookTable
    from nacre.daemon.hooks.values import DeadLetter, Hook, StoredHook

_LOOK_AGAIN = 0.1
"""Seconds between two looks whether a test has come to its end."""

_MOST_SHOWN = 20
"""Events that were given up, which are shown of a hook."""


@dataclass(frozen=True, slots=True)
class _Target:
    """What the options of ``add`` say of who is told."""

    command: str | None
    url: str | None
    python: str | None
    secret_file: Path | None
    ca_file: Path | None

    def fields(self) -> dict[str, Any]:
        """Return the fields of a hook.

        :raises UsageError: the options do not fit together.
        """
        given = {name: getattr(self, name) for name in _CHECKS}
        given = {name: text for name, text in given.items() if text is not None}
        if len(given) != 1:
            raise click.UsageError("give one of --command, --url and --python")
        ((kind, text),) = given.items()
        _CHECKS[kind](text)
        if kind != "url":
            if self.secret_file or self.ca_file:
                raise click.UsageError("--secret-file and --ca-file are for --url")
            return {"kind": kind, "target": text}
        if self.secret_file is None:
            raise click.UsageError(
                "--url needs --secret-file FILE, with the key that signs the requests; a file that "
                "is missing is made"
            )
        files = {"secret_file": str(self.secret_file.absolute())}
        files["ca_file"] = str(self.ca_file.absolute()) if self.ca_file else ""
        return {"kind": kind, "target": text, **files}


def _check_command(text: str) -> None:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise click.UsageError(f"--command {text}: {error}") from None
    if not words or not words[0].startswith("/"):
        raise click.UsageError(
            "--command needs the absolute path of a program; for a shell write "
            "--command \"/bin/sh -c '…'\""
        )


def _check_url(text: str) -> None:
    from nacre.daemon.hooks.request import check_url

    check_url(text)


def _check_python(text: str) -> None:
    from nacre.daemon.hooks.entry_point import check_target

    check_target(text)


_CHECKS = {"command": _check_command, "url": _check_url, "python": _check_python}
"""The kinds of hooks, which are options of ``add``, and what their targets must be."""


def _events(
    _context: click.Context, _parameter: click.Parameter, texts: tuple[str, ...]
) -> tuple[str, ...]:
    from nacre.daemon.hooks.occasions import OCCASIONS

    names = [name.strip() for text in texts for name in text.split(",")]
    if wrong := [name for name in names if name not in OCCASIONS]:
        raise click.BadParameter(f"{wrong[0]!r} is none of {', '.join(OCCASIONS)}")
    return tuple(dict.fromkeys(names))


def _span(_context: click.Context, _parameter: click.Parameter, text: str | None) -> int:
    if text is None:
        return 0
    if not (found := span(text)):
        raise click.BadParameter(f"{text!r} is no span: write for example 30m, 12h or 3d")
    return found


def _name(_context: click.Context, _parameter: click.Parameter, text: str) -> str:
    from nacre.daemon.hooks.values import NAME

    if not NAME.fullmatch(text):
        raise click.BadParameter(
            f"{text!r} is no name: take up to 40 of a to z, 0 to 9, dot, hyphen and underscore"
        )
    return text


@contextmanager
def _opened(state: Path | None, *, create: bool = False) -> Iterator[tuple[Path, HookTable]]:
    """Open the hooks of a state directory; yield the file, too."""
    from nacre.daemon.audit.table import FILE
    from nacre.daemon.hooks.table import HookTable
    from nacre.daemon.state import open_state

    path = open_state(state, create=create) / FILE
    table = HookTable(path, create=create)
    try:
        yield path, table
    finally:
        table.close()


@click.group("hook", cls=GroupedGroup, context_settings=CONTEXT)
def command() -> None:
    """Add hooks, list, test and remove them.

    `nacre serve --hooks` tells a hook of each event, in their order, until the hook has taken it.
    A change takes effect within some seconds, without a restart of the server.
    """


@command.command("add")
@click.argument("name", callback=_name)
@state_option
@click.option(
    "--command",
    metavar="COMMAND",
    help="Run this program. Without a shell; the event is its standard input, as JSON.",
)
@click.option("--url", metavar="URL", help="Send the event there. A signed POST of JSON.")
@click.option(
    "--python",
    metavar="TARGET",
    help="Call a function of Python. An entry point of the group nacre.hooks, or module:function.",
)
@click.option(
    "--secret-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The key that signs requests. Made with mode 0600 if it is missing.",
)
@click.option(
    "--ca-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The authorities whose servers are trusted. By default those of the system.",
)
@click.option(
    "--on",
    "events",
    multiple=True,
    metavar="EVENTS",
    callback=_events,
    help="What to tell of. For example connect,login or upload,delete; by default everything.",
)
@click.option("--any-outcome", is_flag=True, help="Tell of what has failed or was refused, too.")
@click.option(
    "--timeout",
    type=click.IntRange(1, 3600),
    default=30,
    show_default=True,
    metavar="SECONDS",
    help="How long an attempt may take.",
)
@click.option(
    "--give-up",
    metavar="SPAN",
    callback=_span,
    help="Give an event up that is so old. For example 3d; by default it is tried for ever, and "
    "later ones wait.",
)
@reported
def _add(
    name: str,
    state: Path | None,
    command: str | None,
    url: str | None,
    python: str | None,
    secret_file: Path | None,
    ca_file: Path | None,
    events: tuple[str, ...],
    any_outcome: bool,
    timeout: int,
    give_up: int,
) -> None:
    """Add a hook, which is told of what happens from now on."""
    from nacre.daemon.hooks.secret_files import make_secret, read_authorities, read_secret
    from nacre.daemon.hooks.values import Hook

    target = _Target(command, url, python, secret_file, ca_file).fields()
    hook = Hook(
        name=name,
        events=events,
        any_outcome=any_outcome,
        timeout=timeout,
        give_up=give_up,
        **target,
    )
    if hook.secret_file:
        make_secret(Path(hook.secret_file))
        read_secret(hook.secret_file)
    if hook.ca_file:
        read_authorities(hook.ca_file)
    with _opened(state, create=True) as (_, table):
        table.add(hook)


@command.command("remove")
@click.argument("name")
@state_option
@reported
def _remove(name: str, state: Path | None) -> None:
    """Remove a hook, also what it has not been told."""
    with _opened(state) as (_, table):
        table.remove(name)


@command.command("rewind")
@click.argument("name")
@click.argument("event", type=click.IntRange(1))
@state_option
@reported
def _rewind(name: str, event: int, state: Path | None) -> None:
    """Tell a hook of an event and of all behind it, again if it was told before.

    That takes up what was given up, too. EVENT is a number, as `nacre hook status` prints it.
    """
    with _opened(state) as (_, table):
        table.rewind(name, event)


@command.command("list")
@state_option
@json_lines_option
@reported
def _list(state: Path | None, as_json: bool) -> None:
    """List the hooks, and what they are told of."""
    with _opened(state) as (_, table):
        hooks = [one.hook for one in table.all()]
    print_each(hooks, _as_object, _line, as_json=as_json)


def _line(hook: Hook) -> str:
    outcomes = " of any outcome" if hook.any_outcome else ""
    events = ",".join(hook.events) or "everything"
    return f"{hook.name}  {hook.kind} {hook.target}  {events}{outcomes}"


def _as_object(hook: Hook) -> dict[str, object]:
    names = ("name", "kind", "target", "events", "any_outcome", "secret_file", "ca_file")
    return {name: getattr(hook, name) for name in (*names, "timeout", "give_up")}


@command.command("status")
@click.argument("name", required=False)
@state_option
@json_lines_option
@reported
def _status(name: str | None, state: Path | None, as_json: bool) -> None:
    """Tell how far hooks are, why one fails, and which events were given up."""
    with _opened(state) as (_, table):
        head = table.head()
        found = table.all() if name is None else [table.one(name)]
        rows = [
            (_progress(one, head), table.dead_letters(one.number, _MOST_SHOWN)) for one in found
        ]
    print_each(rows, _status_object, _status_lines, as_json=as_json)


_Status: TypeAlias = tuple[dict[str, object], Sequence["DeadLetter"]]
"""How far a hook is, and the last events that were given up."""


def _status_object(status: _Status) -> object:
    row, letters = status
    return {**row, "given_up": [{"event": one.event, "reason": one.reason} for one in letters]}


def _status_lines(status: _Status) -> str:
    row, letters = status
    first = "  ".join(f"{key}={value}" for key, value in row.items() if value != "")
    rest = (f"    gave up event {dead.event}: {dead.reason}" for dead in letters)
    return "\n".join((first, *rest))


def _progress(one: StoredHook, head: int) -> dict[str, object]:
    from nacre.daemon.audit.search import shown_time

    told = one.progress
    return {
        "hook": one.hook.name,
        "state": "failing" if told.problem else "ok",
        "behind": head - told.position,
        "delivered": told.delivered,
        "dead": told.dead,
        "last": shown_time(told.last) if told.last else "",
        "attempts": told.attempts or "",
        "since": shown_time(told.since) if told.since else "",
        "problem": told.problem,
    }


@command.command("test")
@click.argument("name")
@state_option
@click.option(
    "--wait",
    type=click.IntRange(1, 3600),
    default=30,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for the end.",
)
@reported
def _test(name: str, state: Path | None, wait: int) -> None:
    """Have the server tell a hook of a test, and tell what has come of it.

    What the hook has not had before comes first. The test is an event of the audit, too.
    """
    with _opened(state) as (path, table):
        table.one(name)
    number = _add_test(path, name)
    with _opened(state) as (_, table):
        deadline = time.monotonic() + wait
        while (one := table.one(name)).progress.position < number:
            if time.monotonic() >= deadline:
                why = one.progress.problem or "is there a `nacre serve --hooks`?"
                raise click.ClickException(
                    f"{name} was not told within {wait} seconds, and will be later: {why}"
                )
            time.sleep(_LOOK_AGAIN)
        for dead in table.dead_letters(one.number, _MOST_SHOWN):
            if dead.event == number:
                raise click.ClickException(f"{name} has not taken it: {dead.reason}")
    click.echo(f"{name} was told of event {number}")


def _add_test(path: Path, name: str) -> int:
    """Add the event of a test to the audit; return its number."""
    from nacre.daemon.audit.events import AuditEvent, written
    from nacre.daemon.audit.table import AuditTable, now

    fields = written({"op": "hook", "hook": name})
    with closing(AuditTable(path, create=False)) as audit:
        return audit.add([(now(), AuditEvent("", "", "", "audit", "success", fields))]).id
