"""The page of each program: from its own table, or from its click command."""

from __future__ import annotations

import sys
from collections.abc import Callable

from nacre.cli.common import arguments
from nacre.cli.help import options
from nacre.cli.help.options import COMMANDS
from nacre.cli.help.page import Page, Row, Table, groups_of, render, usage
from nacre.cli.help.sections import SECTIONS
from nacre.config.schema import Support

_DESTINATION = "[user@]host|ssh://[user@]host[:port]"
ALONE = ("ssh-keysign",)
"""Programs that are no commands of ``nacre``."""

_KEYWORDS = "`nacre help KEYWORD` explains a keyword of -o; `nacre help keywords` lists them."


def page(name: str) -> Page:
    """Return the page of a program.

    :param name: such as ``ssh``, or ``user add``.
    :raises KeyError: there is no such program.
    """
    if name in _OWN:
        return _OWN[name]()
    from nacre.cli.help.grouped import page_of_click

    return page_of_click(name)


def called(name: str) -> str:
    """Return how a program is called, by the name of its page."""
    return f"nacre-{name}" if name in ALONE else f"nacre {name}".rstrip()


def _ssh_groups(table: Table) -> dict[str, tuple[Row, ...]]:
    return groups_of(table, options.stands_in_ssh, arguments.ABSENT, _has_no_effect)


def _transfer_groups(table: Table) -> dict[str, tuple[Row, ...]]:
    return groups_of(table, options.stands_in_transfers, {}, _has_no_effect)


def _has_no_effect(stands: tuple[str, ...]) -> bool:
    """Tell whether the keyword that an option stands for asks for what nacre does not do."""
    from nacre.config.client.words import SCHEMA

    keyword, _, given = stands[0].partition("=")
    return SCHEMA[keyword].support is not Support.HONOURED and given != "no"


def _ssh() -> Page:
    return Page(
        "ssh",
        "Log in to a host, or run a command there.",
        (_DESTINATION, "[command [argument ...]]"),
        _ssh_groups(options.SSH),
        (
            "Options may be joined, as in -vvT, and may follow the host. The first other word "
            "after the host begins the command.",
            _KEYWORDS,
        ),
        SECTIONS["ssh"],
    )


def _trace() -> Page:
    return Page(
        "trace",
        "Connect to a host and print each message of the five phases.",
        (_DESTINATION, "[command [argument ...]]"),
        _ssh_groups(options.TRACE),
        (
            "Without a command, the shell is started; it gets no input. Secrets are not printed. "
            "Nothing is forwarded: -L, -R, -D, -W and -A are refused.",
            _KEYWORDS,
        ),
        SECTIONS["trace"],
    )


def _sftp() -> Page:
    return Page(
        "sftp",
        "Transfer files over an encrypted connection.",
        ("[user@]host[:path]|sftp://[user@]host[:port][/path]", "[local]"),
        _transfer_groups(options.SFTP),
        (
            "Without a path, commands are read from standard input or the terminal; `help` lists "
            "them. With the path of a file, the file is downloaded.",
            _KEYWORDS,
        ),
        SECTIONS["sftp"],
    )


def _scp() -> Page:
    return Page(
        "scp",
        "Copy files over an encrypted connection.",
        ("source ...", "target"),
        _transfer_groups(options.SCP),
        (
            "A source or target is a local path, [user@]host:path, or "
            "scp://[user@]host[:port][/path].",
            _KEYWORDS,
        ),
        SECTIONS["scp"],
    )


def _add() -> Page:
    return Page(
        "add",
        "Give the keys of files to an agent, as ssh-add does.",
        ("[file ...]",),
        groups_of(options.ADD, lambda letter: (), "", bool),
        (
            "Without a file, these of `~/.ssh` are added: id_rsa, id_ecdsa, id_ecdsa_sk, "
            "id_ed25519, id_ed25519_sk and id_dsa. A file named - is standard input. The "
            "certificate in FILE-cert.pub is added with the key of FILE.",
        ),
        SECTIONS["add"],
    )


def _keygen() -> Page:
    return Page(
        "keygen",
        "Make a key, or show or change one, as ssh-keygen does.",
        ("[file ...]",),
        groups_of(options.KEYGEN, lambda letter: (), "", bool),
        (
            "`nacre-ssh-keygen` is the same program. "
            "What -N, -P and -f do not give is asked for. Passphrases are read from the terminal, "
            "from the program that SSH_ASKPASS names, or else from standard input.",
        ),
        SECTIONS["keygen"],
    )


