"""The rules that say what a user may do in which directory: their text, and which one decides.

A rule is ``DIRECTORY:WORD,WORD...``::

    /:list,download
    /in:list,upload,mkdir,deny=*.exe,deny=.*
    /in/private:none

A word is one of :data:`RIGHTS`, ``*`` for all of them, ``none``, ``allow=PATTERN`` or
``deny=PATTERN``. Rules of the same directory add up. The directory ends at the last colon, and a
pattern has neither colon nor comma: ``?`` stands for one.

The rule of the longest directory that holds an entry decides, and no other one. Where none does,
nothing is allowed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nacre.errors import ConfigurationError
from nacre.sftp.protocol.paths import matches, normalise
from nacre.value import value
from nacre.wire.text import safe

RIGHTS = (
    *("list", "download", "upload", "overwrite", "delete"),
    *("rename", "mkdir", "symlink", "chmod"),
)
"""What may be allowed, in the order in which it is written."""

_MOST_RULES = 256
_MOST_PATTERNS = 64
_LONGEST_RULE = 4096
_LONGEST_PATTERN = 255


@value
class DirectoryRule:
    """What may be done with the entries of a directory, and of those below it.

    :ivar directory: an absolute path, as the session sees it.
    :ivar rights: those of :data:`RIGHTS`.
    :ivar allow: patterns, one of which the name of a file must match; empty for any name.
    :ivar deny: patterns that no name on the way from the directory may match.
    """

    directory: str
    rights: frozenset[str]
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the rule's text."""
        rights = ["*"] if len(self.rights) == len(RIGHTS) else _ordered(self.rights)
        allow = [f"allow={pattern}" for pattern in self.allow]
        deny = [f"deny={pattern}" for pattern in self.deny]
        return f"{self.directory}:{','.join([*(rights or ['none']), *allow, *deny])}"

    def hides(self, path: str, *, directory: bool) -> bool:
        """Return whether the patterns deny an entry of the directory or below.

        :param directory: whether the entry is a directory: ``allow`` is for other entries.
        """
        names = [name for name in path[len(self.directory) :].split("/") if name]
        if any(_any_matches(name, self.deny) for name in names):
            return True
        if directory or not self.allow or not names:
            return False
        return not _any_matches(names[-1], self.allow)


def _any_matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(matches(name, pattern, hidden=True) for pattern in patterns)


def _ordered(rights: Iterable[str]) -> list[str]:
    return [right for right in RIGHTS if right in rights]


class DirectoryRules:
    """The rules of a session. Paths are absolute and real: without links and ``..``."""

    def __init__(self, rules: Iterable[DirectoryRule]) -> None:
        """Take rules with different directories."""
        self._rules = {rule.directory: rule for rule in rules}

    def __iter__(self) -> Iterator[DirectoryRule]:
        """Yield the rules, sorted by directory."""
        return iter([self._rules[directory] for directory in sorted(self._rules)])

    def __str__(self) -> str:
        """Return the text that :func:`parse_rules` reads as these rules: a line for each."""
        return "\n".join(map(str, self))

    def inside(self, directory: str) -> DirectoryRule | None:
        """Return the rule that decides on the entries of a directory."""
        while True:
            if (rule := self._rules.get(directory)) is not None or directory == "/":
                return rule
            directory = parent(directory)

    def of(self, path: str) -> DirectoryRule | None:
        """Return the rule that decides on an entry: that of the directory that holds it."""
        return self.inside(parent(path))

    def permitted(self, path: str, *, directory: bool = False) -> frozenset[str]:
        """Return the rights to an entry.

        :param directory: whether the entry can only be a directory.
        """
        return _rights(self.of(path), path, directory=directory)

    def permitted_inside(self, directory: str) -> frozenset[str]:
        """Return the rights to what is in a directory, whatever the names."""
        return _rights(self.inside(directory), directory, directory=True)

    def lead_through(self, directory: str) -> bool:
        """Return whether a directory is on the way to one in which something is allowed."""
        below = directory.rstrip("/") + "/"
        return any(
            rule.rights and rule.directory.startswith(below) for rule in self._rules.values()
        )

    def begin_below(self, path: str) -> str | None:
        """Return a directory with a rule of its own that is ``path`` or below it, or None."""
        below = path.rstrip("/") + "/"
        found = (one for one in self._rules if one == path or one.startswith(below))
        return next(found, None)


