"""Paths and names of files: those that a browser sends, and those that it is given."""

from __future__ import annotations

from urllib.parse import parse_qsl, quote

from nacre.console.web.calls import APIRefused

LONGEST_PATH = 4096
_LONGEST_NAME = 255
_MOST_PARAMETERS = 50


def path_in(query: bytes, name: str = "path") -> str:
    """Return the path that a URL has behind ``?``; empty for none.

    Bytes that are no UTF-8 are kept, as the names of files may be any.

    :raises APIRefused: it is no absolute path, or has ``..`` in it.
    """
    try:
        pairs = parse_qsl(
            query.decode("latin-1"), errors="surrogateescape", max_num_fields=_MOST_PARAMETERS
        )
    except ValueError:
        raise APIRefused(400, "there are too many parameters") from None
    return checked(dict(pairs).get(name, ""))


def checked(path: str) -> str:
    """Return an absolute path in its shortest form; an empty one as it is.

    :raises APIRefused: it is none, or has ``..`` in it: no link of the console has.
    """
    if not path:
        return ""
    words = path.split("/")
    if words[0] or "\0" in path or ".." in words or len(path) > LONGEST_PATH:
        raise APIRefused(400, "this is no path of a file")
    return "/" + "/".join(word for word in words if word not in ("", "."))


def child(directory: str, name: str) -> str:
    """Return the path of something new in a directory.

    :raises APIRefused: it can't have this name.
    """
    size = len(name.encode("utf-8", "surrogateescape"))
    if name in ("", ".", "..") or size > _LONGEST_NAME or any(one in name for one in "/\\\0"):
        raise APIRefused(422, "a name has 1 to 255 bytes, without / and \\")
    return f"{directory.rstrip('/')}/{name}"


def parent(path: str) -> str:
    """Return the directory of a path."""
    return path.rpartition("/")[0] or "/"


def name_of(path: str) -> str:
    """Return the last part of a path, as people read it."""
    return shown(path.rpartition("/")[2]) or "/"


def shown(text: str) -> str:
    """Return a name as text that can be encoded: other bytes and control characters replaced."""
    plain = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in plain)


def link(page: str, path: str, **more: str) -> str:
    """Return the URL of a page of the console about a path."""
    words = "".join(f"&{name}={quote(text, safe='')}" for name, text in more.items())
    return f"{page}?path={quote(path, safe='/', errors='surrogateescape')}{words}"


def steps(path: str) -> list[tuple[str, str]]:
    """Return the directories that lead to a path, from the root: names and paths."""
    found, at = [("/", "/")], ""
    for word in path.split("/"):
        if word:
            at = f"{at}/{word}"
            found.append((shown(word), at))
    return found


def disposition(name: str) -> str:
    """Return the header ``Content-Disposition`` by which a browser keeps a file (RFC 6266)."""
    plain = "".join(one if one.isascii() and one.isprintable() else "_" for one in name)
    for one in '"\\/%':
        plain = plain.replace(one, "_")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
