"""The command lines of ``sftp``: words, quotes, flags, and the table of commands."""

from __future__ import annotations

from collections.abc import Sequence

from nacre.value import value

_GLOB = frozenset("*?[\\")


class BadLine(ValueError):
    """A line that is not a command; the text is the message to print."""


def split(line: str) -> list[str]:
    """Split a line into words, which are patterns.

    In quotes and after ``\\`` a wildcard is an ordinary character: it gets a ``\\`` in front.

    :raises BadLine: a quote is not closed.
    """
    words, word, quote = _scan(line)
    if quote:
        raise BadLine("Unterminated quoted argument")
    return words if word is None else [*words, word]


def unfinished(line: str) -> tuple[list[str], str, str]:
    """Split a line that is not complete yet.

    :returns: the words before the last one; the last one, empty after a blank; and the quote that
        it is in, or "".
    """
    words, word, quote = _scan(line)
    return words, word or "", quote


def _scan(line: str) -> tuple[list[str], str | None, str]:
    words: list[str] = []
    word: list[str] | None = None
    quote = ""
    at = 0
    while at < len(line):
        character = line[at]
        at += 1
        if character == "\\" and at < len(line):
            following = line[at]
            at += 1
            if quote and following not in (quote, "\\"):
                word = [*(word or []), "\\\\"]
            word = [*(word or []), _protected(following)]
        elif quote:
            if character == quote:
                quote = ""
            else:
                word = [*(word or []), _protected(character)]
        elif character in "'\"":
            quote = character
            word = word or []
        elif character in " \t\r\n":
            if word is not None:
                words.append("".join(word))
            word = None
        elif character == "#" and word is None:
            break
        else:
            word = [*(word or []), character]
    return words, None if word is None else "".join(word), quote


def _protected(character: str) -> str:
    return "\\" + character if character in _GLOB else character


_ESCAPES = {
    "": {character: "\\" + character for character in " \t'\"\\*?[#"},
    '"': {'"': '\\"', "\\": "\\\\"},
    "'": {"'": "'\\''", "\\": "\\\\"},
}
"""How special characters are typed: outside of quotes, and in each kind of them."""


def quoted(name: str, quote: str = "") -> str:
    """Return a name, or the rest of one, in the form to type.

    :param quote: the quote that it is typed in, or "".
    """
    escapes = _ESCAPES[quote]
    return "".join([escapes.get(character, character) for character in name])


@value
class Command:
    """The form of a command.

    :ivar usage: its synopsis in ``help``.
    :ivar help: its text in ``help``.
    :ivar flags: the option letters it takes.
    :ivar least: the fewest words it needs, without flags.
    :ivar most: the most words it takes, without flags.
    :ivar paths: for completion, a letter for each word: ``r`` for a remote path, ``l`` for a local
        one, ``-`` for no path. The last letter is that of all further words.
    """

    usage: str
    help: str
    flags: str = ""
    least: int = 0
    most: int = 1
    paths: str = "r"


