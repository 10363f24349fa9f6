"""The calls of a storage of fsspec: they end within a time, and fail with a text for the client.

The packages of storages raise exceptions of many libraries, retry in loops within loops, and wait
without an end for a server that stops reading. What a method of :class:`Storage` raises is an
``OSError`` or ``NotImplementedError``, or one of Python's own exceptions, which is a bug.
"""

from __future__ import annotations

import errno
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from nacre.sftp.protocol.status import ToldError
from nacre.wire.text import safe

CALL_SECONDS = 300.0
"""Seconds of one call, with its retries, where a storage lets a call be bounded."""

_RETRIES = {"mode": "standard", "total_max_attempts": 3}
"""Botocore's retries of a request: after an answer of 500 or 503, and without an answer."""

_ANSWER = 60.0
"""Seconds that a storage may say nothing: to put a large upload together takes it a while."""

_ROUNDS = 2
"""How often s3fs makes a request that botocore has given up, or whose answer broke off."""

LISTING_SECONDS = 2.0
"""How long a listing is kept: other programs, and other sessions, change what is stored."""


@contextmanager
def answered() -> Iterator[None]:
    """Turn what the packages of a storage raise into failures that the client is told.

    :raises OSError: the storage failed, or did not answer.
    """
    try:
        yield
    except (ToldError, NotImplementedError):
        raise
    except Exception as error:
        told = _told(error)
        if told is None:
            raise
        raise told from None


def _told(error: Exception) -> ToldError | None:
    """Return what the client is told; None for an error of Python's, which has its own meaning."""
    kind = type(error)
    if isinstance(error, TimeoutError) and error.errno is None:
        return ToldError(errno.ETIMEDOUT, "the storage did not answer in time")
    if kind.__module__ != "builtins":
        # Libraries for networks have subclasses of OSError, too.
        name = safe(kind.__name__, 64)
        return ToldError(errno.EIO, f"the storage does not answer as it should: {name}")
    if isinstance(error, OSError) and error.errno in _OF_SERVERS:
        # What the server says is better than a number.
        return ToldError(errno.EIO, f"the storage failed: {safe(error.strerror or '', 100)}")
    return None


_OF_SERVERS = {errno.EBUSY, getattr(errno, "EREMOTEIO", errno.EIO)}
"""What s3fs makes of answers 500 and 503."""


class Storage:
    """An fsspec ``AbstractFileSystem``, with calls that end.

    :ivar inner: the file system itself.
    """

    def __init__(self, inner: Any) -> None:
        """Call ``inner``; a storage that has not connected yet gets bounded retries."""
        self.inner = inner
        self.root_marker: str = inner.root_marker
        if hasattr(inner, "config_kwargs") and hasattr(inner, "call_s3"):
            inner.config_kwargs = {"retries": _RETRIES, **inner.config_kwargs}
            inner.retries = _ROUNDS
            if getattr(inner, "read_timeout", None) == getattr(type(inner), "read_timeout", None):
                inner.read_timeout = _ANSWER
            # Open files make this call themselves.
            if _takes_timeout(inner.call_s3):
                inner.call_s3 = partial(inner.call_s3, timeout=CALL_SECONDS)
        cache: Any = getattr(inner, "dircache", None)
        if hasattr(cache, "listings_expiry_time"):
            cache.listings_expiry_time = LISTING_SECONDS

    @property
    def moves(self) -> bool:
        """Whether it moves directories by itself, and not by copying what they hold."""
        from fsspec import AbstractFileSystem

        return getattr(type(self.inner), "mv", None) is not AbstractFileSystem.mv

    @property
    def whole_uploads(self) -> bool:
        """Whether what is uploaded is there when it is closed, and not before; S3 is known to."""
        protocols = self.inner.protocol
        known = {protocols} if isinstance(protocols, str) else set(protocols)
        return "s3" in known

    def info(self, path: str) -> dict[str, Any]:
        """Return what is known of a file or directory."""
        found: dict[str, Any] = self._call("info", path)
        return found

    def ls(self, path: str) -> list[dict[str, Any]]:
        """Return what is known of all names in a directory."""
        found: list[dict[str, Any]] = self._call("ls", path, detail=True)
        return found

    def find(self, path: str) -> dict[str, dict[str, Any]]:
        """Return all names below a directory, also those of directories."""
        found: dict[str, dict[str, Any]] = self._call("find", path, withdirs=True, detail=True)
        return found

    def open(self, path: str, mode: str, block: int) -> Any:
        """Open a file; ``block`` is the size of the parts in which it is read or written."""
        with answered():
            return self.inner.open(path, mode, block_size=block)

    def copy_file(self, source: str, target: str) -> None:
        """Copy one file, and no pattern of names."""
        self._call("cp_file", source, target)

    def remove_file(self, path: str) -> None:
        """Remove one file, and no pattern of names."""
        self._call("rm_file", path)

    def put(self, path: str, content: bytes) -> None:
        """Store a small file."""
        self._call("pipe_file", path, content)

    def mkdir(self, path: str) -> None:
        """Make a directory, where the storage has them."""
        self._call("mkdir", path, create_parents=False)

    def rmdir(self, path: str) -> None:
        """Remove an empty directory."""
        self._call("rmdir", path)

    def move(self, source: str, target: str) -> None:
        """Move a file or a directory, if it :attr:`moves`."""
        with answered():
            self.inner.mv(source, target, recursive=True)

    def forget(self, path: str | None = None) -> None:
        """Drop what was kept of a directory and those above it, or of all."""
        self.inner.invalidate_cache(path)

    def _call(self, name: str, *given: Any, **options: Any) -> Any:
        method = getattr(self.inner, name)
        if _takes_timeout(method):
            options["timeout"] = CALL_SECONDS
        with answered():
            return method(*given, **options)


def _takes_timeout(method: Callable[..., Any]) -> bool:
    """Return whether a method is what fsspec makes of a coroutine: it can be given a time."""
    return inspect.iscoroutinefunction(getattr(method, "__wrapped__", None))
