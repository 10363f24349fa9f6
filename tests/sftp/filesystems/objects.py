"""Object stores for tests: a small one in memory, and a real client of S3 with a server."""

from __future__ import annotations

import functools
import io
import os
from typing import Any

from fsspec import AbstractFileSystem


class Objects(AbstractFileSystem):  # type: ignore[misc]
    """Names and bytes. It has no directories: a name with slashes is only a name.

    ``keeps_slashes`` is whether a name may end in a slash, as a marker does.
    """

    keeps_slashes = True
    cachable = False

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.objects: dict[str, bytes] = {}
        self.refused: set[str] = set()

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        bare = path.lstrip("/")
        return bare if cls.keeps_slashes else bare.rstrip("/")

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        name = self._strip_protocol(path)
        if name in self.objects:
            return self._file(name)
        if any(other.startswith(name.rstrip("/") + "/") for other in self.objects):
            return {"name": name.rstrip("/"), "size": 0, "type": "directory"}
        raise FileNotFoundError(path)

    def _file(self, name: str) -> dict[str, Any]:
        return {"name": name, "size": len(self.objects[name]), "type": "file"}

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        start = self._strip_protocol(path).rstrip("/") + "/"
        found: dict[str, dict[str, Any]] = {}
        for name in self.objects:
            if name.startswith(start):
                first, slash, _rest = name[len(start) :].partition("/")
                inner = start + first
                kind = {"name": inner, "size": 0, "type": "directory"}
                found[inner] = kind if slash else self._file(name)
        if not found:
            raise FileNotFoundError(path)
        return list(found.values()) if detail else list(found)

    def _open(self, path: str, mode: str = "rb", **_: Any) -> Any:
        name = self._strip_protocol(path)
        if mode == "rb":
            return io.BytesIO(self.objects[name])
        return _Upload(self, name)

    def rm_file(self, path: str) -> None:
        if self.objects.pop(self._strip_protocol(path), None) is None:
            raise FileNotFoundError(path)

    def cp_file(self, path1: str, path2: str, **_: Any) -> None:
        target = self._strip_protocol(path2)
        if target in self.refused:
            raise PermissionError(path2)
        self.objects[target] = self.objects[self._strip_protocol(path1)]


class BareObjects(Objects):
    """One whose names never end in a slash."""

    keeps_slashes = False


class _Upload(io.BytesIO):
    def __init__(self, store: Objects, name: str) -> None:
        super().__init__()
        self._store, self._name = store, name

    def close(self) -> None:
        if not self.closed:
            self._store.objects[self._name] = self.getvalue()
        super().close()

    def discard(self) -> None:
        super().close()


@functools.cache
def object_store() -> Any:
    """Return s3fs with a server of S3 in a thread of this process, for the rest of it."""
    os.environ.setdefault("AWS_ACCESS_KEY_ID", "test")
    os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "test")
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
    import s3fs
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    return s3fs.S3FileSystem(endpoint_url=f"http://{host}:{port}", skip_instance_cache=True)
