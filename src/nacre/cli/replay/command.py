"""``nacre replay``: play, search and list recordings, and make the keys of sealed ones."""

from __future__ import annotations

from pathlib import Path

import click

from nacre.cli.help.grouped import GroupedGroup
from nacre.cli.manage.options import CONTEXT, json_option, reported, since_option

_PLAY = "play"


class ReplayGroup(GroupedGroup):
    """A group whose usual command is left out: ``nacre replay FILE``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, *ctx.help_option_names):
            args = [_PLAY, *args]
        return super().parse_args(ctx, args)


@click.group("replay", cls=ReplayGroup, context_settings=CONTEXT)
def command() -> None:
    """Play, search and list recordings of `nacre serve --record`.

    `nacre replay FILE` stands for `nacre replay play FILE`.
    """


@command.command(_PLAY)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--key",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The private key of a sealed recording.",
)
@click.option(
    "--speed",
    type=click.FloatRange(0.01, 1000.0),
    default=1.0,
    show_default=True,
    metavar="X",
    help="Play so many times as fast.",
)
@click.option(
    "--idle-limit",
    type=click.FloatRange(0.0),
    metavar="S",
    help="Wait for at most so many seconds between two events.",
)
@click.option(
    "--search", metavar="TEXT", help="Print the times at which this text was printed, and end."
)
@click.option("--text", is_flag=True, help="Print the output as it was, at once.")
@click.option("--cast", is_flag=True, help="Print the recording in the format asciicast v3.")
@reported
def _play(
    file: Path,
    key: Path | None,
    speed: float,
    idle_limit: float | None,
    search: str | None,
    text: bool,
    cast: bool,
) -> int:
    """Play a recording in the terminal.

    Space pauses and goes on, the arrows to the right and to the left go five seconds forwards and
    back, those up and down double and halve the speed, q and Ctrl-C end. What is damaged or was cut
    off is played up to there; a message says so, and the exit status is 1.
    """
    from nacre.cli.replay import player
    from nacre.cli.replay.opened import OpenedRecording

    if text + cast + (search is not None) > 1:
        raise click.UsageError("--search, --text and --cast exclude each other")
    opened = OpenedRecording(file, key)
    if cast:
        return player.print_cast(opened)
    if text:
        return player.print_text(opened)
    if search is not None:
        return player.print_found(opened, search)
    return player.play(opened, speed, idle_limit)


@command.command("list")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--user", metavar="NAME", help="Only those of this user.")
@since_option("Only those that began since then.")
@json_option
@reported
def _list(directory: Path, user: str | None, since: int | None, as_json: bool) -> int:
    """List the recordings of a directory: whose, from where, when, how long, how large.

    No key is needed. Files that can't be read are named, and the exit status is 1.
    """
    from nacre.cli.replay.listing import list_recordings

    return list_recordings(directory, user, since, as_json=as_json)


@command.command("keygen")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--no-passphrase", is_flag=True, help="Write the private key as it is, without a question."
)
@reported
def _keygen(file: Path, no_passphrase: bool) -> int:
    """Make a key pair to seal recordings: the private key in FILE, the public one in FILE.pub.

    The server gets FILE.pub, with `nacre serve --record-key`. Keep FILE elsewhere: who has it, and
    the passphrase, reads the recordings, and without it nobody does.
    """
    from nacre.cli.replay.keyfiles import make_pair

    return make_pair(file, protect=not no_passphrase)
