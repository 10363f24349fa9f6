"""What a keyword of a configuration is: one row of the tables of clients and servers.

The tables are :data:`nacre.config.client.words.WORDS` and :data:`nacre.config.server.words.WORDS`.
Readers, ``-G`` and ``-T``, ``nacre help KEYWORD``, the pages in ``docs/`` and the man pages all use
them, and nothing else knows a keyword.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum
from typing import Any, TypeAlias

from nacre.errors import ConfigurationError
from nacre.value import value
from nacre.wire.text import safe

Shown: TypeAlias = "str | Sequence[str] | None"
"""A value as ``-G`` prints it: one line, several lines, or None for none."""


class Support(Enum):
    """What nacre does with a keyword."""

    HONOURED = "honoured"
    NO_EFFECT = "without effect"
    """It is checked, and changes nothing."""
    REFUSED = "refused"
    """Values that ask for it are an error: somebody relies on a protection that nacre lacks."""


@value
class Kind:
    """The type of a keyword's value.

    :ivar allowed: its values, for messages and documentation.
    :ivar parse: gets the keyword and its words, or the text behind it as the only word if ``raw``
        is set; returns the value.
    :ivar show: returns a value as ``-G`` and ``-T`` print it.
    :ivar raw: whether the value is the rest of the line, with its quotation marks.
    :ivar plain: a quick test of one word, without quotation marks: whether it is a good value. It
        may miss some, and is there for speed; None if there is no such test.
    """

    allowed: str
    parse: Callable[[str, list[str]], Any]
    show: Callable[[Any], Shown]
    raw: bool = False
    plain: Callable[[str], bool] | None = None


@value
class Keyword:
    """A row of the schema.

    :ivar name: as the manual pages spell it.
    :ivar about: what it does, one sentence.
    :ivar field: the field of the configuration that holds its value; "" for none.
    :ivar default: the value without it, as ``-G`` prints it; "" if ``field`` has it, or if there is
        none.
    :ivar gathers: whether all of its values count, not only the first.
    :ivar most: how many values may gather.
    :ivar repeats: whether a value that is there already counts again.
    :ivar everywhere: whether it counts in a block that does not apply too, as in OpenSSH.
    :ivar last: whether its last value counts, not the first.
    :ivar in_match: whether it may stand in a ``Match`` block.
    :ivar tokens: the letters of its percent tokens.
    :ivar environment: whether ``${NAME}`` is replaced by a variable of the environment.
    :ivar support: what nacre does with it.
    :ivar why: the reason, for what is not honoured.
    :ivar harmless: the values of a refused keyword that ask for nothing.
    :ivar own: whether it is nacre's own, and OpenSSH has none of this name or ignores it.
    :ivar patched: whether only the OpenSSH of some systems has it.
    """

    name: str
    kind: Kind
    about: str
    field: str = ""
    default: str = ""
    gathers: bool = False
    most: int = 1024
    repeats: bool = False
    everywhere: bool = False
    last: bool = False
    in_match: bool = True
    tokens: str = ""
    environment: bool = False
    support: Support = Support.HONOURED
    why: str = ""
    harmless: tuple[str, ...] = ()
    own: bool = False
    patched: bool = False


def check_count(word: Keyword, count: int) -> None:
    """Check how many values a keyword has.

    :raises ConfigurationError: they are too many.
    """
    if count > word.most:
        raise ConfigurationError(f"{word.name}: more than {word.most} values")


def idle(name: str, kind: Kind, about: str, why: str, default: str = "", **others: Any) -> Keyword:
    """Return the row of a keyword without effect; see :class:`Keyword`."""
    return Keyword(name, kind, about, default=default, support=Support.NO_EFFECT, why=why, **others)


def refused(name: str, kind: Kind, about: str, why: str, **others: Any) -> Keyword:
    """Return the row of a keyword that can't be honoured and must not be ignored."""
    return Keyword(name, kind, about, support=Support.REFUSED, why=why, **others)


@value
class Origin:
    """Where a value was written.

    :ivar file: the file's name; "" for the command line.
    :ivar line: the line's number, from 1 on; 0 for the command line.
    """

    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        return f"{safe(self.file)} line {self.line}" if self.file else "command line"

    def error(self, message: object) -> ConfigurationError:
        """Return an error that names this place; the command line needs no name."""
        return ConfigurationError(f"{self}: {message}" if self.file else f"{message}")


COMMAND_LINE = Origin()


@value
class Setting:
    """A value and where it was written."""

    value: Any
    origin: Origin


def joined(settings: Iterable[Setting]) -> tuple[Any, ...]:
    """Return the values of a keyword that gathers them as one."""
    return tuple(part for setting in settings for part in setting.value)


def told(name: str, shown: Shown, found: Sequence[Setting], origins: bool) -> Iterator[str]:
    """Yield the lines of ``-G`` and ``-T`` for a keyword.

    :param shown: its value, as its kind shows it.
    :param found: where it was set; empty for the default.
    :param origins: whether each line tells where its value was written.
    """
    if shown is None:
        return
    for at, text in enumerate([shown] if isinstance(shown, str) else shown):
        if not origins:
            yield f"{name} {text}"
            continue
        place = str(found[min(at, len(found) - 1)].origin) if found else "default"
        yield f"{name} {text}  # {place}"


class Schema:
    """The keywords of one kind of configuration, found in any spelling.

    :param words: the rows.
    :param aliases: former names of keywords.
    :param ignored: former keywords, which have no effect any more.
    """

    def __init__(
        self, words: Iterable[Keyword], aliases: dict[str, str], ignored: Iterable[str]
    ) -> None:
        self.words = tuple(words)
        self.by_lower = {word.name.lower(): word for word in self.words}
        self.by_lower.update(
            (alias.lower(), self.by_lower[name.lower()]) for alias, name in aliases.items()
        )
        self.ignored = frozenset(name.lower() for name in ignored)

    def __getitem__(self, name: str) -> Keyword:
        return self.by_lower[name.lower()]

    def find(self, written: str) -> Keyword | None:
        """Return the keyword; None for a former one, which has no effect any more.

        :raises ConfigurationError: it is unknown; the message suggests a similar one.
        """
        lower = written.lower()
        found = self.by_lower.get(lower)
        if found is None and lower not in self.ignored:
            from difflib import get_close_matches

            near = get_close_matches(lower[:64], self.by_lower, 1)
            hint = f"; did you mean {self.by_lower[near[0]].name}?" if near else ""
            raise ConfigurationError(f"Bad configuration option: {safe(written, 100)}{hint}")
        return found