def _sftp_server() -> Page:
    return Page(
        "sftp-server",
        "Serve SFTP on standard input and output: a subsystem of an SSH server.",
        (),
        groups_of(options.SFTP_SERVER, lambda letter: (), "", bool),
        ("All files of this system are served, with the rights of the account.",),
        SECTIONS["sftp-server"],
    )


def _sshd() -> Page:
    return Page(
        "sshd",
        "Serve the accounts of this system, with the options and the file of sshd.",
        (),
        groups_of(options.SSHD, lambda letter: (), "", bool),
        (
            "It goes to the background unless -D, -d or -i says otherwise. It needs root's rights.",
            _KEYWORDS,
        ),
        SECTIONS["sshd"],
    )


def _agent() -> Page:
    return Page(
        "agent",
        "Hold private keys, and sign with them for programs of this account.",
        ("[command [argument ...]]",),
        groups_of(options.AGENT, lambda letter: (), "", bool),
        (
            "It goes to the background and prints commands that tell a shell where it is. With a "
            "command, it runs until that ends.",
        ),
        SECTIONS["agent"],
    )


def _copy_id() -> Page:
    return Page(
        "copy-id",
        "Let one's keys log in to an account of another host.",
        (_DESTINATION,),
        groups_of(options.COPY_ID, lambda letter: (), "", bool),
        (
            "The keys are those of the agent, or the newest file ~/.ssh/id*.pub, unless -i names "
            "another one. A key that logs in already, or is in the file, is not added again.",
            _KEYWORDS,
        ),
        SECTIONS["copy-id"],
    )


def _keyscan() -> Page:
    return Page(
        "keyscan",
        "Print the host keys of servers, as lines of known_hosts.",
        ("[host|addrlist namelist ...]",),
        groups_of(options.KEYSCAN, lambda letter: (), "", bool),
        (
            "A host is a name, an address, a range such as 192.0.2.0/24, or several names of one "
            "host with commas between them. Keys that nobody has compared are not to be trusted.",
        ),
        SECTIONS["keyscan"],
    )


def _keysign() -> Page:
    return Page(
        "ssh-keysign",
        "Sign a user's login with a key of this host, as ssh-keysign does.",
        (),
        groups_of(options.KEYSIGN, lambda letter: (), "", bool),
        (
            "A client starts it for HostbasedAuthentication, and writes a request to its standard "
            "input; the signature is the answer. It signs for the user who runs it, under the name "
            "that this host has on the connection, and for nobody else.",
            "It needs the rights to read the host's keys. A script can't have them from the mode "
            "of its file: have a program start it that has them.",
        ),
        SECTIONS["ssh-keysign"],
    )


def _help() -> Page:
    return Page(
        "help",
        "Explain a program, or a keyword of the configuration.",
        ("[program [subcommand ...]|KEYWORD|keywords]",),
        {"Options": (Row(("-h", "--help"), "", "print this text, and end"),)},
        (
            "Without a word, the programs are listed. The keywords are those of ssh_config and "
            "sshd_config, in any case; `keywords` lists them.",
        ),
    )


def _main() -> Page:
    return Page(
        "",
        "SSH in Python: a server and command-line tools.",
        ("command ...",),
        {
            "Commands": tuple(Row((name,), "", about) for name, about in COMMANDS.items()),
            "Options": (
                Row(("-V", "--version"), "", "print the version, and end"),
                Row(("-h", "--help"), "", "print this text, and end"),
            ),
        },
        ("`nacre help NAME` explains one of the commands.",),
    )


_OWN: dict[str, Callable[[], Page]] = {
    "": _main,
    "add": _add,
    "agent": _agent,
    "copy-id": _copy_id,
    "help": _help,
    "keyscan": _keyscan,
    "keygen": _keygen,
    "scp": _scp,
    "sftp": _sftp,
    "sftp-server": _sftp_server,
    "ssh": _ssh,
    "ssh-keysign": _keysign,
    "sshd": _sshd,
    "trace": _trace,
}
"""The programs that parse their words themselves, and ``nacre`` without a command."""


def print_help(program: str, name: str) -> int:
    """Print the page of a program; return the exit status.

    :param program: the name that it was called by.
    :param name: the name of its page, such as ``ssh``.
    """
    print(render(page(name), program))
    return 0


def refuse(program: str, name: str, status: int, reason: str = "") -> int:
    """Print how a program is used, after a reason if there is one; return ``status``."""
    lines = [f"{program}: {reason}"] if reason else []
    print("\n".join([*lines, usage(page(name), program)]), file=sys.stderr)
    return status