def _rights(rule: DirectoryRule | None, path: str, *, directory: bool) -> frozenset[str]:
    if rule is None or rule.hides(path, directory=directory):
        return frozenset()
    return rule.rights


def parent(path: str) -> str:
    """Return the directory that holds an entry; of the root, the root."""
    return path.rpartition("/")[0] or "/"


def parse_rules(texts: Iterable[str]) -> DirectoryRules:
    """Return the rules of several texts, in each of which a line is a rule.

    :raises ConfigurationError: a rule is not valid; the message names the word and the remedy.
    """
    lines = [line for text in texts for line in text.split("\n")]
    if len(lines) > _MOST_RULES:
        raise ConfigurationError(
            f"{len(lines)} rules are too many: give {_MOST_RULES} at most, "
            "as a rule holds for the directories below too"
        )
    words: dict[str, list[str]] = {}
    for line in lines:
        directory, given = _split(line)
        words.setdefault(directory, []).extend(given)
    return DirectoryRules([_rule(directory, given) for directory, given in words.items()])


def _split(line: str) -> tuple[str, list[str]]:
    if len(line) > _LONGEST_RULE or not line.isprintable():
        raise ConfigurationError(
            f"{safe(line, 64)!r} is no rule: write {_LONGEST_RULE} printable characters at most"
        )
    directory, colon, words = line.rpartition(":")
    if not colon:
        raise ConfigurationError(
            f"{line!r} has no colon: write DIRECTORY:RIGHTS, for example /in:list,upload"
        )
    if not directory.startswith("/") or directory != normalise(directory):
        wanted = normalise(directory)
        raise ConfigurationError(
            f"{directory!r} in {line!r} is no absolute path without . and .. and a slash at the "
            f"end: write for example {wanted!r}, as the user sees it below the root"
        )
    return directory, words.split(",")


def _rule(directory: str, words: list[str]) -> DirectoryRule:
    rights: set[str] = set()
    patterns: dict[str, list[str]] = {"allow": [], "deny": []}
    for word in words:
        kind, equals, pattern = word.partition("=")
        if equals and kind in patterns:
            patterns[kind].append(_pattern(word, pattern))
        elif word == "*":
            rights.update(RIGHTS)
        elif word in RIGHTS:
            rights.add(word)
        elif word != "none":
            raise ConfigurationError(
                f"{word!r} in the rule of {directory} is none of {', '.join(RIGHTS)}, *, none, "
                "allow=PATTERN and deny=PATTERN: take one of them, with commas between words"
            )
    if rights and "none" in words:
        raise ConfigurationError(
            f"the rule of {directory} has 'none' beside rights: leave out one or the other"
        )
    if not rights and "none" not in words:
        raise ConfigurationError(
            f"the rule of {directory} has patterns and no rights: give those too, for example "
            f"{directory}:list,upload"
        )
    if max(map(len, patterns.values())) > _MOST_PATTERNS:
        raise ConfigurationError(
            f"the rule of {directory} has too many patterns: give {_MOST_PATTERNS} of allow and "
            "deny each at most"
        )
    return DirectoryRule(
        directory, frozenset(rights), tuple(patterns["allow"]), tuple(patterns["deny"])
    )


def _pattern(word: str, pattern: str) -> str:
    if not pattern or "/" in pattern or len(pattern) > _LONGEST_PATTERN:
        raise ConfigurationError(
            f"{safe(word, 64)!r} is no pattern of a name: write for example deny=*.exe, without a "
            f"slash and with {_LONGEST_PATTERN} characters at most"
        )
    return pattern
