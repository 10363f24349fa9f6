"""nacre as a file system of fsspec: ``fsspec.open("nacre://user@host/path")``.

To serve ``sftp://`` and ``ssh://`` URLs as well::

    fsspec.register_implementation("sftp", NacreFileSystem, clobber=True)
"""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime
from typing import Any, ClassVar

from fsspec.spec import AbstractFileSystem
from fsspec.utils import infer_storage_options

from nacre.blocking.client import connect
from nacre.blocking.sftp import SFTPClient
from nacre.sftp.client.options import SFTPOptions


class NacreFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """Files of a host over SFTP. Each instance has its own connection; :meth:`close` ends it.

    :param host: the host's name or address; ssh_config counts, as for :func:`nacre.connect`.
    :param port: its port; by default that of ssh_config, or 22.
    :param username: the user's name, also accepted as ``user``; by default as the port.
    :param password: the user's password.
    :param read_size: see :meth:`nacre.Connection.sftp`; likewise ``window`` and ``idle_timeout``.
    :param options: further options of :func:`nacre.connect`.
    """

    protocol: ClassVar[Any] = ("nacre", "sftp", "ssh")
    root_marker = "/"

    def __init__(
        self,
        host: str,
        port: int | None = None,
        username: str | None = None,
        password: str | None = None,
        user: str | None = None,
        **options: Any,
    ) -> None:
        if self._cached:
            return
        mine = ("asynchronous", "loop", "batch_size", "skip_instance_cache")
        storage = {name: options.pop(name) for name in list(options) if _is_storage(name, mine)}
        session: SFTPOptions = {}
        for name in SFTPOptions.__annotations__.keys() & options.keys():
            session[name] = options.pop(name)  # type: ignore[literal-required]
        super().__init__(**storage)
        self.host = host
        self.connection = connect(
            host,
            int(port) if isinstance(port, str) else port,
            user=username or user,
            password=password,
            **options,
        )
        self.sftp: SFTPClient = self.connection.sftp(**session)

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]
        return infer_storage_options(path)["path"].rstrip("/") or cls.root_marker

    @staticmethod
    def _get_kwargs_from_urls(urlpath: str) -> dict[str, Any]:
        options: dict[str, Any] = infer_storage_options(urlpath)
        options.pop("path", None)
        options.pop("protocol", None)
        return options

    def close(self) -> None:
        """End the session and the connection."""
        self.sftp.close()
        self.connection.close()

    def mkdir(self, path: str, create_parents: bool = True, **options: Any) -> None:
        """Make a directory.

        :raises FileExistsError: there is a file of that name.
        """
        name = self._strip_protocol(path)
        if self.exists(name):
            raise FileExistsError(name)
        if create_parents:
            self.sftp.makedirs(name)
        else:
            self.sftp.mkdir(name)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Make a directory, and those above it."""
        self.sftp.makedirs(self._strip_protocol(path), exist_ok=exist_ok)

    def rmdir(self, path: str) -> None:
        """Remove an empty directory."""
        self.sftp.rmdir(self._strip_protocol(path))

    def _rm(self, path: str) -> None:
        name = self._strip_protocol(path)
        if self.isdir(name):
            self.sftp.rmdir(name)
        else:
            self.sftp.remove(name)

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        """Return a file's attributes, in fsspec's form."""
        name = self._strip_protocol(path)
        return _info(name, self.sftp.stat(name))

    def ls(self, path: str, detail: bool = True, **options: Any) -> list[Any]:
        """Return the entries of a directory; for a file, the file itself."""
        name = self._strip_protocol(path)
        try:
            found = [_info(entry.path, entry.stat()) for entry in self.sftp.scandir(name)]
        except OSError:
            found = [self.info(name)]
            if found[0]["type"] == "directory":
                raise
        return found if detail else sorted(one["name"] for one in found)

    def exists(self, path: str, **options: Any) -> bool:
        """Tell whether there is a file."""
        return self.sftp.exists(self._strip_protocol(path))

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        size = options.get("block_size")
        return self.sftp.open(
            self._strip_protocol(path), mode, buffering=size if isinstance(size, int) else -1
        )

    def cp_file(self, path1: str, path2: str, **options: Any) -> None:
        """Copy a file on the server."""
        one, two = self._strip_protocol(path1), self._strip_protocol(path2)
        if self.isdir(one):
            self.makedirs(two, exist_ok=True)
        else:
            self.sftp.copy(one, two)

    def mv(self, path1: str, path2: str, **options: Any) -> None:
        """Rename a file."""
        self.sftp.replace(self._strip_protocol(path1), self._strip_protocol(path2))

    def get_file(self, rpath: str, lpath: Any, callback: Any = None, **options: Any) -> None:
        """Copy a file from the host."""
        name = self._strip_protocol(rpath)
        if not isinstance(lpath, str) or self.isdir(name):
            super().get_file(name, lpath, callback, **options)
        else:
            self.sftp.get(name, lpath, progress=_progress(callback))

    def put_file(self, lpath: str, rpath: str, callback: Any = None, **options: Any) -> None:
        """Copy a file to the host."""
        name = self._strip_protocol(rpath)
        if os.path.isdir(lpath):
            self.makedirs(name, exist_ok=True)
        else:
            self.sftp.put(lpath, name, progress=_progress(callback))

    def created(self, path: str) -> Any:
        """Raise NotImplementedError: version 3 of SFTP has no time of creation."""
        raise NotImplementedError("version 3 of SFTP has no time of creation; use modified()")

    def modified(self, path: str) -> Any:
        """Return when a file was last changed."""
        return self.info(path)["mtime"]


def _is_storage(name: str, mine: tuple[str, ...]) -> bool:
    """Tell whether an option is for fsspec's base class, not for the connection."""
    return name in mine or name.startswith(("use_listings_cache", "listings_expiry", "max_paths"))


def _info(name: str, status: Any) -> dict[str, Any]:
    kind = {stat.S_IFDIR: "directory", stat.S_IFREG: "file", stat.S_IFLNK: "link"}
    return {
        "name": name,
        "size": status.st_size,
        "type": kind.get(stat.S_IFMT(status.st_mode), "other"),
        "uid": status.st_uid,
        "gid": status.st_gid,
        "mode": stat.S_IMODE(status.st_mode),
        "time": datetime.fromtimestamp(status.st_atime, UTC),
        "mtime": datetime.fromtimestamp(status.st_mtime, UTC),
    }


def _progress(callback: Any) -> Any:
    if callback is None:
        return None

    def report(source: str, done: int, size: int) -> None:
        callback.set_size(size)
        callback.absolute_update(done)

    return report
