"""The commands of ``sftp``, with the words and messages of OpenSSH's."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence

from nacre.cli.common.meter import Meter
from nacre.cli.sftp.lines import (
    ALIASES,
    COMMANDS,
    BadLine,
    help_text,
    split,
    take_flags,
)
from nacre.cli.sftp.listing import Listed, free_space, lines, ordered
from nacre.errors import NacreError, SFTPError
from nacre.sftp.client.client import SFTPClient
from nacre.sftp.client.copies import TransferOptions
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.attributes import Attributes
from nacre.sftp.protocol.extensions import LSetStat
from nacre.sftp.protocol.paths import has_wildcards, join, literal
from nacre.sftp.protocol.status import FX
from nacre.value import value
from nacre.wire.text import safe


def reason(error: OSError) -> str:
    """Return why, in the words of the C library, or in those of the server."""
    if isinstance(error, SFTPError) and error.code == FX.FAILURE and error.errno == 5:
        return safe(error.strerror or "Failure")
    return os.strerror(error.errno) if error.errno else safe(str(error))


class CommandFailed(Exception):
    """A command failed, and said why itself."""


class Quit(Exception):
    """The user is done."""


@value(frozen=False)
class ShellSettings:
    """How transfers are done.

    :ivar preserve: ``-p`` for all of them; likewise ``recursive``, ``resume`` and ``fsync``.
    :ivar quiet: say nothing but errors.
    """

    preserve: bool = False
    recursive: bool = False
    resume: bool = False
    fsync: bool = False
    quiet: bool = False


class SFTPShell:
    """Does commands, one after another.

    :ivar sftp: the client.
    :ivar settings: what the command line says.
    :ivar meter: shows progress.
    """

    def __init__(self, sftp: SFTPClient, home: str, settings: ShellSettings, meter: Meter) -> None:
        self.sftp = sftp
        self.settings = settings
        self.meter = meter
        self._home = home
        self._failures = 0

    @property
    def failed(self) -> bool:
        """Whether something was complained about since the last command began."""
        return self._failures > 0

    async def run(self, line: str) -> bool:
        """Do what a line says; return whether all of it worked.

        :raises Quit: it says so.
        :raises ConnectionLost: the session has ended; another error that ended it likewise.
        """
        self._failures = 0
        try:
            await self._run(line)
        except (BadLine, CommandFailed) as error:
            self.complain(str(error))
        except SFTPError as error:
            self.complain(f"{safe(str(error.filename or ''))}: {reason(error)}")
        except NacreError:
            raise
        except OSError as error:
            self.complain(f"{safe(str(error.filename or ''))}: {reason(error)}")
        finally:
            self.meter.clear()
        return not self._failures

    def complain(self, text: str) -> None:
        """Say what did not work."""
        self._failures += 1
        sys.stdout.flush()
        print(text, file=sys.stderr, flush=True)

    def say(self, text: str) -> None:
        """Say what is done, unless nobody wants to know."""
        if not self.settings.quiet:
            print(text, flush=True)

    async def _run(self, line: str) -> None:
        stripped = line.strip()
        if stripped.startswith("!"):
            self._shell(stripped[1:].strip())
            return
        words, _ = split(stripped)
        if not words:
            return
        typed = words[0].lower()
        if typed not in COMMANDS and typed not in ALIASES:
            raise BadLine("Invalid command.")
        name = ALIASES.get(typed, typed)
        if name == "lls":
            self._shell("ls" + stripped[len(typed) :])
            return
        flags, rest = take_flags(name, words[1:])
        method: Callable[[frozenset[str], list[str]], Awaitable[None]]
        method = getattr(self, f"_{name}")
        await method(flags, rest)

    # --- moving files ---

    async def get(
        self, patterns: Sequence[str], local: str | None, flags: frozenset[str] = frozenset()
    ) -> None:
        """Fetch what patterns match."""
        sources = [path for pattern in patterns for path in await self._found(pattern)]
        target = local if local is not None else "."
        if len(sources) > 1 and not _is_directory(target):
            raise CommandFailed(
                f'Multiple paths match, but destination "{safe(target)}" is not a directory'
            )
        options = self._options(flags, "Fetching {} to {}", "Retrieving {}")
        await self.sftp.get(sources, target, **options)

    async def put(
        self, patterns: Sequence[str], remote: str | None, flags: frozenset[str] = frozenset()
    ) -> None:
        """Send what patterns match."""
        from nacre.sftp.client.copies import glob_in

        sources: list[str] = []
        for pattern in patterns:
            found = [literal(pattern)]
            if has_wildcards(pattern):
                found = await glob_in(self.sftp.local, pattern)
            if not found or not _is_there(found[0]):
                raise CommandFailed(f"stat {safe(literal(pattern))}: No such file or directory")
            sources += found
        target = remote if remote is not None else "."
        if len(sources) > 1 and not await self.sftp.isdir(target):
            raise CommandFailed(
                f'Multiple paths match, but destination "{safe(target)}" is not a directory'
            )
        options = self._options(flags, "Uploading {} to {}", "Entering {}")
        await self.sftp.put(sources, target, **options)

    def _options(self, flags: frozenset[str], file: str, directory: str) -> TransferOptions:
        settings = self.settings
        recursive = settings.recursive or bool(flags & {"r", "R"})

        def begin(source: str, target: str, is_directory: bool) -> None:
            shown = safe(self.sftp.path(source) if file.startswith("F") else source)
            self.say((directory if is_directory else file).format(shown, safe(target)))

        return TransferOptions(
            recursive=recursive,
            preserve=settings.preserve or bool(flags & {"p", "P"}),
            resume=settings.resume or "a" in flags,
            fsync=settings.fsync or "f" in flags,
            links="skip",
            progress=self.meter.update if self.meter.enabled else None,
            on_error=self._tell,
            on_skip=lambda path: self.complain(f'"{safe(path)}": not a regular file'),
            on_file=None if settings.quiet else begin,
        )

    def _tell(self, error: OSError) -> None:
        self.meter.clear()
        path = safe(str(error.filename or ""))
        if isinstance(error, IsADirectoryError):
            self.complain(f'"{path}": not a regular file')
        else:
            where = "remote" if isinstance(error, SFTPError) else "local"
            self.complain(f'{where} open "{path}": {reason(error)}')

    async def _get(self, flags: frozenset[str], words: list[str]) -> None:
        await self.get(words[:1], literal(words[1]) if words[1:] else None, flags)

    async def _reget(self, flags: frozenset[str], words: list[str]) -> None:
        await self._get(flags | {"a"}, words)

    async def _put(self, flags: frozenset[str], words: list[str]) -> None:
        await self.put(words[:1], literal(words[1]) if words[1:] else None, flags)

    async def _reput(self, flags: frozenset[str], words: list[str]) -> None:
        await self._put(flags | {"a"}, words)

    async def _cp(self, flags: frozenset[str], words: list[str]) -> None:
        old, new = (literal(word) for word in words)
        try:
            await self.sftp.copy(old, new)
        except OSError as error:
            raise self._refused(f'copy "{safe(old)}" to "{safe(new)}"', error) from None

    # --- looking ---

    async def _ls(self, flags: frozenset[str], words: list[str]) -> None:
        pattern = words[0] if words else "."
        files = await self._listed(pattern, flags)
        shown = ordered(files, flags)
        users: dict[int, str] = {}
        groups: dict[int, str] = {}
        if "l" in flags and "n" not in flags:
            users, groups = await self._names(shown)
        for line in lines(shown, flags, users, groups):
            print(line)
        sys.stdout.flush()

    async def _listed(self, pattern: str, flags: frozenset[str]) -> list[Listed]:
        if has_wildcards(pattern):
            paths = await self.sftp.glob(pattern)
            if not paths:
                raise CommandFailed(f'Can\'t ls: "{safe(self.sftp.path(pattern))}" not found')
            if len(paths) > 1 or not await self.sftp.isdir(paths[0]):
                return [Listed(path, await self._attributes(path)) for path in paths]
            path = paths[0]
        else:
            path = literal(pattern)
        try:
            if not await self.sftp.isdir(path):
                return [Listed(path, await self._attributes(path))]
        except FileNotFoundError:
            raise CommandFailed(f'Can\'t ls: "{safe(self.sftp.path(path))}" not found') from None
        found = [
            Listed(entry.name, entry.attributes, entry.longname)
            async for entry in self.sftp.scandir(path)
            if "a" in flags or not entry.name.startswith(".")
        ]
        if "a" in flags:
            for name in (".", ".."):
                found.append(Listed(name, await self._attributes(join(path, name))))  # noqa: PERF401
        return found

    async def _attributes(self, path: str) -> Attributes:
        return await self.sftp.session.request(msg.LStat(self.sftp.path(path)))

    async def _names(self, files: Sequence[Listed]) -> tuple[dict[int, str], dict[int, str]]:
        uids = tuple({file.attributes.uid or 0 for file in files})[:1024]
        gids = tuple({file.attributes.gid or 0 for file in files})[:1024]
        try:
            users, groups = await self.sftp.names(uids, gids)
        except SFTPError:
            return {}, {}
        return dict(zip(uids, users, strict=False)), dict(zip(gids, groups, strict=False))

    async def _df(self, flags: frozenset[str], words: list[str]) -> None:
        path = literal(words[0]) if words else "."
        try:
            status = await self.sftp.statvfs(path)
        except OSError as error:
            raise self._refused(f'statvfs "{safe(path)}"', error) from None
        for line in free_space(status, flags):
            print(line)

    async def _pwd(self, flags: frozenset[str], words: list[str]) -> None:
        print(f"Remote working directory: {safe(await self.sftp.getcwd())}")

    async def _lpwd(self, flags: frozenset[str], words: list[str]) -> None:
        print(f"Local working directory: {safe(os.getcwd())}")

    async def _version(self, flags: frozenset[str], words: list[str]) -> None:
        print(f"SFTP protocol version {msg.VERSION_3}")

    async def _help(self, flags: frozenset[str], words: list[str]) -> None:
        print(help_text())

    # --- directories ---

    async def _cd(self, flags: frozenset[str], words: list[str]) -> None:
        path = await self._one(words[0]) if words else self._home
        try:
            await self.sftp.chdir(path)
        except NotADirectoryError:
            shown = safe(self.sftp.path(path))
            raise CommandFailed(f'Can\'t change directory: "{shown}" is not a directory') from None
        except OSError as error:
            raise CommandFailed(f"stat remote: {reason(error)}") from None

    async def _lcd(self, flags: frozenset[str], words: list[str]) -> None:
        path = literal(words[0]) if words else _home()
        try:
            os.chdir(path)
        except OSError as error:
            shown = f'"{safe(path)}": {reason(error)}'
            raise CommandFailed(f"Couldn't change local directory to {shown}") from None

    async def _lmkdir(self, flags: frozenset[str], words: list[str]) -> None:
        path = literal(words[0])
        try:
            os.mkdir(path)
        except OSError as error:
            shown = f'"{safe(path)}": {reason(error)}'
            raise CommandFailed(f"Couldn't create local directory {shown}") from None

    async def _mkdir(self, flags: frozenset[str], words: list[str]) -> None:
        await self._do("remote mkdir", literal(words[0]), self.sftp.mkdir)

    async def _rmdir(self, flags: frozenset[str], words: list[str]) -> None:
        await self._do("remote rmdir", await self._one(words[0]), self.sftp.rmdir)

    # --- changing ---

    async def _rm(self, flags: frozenset[str], words: list[str]) -> None:
        for word in words:
            for path in await self._matching(word):
                self.say(f"Removing {safe(self.sftp.path(path))}")
                try:
                    await self.sftp.remove(path)
                except OSError as error:
                    shown = safe(self.sftp.path(path))
                    self.complain(f"remote delete {shown}: {reason(error)}")
                    self._check_alive(error)

    async def _rename(self, flags: frozenset[str], words: list[str]) -> None:
        old, new = (literal(word) for word in words)
        replaces = "posix-rename@openssh.com" in self.sftp.extensions
        rename = self.sftp.replace if replaces else self.sftp.rename
        await self._pair("remote rename", old, new, rename(old, new))

    async def _ln(self, flags: frozenset[str], words: list[str]) -> None:
        old, new = (literal(word) for word in words)
        if "s" in flags:
            await self._symlink(flags, words)
        else:
            await self._pair("remote link", old, new, self.sftp.link(old, new))

    async def _symlink(self, flags: frozenset[str], words: list[str]) -> None:
        old, new = (literal(word) for word in words)
        try:
            await self.sftp.symlink(old, new)
        except OSError as error:
            shown = f'"{safe(old)}" to "{safe(self.sftp.path(new))}"'
            raise self._refused(f"remote symlink file {shown}", error) from None

    async def _chmod(self, flags: frozenset[str], words: list[str]) -> None:
        try:
            mode = int(words[0], 8)
        except ValueError:
            mode = -1
        if not 0 <= mode <= 0o7777:
            raise BadLine("You must supply a numeric argument to the chmod command.")
        await self._set(words[1:], flags, "mode", lambda known: Attributes(permissions=mode))

    async def _chown(self, flags: frozenset[str], words: list[str]) -> None:
        owner = _number(words[0], "chown")
        await self._set(
            words[1:], flags, "owner", lambda known: Attributes(uid=owner, gid=known.gid or 0)
        )

    async def _chgrp(self, flags: frozenset[str], words: list[str]) -> None:
        group = _number(words[0], "chgrp")
        await self._set(
            words[1:], flags, "group", lambda known: Attributes(uid=known.uid or 0, gid=group)
        )

    async def _set(
        self,
        patterns: Sequence[str],
        flags: frozenset[str],
        what: str,
        change: Callable[[Attributes], Attributes],
    ) -> None:
        for pattern in patterns:
            for path in await self._matching(pattern):
                sent = self.sftp.path(path)
                self.say(f"Changing {what} on {safe(sent)}")
                try:
                    await self._change(sent, change, own="h" in flags)
                except OSError as error:
                    self.complain(f'remote setstat "{safe(sent)}": {reason(error)}')
                    self._check_alive(error)

    async def _change(
        self, path: str, change: Callable[[Attributes], Attributes], *, own: bool
    ) -> None:
        session = self.sftp.session
        if own and not session.client.offers(LSetStat.EXTENSION):
            raise CommandFailed("Server does not support lsetstat@openssh.com extension")
        known = await session.request(msg.LStat(path) if own else msg.Stat(path))
        wanted = change(known)
        await session.request(LSetStat(path, wanted) if own else msg.SetStat(path, wanted))

    # --- here ---

    async def _lumask(self, flags: frozenset[str], words: list[str]) -> None:
        try:
            mask = int(words[0], 8)
        except ValueError:
            mask = -1
        if not 0 <= mask <= 0o777:
            raise BadLine("You must supply a numeric argument to the lumask command.")
        os.umask(mask)
        self.say(f"Local umask: {mask:03o}")

    async def _progress(self, flags: frozenset[str], words: list[str]) -> None:
        self.meter.enabled = not self.meter.enabled
        print(f"Progress meter {'enabled' if self.meter.enabled else 'disabled'}")

    async def _bye(self, flags: frozenset[str], words: list[str]) -> None:
        raise Quit

    def _shell(self, command: str) -> None:
        shell = os.environ.get("SHELL") or "/bin/sh"
        sys.stdout.flush()
        done = subprocess.run([shell, "-c", command] if command else [shell], check=False)
        if done.returncode:
            raise CommandFailed(f"Shell exited with status {done.returncode}")

    # --- what several commands need ---

    async def _found(self, pattern: str) -> list[str]:
        if not has_wildcards(pattern):
            path = literal(pattern)
            if await self.sftp.lexists(path):
                return [path]
        elif found := await self.sftp.glob(pattern):
            return found
        raise CommandFailed(f'File "{safe(self.sftp.path(literal(pattern)))}" not found.')

    async def _matching(self, pattern: str) -> list[str]:
        """Return what a pattern matches; one that matches nothing is a name."""
        found = await self.sftp.glob(pattern) if has_wildcards(pattern) else []
        return found or [literal(pattern)]

    async def _one(self, pattern: str) -> str:
        found = await self._matching(pattern)
        return found[0] if len(found) == 1 else literal(pattern)

    async def _do(self, what: str, path: str, method: Callable[[str], Awaitable[None]]) -> None:
        try:
            await method(path)
        except OSError as error:
            raise self._refused(f'{what} "{safe(self.sftp.path(path))}"', error) from None

    async def _pair(self, what: str, old: str, new: str, work: Awaitable[None]) -> None:
        try:
            await work
        except OSError as error:
            path = self.sftp.path
            shown = f'{what} "{safe(path(old))}" to "{safe(path(new))}"'
            raise self._refused(shown, error) from None

    def _refused(self, what: str, error: OSError) -> Exception:
        self._check_alive(error)
        return CommandFailed(f"{what}: {reason(error)}")

    def _check_alive(self, error: OSError) -> None:
        """Let an error through that ended the session."""
        if isinstance(error, NacreError) and not isinstance(error, SFTPError):
            raise error


def _number(word: str, command: str) -> int:
    if not word.isascii() or not word.isdigit():
        raise BadLine(f"You must supply a numeric argument to the {command} command.")
    return int(word)


def _is_directory(path: str) -> bool:
    return os.path.isdir(path)


def _is_there(path: str) -> bool:
    return os.path.lexists(path)


def _home() -> str:
    return os.path.expanduser("~")
