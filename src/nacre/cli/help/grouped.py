"""The help of programs that click parses: options in groups, a line each, as the others have it."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator

import click

from nacre.cli.help.options import COMMANDS
from nacre.cli.help.page import Page, Row, render
from nacre.cli.help.sections import SECTIONS
from nacre.value import replace

_OTHER = "Options"
"""The group of options that no other group has."""

_SETTINGS = {
    "Rights": ("--service", "--read-only", "--rights"),
    "Files": ("--home", "--root", "--folder", "--file-key", "--unsafe-root"),
    "Uploads": ("--uploads", "--partial-uploads"),
    "Quotas and rates": (
        *("--quota-bytes", "--quota-files"),
        *("--transfer-up", "--transfer-down", "--transfer-period", "--rate-up", "--rate-down"),
    ),
    "Logins": ("--auth", "--expires", "--allow-from", "--hours", "--max-sessions"),
    "Second factor": ("--second-factor", "--enrol-within"),
    "Passwords": ("--password-length", "--password-history", "--password-expires"),
    "Account": ("--run-as",),
    "Certificates": (
        "--certificate-valid",
        "--certificate-principals",
        "--certificate-option",
    ),
    "Recordings": ("--record",),
    "Console": ("--role",),
}
"""The groups of the options for what users and groups may do."""

_GROUPS: dict[str, dict[str, tuple[str, ...]]] = {
    "console": {
        "Where": ("--listen", "--cert", "--cert-key", "--proxy-from"),
        "API": ("--api", "--api-ca", "--key-file"),
    },
    "serve": {
        "Where": ("--listen", "--state", "--store"),
        "Processes": ("--workers", "--gates", "--gate-user"),
        "Edge": ("--proxy-from", "--metrics", "--bans"),
        "API": ("--api", "--api-group", "--api-cert", "--api-key"),
        "Users": (
            *("--users", "--users-group", "--users-account", "--users-secret"),
            *("--users-program-account", "--run-as", "--ssh1-strict", "--trust-own-ca"),
        ),
        "Protocol": ("--profile", "--protocol"),
        "Configuration": ("--config", "-f", "-o", "-t", "-T", "-C", "-v"),
        "Sessions": ("--end-processes", "--no-watch", "--quiet-watch"),
        "Recordings": ("--record", "--record-key", "--record-user", "--keep"),
        "Log": (
            "--log-to",
            "--log-format",
            "--audit",
            "--audit-hashes",
            "--audit-sync",
            "--audit-connections",
        ),
        "Hooks": ("--hooks", "--hook-user"),
    },
    "audit": {
        "What": ("--user", "--event", "--path", "--outcome", "--peer", "--since", "--until"),
        "Output": ("--limit", "--json", "-f", "--format"),
    },
    "fleet": {
        "Hosts": (
            *("-H", "-x", "--hosts-file", "--from-config", "--inventory", "--groups"),
            *("--canaries", "--batch"),
        ),
        "Login": ("-l", "-p", "-i", "-J", "-F", "-o"),
        "Pace": ("-P", "--workers", "--rate", "--max-failures", "--retries", "--backoff"),
        "Time": ("--login-timeout", "--timeout", "--deadline"),
        "Output": ("--json", "--each", "--output", "-q", "--fold"),
        "Runs": ("--state", "--no-state", "--remove-before"),
    },
    "user": {
        **_SETTINGS,
        "Groups": ("--group", "--no-groups", "--inherit"),
        "Secrets": ("--key", "--from", "--password-stdin", "--delete", "--must-change"),
    },
    "group": {
        **_SETTINGS,
        "Quotas and rates of all users together": (
            *("--shared-quota-bytes", "--shared-quota-files"),
            *("--shared-transfer-up", "--shared-transfer-down", "--shared-transfer-period"),
            *("--shared-rate-up", "--shared-rate-down"),
        ),
    },
    "hook": {
        "Who is told": ("--command", "--url", "--secret-file", "--ca-file", "--python"),
        "Of what": ("--on", "--any-outcome"),
        "Attempts": ("--timeout", "--give-up"),
    },
    "ca": {
        "What it says": ("--principal", "--valid", "--option", "--key"),
        "Which ones": ("--serial", "--key-id", "--user"),
    },
}
"""The groups of each program's options, for its subcommands too."""