COMMANDS: dict[str, Command] = {
    "bye": Command("bye", "Quit sftp", most=0),
    "cd": Command("cd path", "Change remote directory to 'path'"),
    "chgrp": Command(
        "chgrp [-h] grp path", "Change group of file 'path' to 'grp'", "h", 2, 99, "-r"
    ),
    "chmod": Command(
        "chmod [-h] mode path", "Change permissions of file 'path' to 'mode'", "h", 2, 99, "-r"
    ),
    "chown": Command(
        "chown [-h] own path", "Change owner of file 'path' to 'own'", "h", 2, 99, "-r"
    ),
    "copy": Command("copy oldpath newpath", "Copy remote file", "", 2, 2),
    "cp": Command("cp oldpath newpath", "Copy remote file", "", 2, 2),
    "df": Command(
        "df [-hi] [path]",
        "Display statistics for current directory or\nfilesystem containing 'path'",
        "hi",
    ),
    "exit": Command("exit", "Quit sftp", most=0),
    "get": Command("get [-afpR] remote [local]", "Download file", "afpPrR", 1, 2, "rl"),
    "help": Command("help", "Display this help text"),
    "lcd": Command("lcd path", "Change local directory to 'path'", paths="l"),
    "lls": Command("lls [ls-options [path]]", "Display local directory listing", paths="l"),
    "lmkdir": Command("lmkdir path", "Create local directory", "", 1, 1, "l"),
    "ln": Command("ln [-s] oldpath newpath", "Link remote file (-s for symlink)", "s", 2, 2),
    "lpwd": Command("lpwd", "Print local working directory", most=0),
    "ls": Command("ls [-1afhlnrSt] [path]", "Display remote directory listing", "1afhlnrSt"),
    "lumask": Command("lumask umask", "Set local umask to 'umask'", "", 1, 1, "-"),
    "mkdir": Command("mkdir path", "Create remote directory", "", 1, 1),
    "progress": Command("progress", "Toggle display of progress meter", most=0),
    "put": Command("put [-afpR] local [remote]", "Upload file", "afpPrR", 1, 2, "lr"),
    "pwd": Command("pwd", "Print remote working directory", most=0),
    "quit": Command("quit", "Quit sftp", most=0),
    "reget": Command("reget [-fpR] remote [local]", "Resume download file", "fpPrR", 1, 2, "rl"),
    "rename": Command(
        "rename [-l] oldpath newpath", "Rename remote file (-l: never replace one)", "l", 2, 2
    ),
    "reput": Command("reput [-fpR] local [remote]", "Resume upload file", "fpPrR", 1, 2, "lr"),
    "rm": Command("rm path", "Delete remote file", "", 1, 99),
    "rmdir": Command("rmdir path", "Remove remote directory", "", 1, 1),
    "symlink": Command("symlink oldpath newpath", "Symlink remote file", "", 2, 2),
    "version": Command("version", "Show SFTP version", most=0),
}
ALIASES = {
    "?": "help", "chdir": "cd", "dir": "ls", "mget": "get", "mput": "put", "delete": "rm",
    "exit": "bye", "quit": "bye", "copy": "cp",
}  # fmt: skip


def take_flags(name: str, words: Sequence[str]) -> tuple[frozenset[str], list[str]]:
    """Split a command's words into flags and the rest, and check the number of the rest.

    :raises BadLine: a flag is unknown, or there are too few or too many words.
    """
    command = COMMANDS[name]
    flags: set[str] = set()
    rest = list(words)
    while rest and len(rest[0]) > 1 and rest[0][0] == "-":
        word = rest.pop(0)
        if word == "--":
            break
        for letter in word[1:]:
            if letter not in command.flags:
                raise BadLine(f"{name}: Invalid flag -{letter}")
            flags.add(letter)
    if len(rest) < command.least:
        if command.least == 1:
            raise BadLine(f"You must specify a path after a {name} command.")
        if command.most == 2:
            raise BadLine(f"You must specify two paths after a {name} command.")
        raise BadLine(f"You must supply an argument and a path to the {name} command.")
    if len(rest) > command.most:
        raise BadLine(f"{name}: too many arguments")
    return frozenset(flags), rest


def octal(word: str, most: int, command: str) -> int:
    """Return a command's octal number.

    :raises BadLine: it is none, or above ``most``.
    """
    try:
        number = int(word, 8)
    except ValueError:
        number = -1
    if not 0 <= number <= most:
        raise BadLine(f"You must supply a numeric argument to the {command} command.")
    return number


def decimal(word: str, command: str) -> int:
    """Return a command's decimal number.

    :raises BadLine: it is none.
    """
    if not word.isascii() or not word.isdigit():
        raise BadLine(f"You must supply a numeric argument to the {command} command.")
    return int(word)


def help_text() -> str:
    """Return the text of ``help``."""
    lines = ["Available commands:"]
    for command in COMMANDS.values():
        first, *more = command.help.split("\n")
        lines.append(f"{command.usage:<35}{first}")
        lines += [" " * 35 + text for text in more]
    lines.append(f"{'!command':<35}Execute 'command' in local shell")
    lines.append(f"{'!':<35}Escape to local shell")
    lines.append(f"{'?':<35}Synonym for help")
    return "\n".join(lines)
