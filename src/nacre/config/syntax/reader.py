"""How configuration files are read: line by line, with Include, and errors that name the line.

:class:`FileReader` knows no keyword but ``Include``. A subclass says which lines begin a block, and
takes the others. A *scope* is what a block stands for: whether it applies, or its conditions.
"""

from __future__ import annotations

import glob
import os
from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar

from nacre.config.schema import COMMAND_LINE, Keyword, Origin, Schema
from nacre.config.syntax.lexer import split, words
from nacre.errors import ConfigurationError
from nacre.value import value
from nacre.wire.text import safe

Scope = TypeVar("Scope")

_DEEPEST = 16
_MOST_FILES = 1024
_LARGEST = 16 << 20
_PIECE = 1 << 16
_MOST_ERRORS = 20
_LONGEST_LINE = 1 << 20


@value
class ConfigFile:
    """A file to read.

    :ivar base: the directory of relative names of Include.
    :ivar needed: whether it is an error that the file is missing.
    :ivar private: whether it must belong to this user or root, and be writable by no others.
    """

    path: str
    base: str
    needed: bool = False
    private: bool = False


class FileReader(ABC, Generic[Scope]):
    """Reads lines and files in their order.

    Errors are collected, so that one run shows all of them: :meth:`finish` raises them.

    :param texts: the texts of files that were read before, by name; it is added to.
    """

    included_private = False
    """Whether included files are checked as private ones, also where the file itself is not."""

    def __init__(self, schema: Schema, texts: dict[str, str]) -> None:
        self.schema = schema
        self._texts = texts
        self._open: list[str] = []
        self._count = 0
        self.errors: list[str] = []

    @abstractmethod
    def opens(self, word: Keyword, rest: str, origin: Origin, outer: Scope) -> Scope:
        """Return the scope of the block that a line begins.

        :param outer: the scope of the file: the block in which it is included.
        """

    @abstractmethod
    def take(self, word: Keyword, rest: str, origin: Origin, scope: Scope) -> None:
        """Take the value of a keyword."""

    @abstractmethod
    def ignores(self, written: str) -> bool:
        """Return whether an unknown keyword is no error."""

    def check_former(self, written: str, scope: Scope) -> None:
        """Check that a former keyword, which has no effect any more, may stand in this block.

        :raises ConfigurationError: it may not.
        """

    @abstractmethod
    def expand(self, text: str) -> str:
        """Return the argument of Include with its tokens and variables replaced."""

    def finish(self) -> None:
        """Raise what went wrong.

        :raises ConfigurationError: a line for each error.
        """
        if self.errors:
            raise ConfigurationError("\n".join(self.errors))

    def option(self, text: str, scope: Scope) -> None:
        """Read ``Keyword=Value`` of the command line."""
        try:
            written, rest = split(text)
            if not written and not rest:
                return
            word = self._find(written or text)
            if word is None:
                return
            if word.name in ("Host", "Match", "Include"):
                raise ConfigurationError(f"{word.name} has no meaning on the command line")
            self.take(word, rest, COMMAND_LINE, scope)
        except ConfigurationError as error:
            self._note(error)

    def file(self, path: str, scope: Scope, base: str, *, private: bool = False) -> None:
        """Read a file.

        :param base: the directory of relative names of Include.
        :param private: whether it must belong to this user or root, and be writable by no others.
        :raises OSError: it can't be read.
        """
        name = os.path.realpath(path)
        if name in self._open:
            raise ConfigurationError(f"{safe(path)} includes itself")
        if len(self._open) > _DEEPEST:
            raise ConfigurationError(f"files are included more than {_DEEPEST} deep")
        self._count += 1
        if self._count > _MOST_FILES:
            raise ConfigurationError(f"more than {_MOST_FILES} files are included")
        text = self._texts.get(path)
        if text is None:
            text = self._texts[path] = _read(path, private)
        if "\0" in text:
            line = text[: text.index("\0")].count("\n") + 1
            raise Origin(path, line).error("a NUL character: this is no text file")
        if text.startswith("-----BEGIN "):  # its lines must not get into messages and logs
            raise Origin(path, 1).error("this is a key, and no configuration")
        self._open.append(name)
        try:
            self._lines(text, path, scope, base, private)
        finally:
            self._open.pop()

    def _lines(self, text: str, path: str, outer: Scope, base: str, private: bool) -> None:
        scope = outer
        lines = text.split("\n")
        number = 0
        while (number := self.skip(lines, number, scope)) < len(lines):
            if len(self.errors) >= _MOST_ERRORS:
                return
            line = lines[number]
            number += 1
            origin = Origin(path, number)
            try:
                if len(line) > _LONGEST_LINE:
                    raise ConfigurationError(f"a line of more than {_LONGEST_LINE} characters")
                written, rest = split(line)
                if not written and not rest:
                    continue
                word = self._find(written)
                if word is None:
                    needed(written, rest)
                    self.check_former(written, scope)
                elif word.name in ("Host", "Match"):
                    scope = self.opens(word, rest, origin, outer)
                elif word.name == "Include":
                    self._include(rest, scope, base, private)
                else:
                    self.take(word, rest, origin, scope)
            except ConfigurationError as error:
                self._note(origin.error(error))

    def skip(self, lines: list[str], at: int, scope: Scope) -> int:
        """Return the index of the first line, from ``at`` on, that has an effect or an error here.

        It may return an earlier one: this is for speed alone.
        """
        return at

    def _find(self, written: str) -> Keyword | None:
        lower = written.lower()
        found = self.schema.by_lower.get(lower)
        if found is not None or self.ignores(lower):
            return found
        return self.schema.find(written)

    def _include(self, rest: str, scope: Scope, base: str, private: bool) -> None:
        for pattern in needed("Include", rest):
            if not pattern:
                raise ConfigurationError("Include: the name of a file is empty")
            path = os.path.expanduser(self.expand(pattern))
            for name in sorted(glob.glob(os.path.join(base, path))):
                try:
                    self.file(name, scope, base, private=private or self.included_private)
                except IsADirectoryError:
                    continue  # a pattern may match directories beside files
                except OSError as error:
                    raise ConfigurationError(
                        f"Include: can't read {safe(name)}: {error.strerror}"
                    ) from None

    def _note(self, error: ConfigurationError) -> None:
        self.errors.extend(line for line in str(error).split("\n") if line not in self.errors)


