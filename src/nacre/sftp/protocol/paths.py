"""Paths, names and patterns as text; nothing here touches a file.

The text of a path never decides what may be opened: a symbolic link can make any path lead
anywhere. These functions are for display, for REALPATH on a virtual root, and for names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache

from nacre.errors import RemoteProtocolError
from nacre.limits import DEFAULT_SFTP_LIMITS
from nacre.wire.text import safe


def normalise(path: str, base: str = "/") -> str:
    """Return ``path`` absolute, without ``.``, ``..`` and double slashes; ``/..`` is ``/``.

    :param base: the absolute directory that a relative path starts from.
    """
    whole = path if path.startswith("/") else f"{base}/{path}"
    kept: list[str] = []
    for name in whole.split("/"):
        if name == "..":
            del kept[-1:]
        elif name not in ("", "."):
            kept.append(name)
    return "/" + "/".join(kept)


def join(directory: str, name: str) -> str:
    """Return the path of ``name`` in ``directory``; an absolute ``name`` is returned unchanged."""
    if not directory or name.startswith("/"):
        return name
    return directory + name if directory.endswith("/") else f"{directory}/{name}"


def last_name(path: str) -> str:
    """Return the last component of ``path``, without trailing slashes."""
    return path.rstrip("/").rpartition("/")[2]


def is_name(name: str) -> bool:
    """Return whether ``name`` is one component: it names an entry of a directory."""
    return name not in ("", ".", "..") and "/" not in name and "\0" not in name


def check_name(name: str) -> str:
    """Return a name that a peer sent, if it is one component.

    :raises RemoteProtocolError: it is not: a file of that name could be anywhere.
    """
    if not is_name(name):
        raise RemoteProtocolError(
            f"the peer sends a name that is not one component of a path: '{safe(name, 256)}'"
        )
    return name


# Glob patterns as in OpenSSH's sftp: * ? [a-z] [!a-z] [[:alpha:]], each escaped by a backslash.

_CLASSES: dict[str, Callable[[str], bool]] = {
    "alnum": str.isalnum,
    "alpha": str.isalpha,
    "blank": lambda c: c in " \t",
    "cntrl": lambda c: ord(c) < 32 or ord(c) == 127,
    "digit": lambda c: "0" <= c <= "9",
    "graph": lambda c: c.isprintable() and c != " ",
    "lower": str.islower,
    "print": str.isprintable,
    "punct": lambda c: c.isprintable() and not c.isalnum() and c != " ",
    "space": str.isspace,
    "upper": str.isupper,
    "xdigit": lambda c: c in "0123456789abcdefABCDEF",
}

_Token = tuple[str, Callable[[str], bool] | None]
"""A literal character and None, or a wildcard and the test of a character for it."""

_STAR: _Token = ("*", lambda _: True)
_ANY: _Token = ("?", lambda _: True)


def has_wildcards(pattern: str) -> bool:
    """Return whether ``pattern`` may match several names: it has ``*``, ``?`` or ``[…]``."""
    return any(test is not None for _, test in _tokens(pattern))


def literal(pattern: str) -> str:
    """Return the name that a pattern without wildcards matches: its escapes removed."""
    return "".join([character for character, _ in _tokens(pattern)])


def components(pattern: str) -> tuple[str, tuple[str, ...]]:
    """Split a pattern into its start (``/`` or nothing) and one pattern for each component."""
    names = tuple([name for name in pattern.split("/") if name])
    return ("/" if pattern.startswith("/") else ""), names


def matches(name: str, pattern: str, *, hidden: bool = False) -> bool:
    """Return whether ``name``, one component, matches ``pattern`` as a whole.

    The time is at most proportional to the product of both lengths.

    :param hidden: whether a wildcard matches a leading dot; otherwise only a dot does.
    """
    tokens = _tokens(pattern)
    if name.startswith(".") and not hidden and tokens[:1] != ((".", None),):
        return False
    at = i = 0
    star = retry = -1
    while i < len(name):
        if at < len(tokens) and tokens[at] is _STAR:
            star, retry = at, i
            at += 1
        elif at < len(tokens) and _accepts(tokens[at], name[i]):
            at += 1
            i += 1
        elif star >= 0:
            retry += 1
            at, i = star + 1, retry
        else:
            return False
    return all(token is _STAR for token in tokens[at:])


def _accepts(token: _Token, character: str) -> bool:
    shown, test = token
    return shown == character if test is None else test(character)


@lru_cache(maxsize=256)
def _tokens(pattern: str) -> tuple[_Token, ...]:
    tokens: list[_Token] = []
    at = 0
    while at < len(pattern):
        character = pattern[at]
        at += 1
        if character == "\\" and at < len(pattern):
            tokens.append((pattern[at], None))
            at += 1
        elif character == "*":
            tokens.append(_STAR)
        elif character == "?":
            tokens.append(_ANY)
        elif character == "[" and (end := _bracket_end(pattern, at)):
            tokens.append(("[", _bracket(pattern[at:end])))
            at = end + 1
        else:
            tokens.append((character, None))
    return tuple(tokens)


def _bracket_end(pattern: str, at: int) -> int:
    """Return the index of the ``]`` that ends the bracket opened before ``at``; 0 if none does."""
    if pattern[at : at + 1] == "!":
        at += 1
    if pattern[at : at + 1] == "]":
        at += 1  # as the first character it is a member
    while at < len(pattern):
        if pattern.startswith("[:", at) and (close := pattern.find(":]", at + 2)) > 0:
            at = close + 2
        elif pattern[at] == "]":
            return at
        else:
            at += 2 if pattern[at] == "\\" else 1
    return 0


def _bracket(inside: str) -> Callable[[str], bool]:
    negated = inside.startswith("!")
    tests = list(_members(inside[1:] if negated else inside))
    return lambda character: negated != any(test(character) for test in tests)


def _members(inside: str) -> Iterator[Callable[[str], bool]]:
    at = 0
    while at < len(inside):
        if inside.startswith("[:", at) and (close := inside.find(":]", at + 2)) > 0:
            yield _CLASSES.get(inside[at + 2 : close], lambda _: False)
            at = close + 2
            continue
        low, at = _member(inside, at)
        high = low
        if inside[at : at + 1] == "-" and at + 1 < len(inside):
            high, at = _member(inside, at + 1)
        yield lambda character, low=low, high=high: low <= character <= high  # type: ignore[misc]


def _member(inside: str, at: int) -> tuple[str, int]:
    if inside[at] == "\\" and at + 1 < len(inside):
        at += 1
    return inside[at], at + 1


def alternatives(pattern: str) -> list[str]:
    """Expand the braces of ``pattern``: ``a{b,c}`` gives ``ab`` and ``ac``.

    Unbalanced braces, ``{}`` and escaped characters are literal.

    :raises ValueError: there are more patterns than the bound allows.
    """
    found: list[str] = []
    todo = [("", pattern)]
    while todo:
        done, rest = todo.pop()
        if len(found) + len(todo) >= DEFAULT_SFTP_LIMITS.glob_alternatives:
            shown = safe(pattern, 64)
            raise ValueError(f"the braces of '{shown}' stand for too many names: use fewer")
        opening = _find_brace(rest)
        if opening < 0:
            found.append(done + rest)
            continue
        parts, closing = _brace_parts(rest, opening)
        head, tail = done + rest[:opening], rest[closing + 1 :]
        todo += [(head, part + tail) for part in reversed(parts)]
    return found


def _find_brace(text: str) -> int:
    """Return the index of the first brace that is closed and not empty; -1 if there is none."""
    at = 0
    while at < len(text):
        if text[at] == "\\":
            at += 1
        elif text[at] == "{" and not text.startswith("{}", at) and _brace_parts(text, at)[1] > 0:
            return at
        at += 1
    return -1


def _brace_parts(text: str, opening: int) -> tuple[list[str], int]:
    parts: list[str] = []
    depth = 0
    start = at = opening + 1
    while at < len(text):
        character = text[at]
        if character == "\\":
            at += 1
        elif character == "{":
            depth += 1
        elif character == "," and not depth:
            parts.append(text[start:at])
            start = at + 1
        elif character == "}":
            if not depth:
                return [*parts, text[start:at]], at
            depth -= 1
        at += 1
    return [], -1