_ROOT = click.Context(click.Group("nacre"), info_name="nacre", help_option_names=["-h", "--help"])


class Grouped(click.Command):
    """A command that prints its options in groups."""

    def get_help(self, ctx: click.Context) -> str:
        return render(_page(self, ctx.command_path.partition(" ")[2], ctx), ctx.command_path)


class GroupedGroup(click.Group):
    """A group of such commands."""

    command_class = Grouped
    group_class = type

    def get_help(self, ctx: click.Context) -> str:
        return render(_page(self, ctx.command_path.partition(" ")[2], ctx), ctx.command_path)


def page_of_click(name: str) -> Page:
    """Return the page of a program that click parses.

    :param name: such as ``serve``, or ``user add``.
    :raises KeyError: there is no such program.
    """
    top, *below = name.split()
    found = _command(top)
    ctx = click.Context(found, _ROOT, info_name=top, **found.context_settings)
    for word in below:
        next_one = found.get_command(ctx, word) if isinstance(found, click.Group) else None
        if next_one is None:
            raise KeyError(name)
        found = next_one
        ctx = click.Context(found, ctx, info_name=word, **found.context_settings)
    return _page(found, name, ctx)


def subcommands(name: str) -> list[str]:
    """Return the commands of a program that has others below it: ``user add``, ``user key add``."""
    top = _command(name)
    return list(_below(top, name)) if isinstance(top, click.Group) else []


def _command(name: str) -> click.Command:
    if name not in COMMANDS:
        raise KeyError(name)
    # By its name: these commands import this module.
    found = importlib.import_module(f"nacre.cli.{name.replace('-', '_')}.command").command
    assert isinstance(found, click.Command)
    return found


def _below(group: click.Group, name: str) -> Iterator[str]:
    for word, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _below(command, f"{name} {word}")
        else:
            yield f"{name} {word}"


def _page(command: click.Command, name: str, ctx: click.Context) -> Page:
    first, *more = (" ".join(part.split()) for part in (command.help or "").split("\n\n"))
    top = name.partition(" ")[0]
    rows = [_row(one) for one in command.get_params(ctx) if isinstance(one, click.Option)]
    groups = _grouped(top, rows)
    arguments = [_argument(one) for one in command.params if isinstance(one, click.Argument)]
    if isinstance(command, click.Group):
        arguments = ["command ..."]
        groups = {"Commands": commands_of(command, ctx), **groups}
    return Page(name, first, tuple(arguments), groups, tuple(more), SECTIONS.get(top, {}))


def commands_of(group: click.Group, ctx: click.Context) -> tuple[Row, ...]:
    """Return a row for each subcommand."""
    found = [(word, group.get_command(ctx, word)) for word in group.list_commands(ctx)]
    return tuple(Row((word,), "", one.get_short_help_str(60)) for word, one in found if one)


def _grouped(program: str, rows: list[Row]) -> dict[str, tuple[Row, ...]]:
    by_name = {name: row for row in rows for name in row.names}
    groups = {
        title: tuple(by_name[name] for name in names if name in by_name)
        for title, names in _GROUPS.get(program, {}).items()
    }
    taken = {row.names for members in groups.values() for row in members}
    groups[_OTHER] = tuple(row for row in rows if row.names not in taken)
    return {title: members for title, members in groups.items() if members}


def _row(option: click.Option) -> Row:
    names = (*sorted(option.opts, key=len), *option.secondary_opts)
    text, _, more = (option.help or "").partition(". ")
    text = text.rstrip(".")
    if option.show_default and option.default is not None:
        text += f" (default: {option.default})"
    row = Row(names, "", text[:1].lower() + text[1:], more)
    return row if option.is_flag else replace(row, metavar=_metavar(option))


def _metavar(parameter: click.Parameter) -> str:
    if parameter.metavar:
        return parameter.metavar
    if isinstance(parameter.type, click.Choice):
        return "|".join(map(str, parameter.type.choices))
    if isinstance(parameter.type, click.IntRange | click.types.IntParamType):
        return "NUMBER"
    return re.sub("_+", "-", parameter.name or "").strip("-").upper()


def _argument(argument: click.Argument) -> str:
    shown = _metavar(argument)
    return shown if argument.required or shown.startswith("[") else f"[{shown}]"