def _read(path: str, private: bool) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    data = bytearray()
    with open(descriptor, "rb", buffering=0) as file:
        if private:
            _check_owner(path, os.fstat(descriptor))
        while piece := file.read(_PIECE):
            data += piece
            if len(data) > _LARGEST:
                raise ConfigurationError(f"{safe(path)}: larger than {_LARGEST >> 20} MiB")
    return data.decode("utf-8", "surrogateescape")


def _check_owner(path: str, status: os.stat_result) -> None:
    others = status.st_mode & 0o002 or (status.st_mode & 0o020 and not _is_own(status.st_gid))
    if status.st_uid not in (0, os.getuid()) or others:
        raise ConfigurationError(
            f"Bad owner or permissions on {safe(path)}: others could change it; it must belong to "
            "you or root, and only its owner may write it: chmod go-w"
        )


def _is_own(group: int) -> bool:
    """Return whether nobody but this user is in a group, as is usual for a group of its own.

    Debian's OpenSSH makes this exception too.
    """
    import grp
    import pwd

    own = os.getuid()
    try:
        name = pwd.getpwuid(own).pw_name
        members = grp.getgrgid(group).gr_mem
    except KeyError:
        return False
    users = [account.pw_uid for account in pwd.getpwall() if account.pw_gid == group]
    return set(members) <= {name} and set(users) == {own}


def needed(written: str, rest: str, *, raw: bool = False) -> list[str]:
    """Return the words of the text behind a keyword.

    :param raw: whether the whole text is the only word.
    :raises ConfigurationError: there are none.
    """
    found = words(rest)
    if raw and rest:
        return [rest]
    if not found:
        name = safe(written, 100)
        raise ConfigurationError(f"{name}: the value is missing: give {name} VALUE")
    return found


def parse_value(word: Keyword, rest: str) -> Any:
    """Return the value of the text behind a keyword.

    :raises ConfigurationError: the value is missing or bad.
    """
    found = needed(word.name, rest, raw=word.kind.raw)
    return word.kind.parse(word.name, found)
