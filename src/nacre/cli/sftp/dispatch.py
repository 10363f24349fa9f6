"""From a line of ``sftp`` to the command that it names.

A command is a row here, its function in the module of its subject, and a row in
:data:`nacre.cli.sftp.lines.COMMANDS` for its help, flags and number of paths.
"""

from __future__ import annotations

from nacre.cli.common.failures import reason
from nacre.cli.sftp import browsing, changes, local, transfers
from nacre.cli.sftp.lines import ALIASES, COMMANDS, BadLine, split, take_flags
from nacre.cli.sftp.shell import CommandFailed, Run, SFTPShell
from nacre.wire.text import safe

_COMMANDS: dict[str, Run] = {
    "bye": local.bye,
    "cd": browsing.cd,
    "chgrp": changes.chgrp,
    "chmod": changes.chmod,
    "chown": changes.chown,
    "cp": changes.cp,
    "df": browsing.df,
    "get": transfers.get,
    "help": local.help_,
    "lcd": local.lcd,
    "lmkdir": local.lmkdir,
    "ln": changes.ln,
    "lpwd": local.lpwd,
    "ls": browsing.ls,
    "lumask": local.lumask,
    "mkdir": changes.mkdir,
    "progress": local.progress,
    "put": transfers.put,
    "pwd": browsing.pwd,
    "reget": transfers.reget,
    "rename": changes.rename,
    "reput": transfers.reput,
    "rm": changes.rm,
    "rmdir": changes.rmdir,
    "symlink": changes.symlink,
    "version": browsing.version,
}
"""All commands but ``lls`` and ``!``, which need the line as it was typed."""


async def run_line(shell: SFTPShell, line: str) -> bool:
    """Run the command of a line; return whether all of it worked.

    :raises Quit: the command ends the program.
    :raises NacreError: the session has ended.
    """
    shell.failures = 0
    try:
        await _run(shell, line.strip())
    except (BadLine, CommandFailed) as error:
        shell.complain(str(error))
    except OSError as error:
        shell.check_alive(error)
        shell.complain(f"{safe(str(error.filename or ''))}: {reason(error)}")
    finally:
        shell.meter.clear()
    return not shell.failures


async def _run(shell: SFTPShell, line: str) -> None:
    if line.startswith("!"):
        local.run_local(line[1:].strip())
        return
    words = split(line)
    if not words:
        return
    typed = words[0].lower()
    if typed not in COMMANDS and typed not in ALIASES:
        raise BadLine("Invalid command.")
    name = ALIASES.get(typed, typed)
    if name == "lls":
        # The local shell splits and expands its words.
        local.run_local("ls" + line[len(typed) :])
        return
    flags, rest = take_flags(name, words[1:])
    await _COMMANDS[name](shell, flags, rest)
