"""The requests of SFTP, by their names in draft-ietf-secsh-filexfer-02, which is version 3.

Their layout here is that of version 3. :mod:`nacre.sftp.protocol.later` has that of versions 4 to
6; what their requests tell in addition is in fields that have no layout here.

A request is a value, the same at both ends: a client sends it, a server carries it out. Its type
names the type of its result: ``SFTPRequest[Attributes]`` is answered by attributes, or by a
failure. The request id is not part of it: the client's and the server's protocol keep that.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum, IntFlag
from typing import (
    Annotated,
    Any,
    ClassVar,
    Generic,
    Self,
    TypeAlias,
    TypeVar,
    dataclass_transform,
    get_type_hints,
)

from nacre.errors import MalformedMessage
from nacre.limits import DEFAULT_SFTP_LIMITS
from nacre.sftp.protocol.attributes import (
    Attributes,
    Entry,
    take_attributes,
    take_entries,
    take_names,
)
from nacre.value import value
from nacre.wire import codec
from nacre.wire.codec import Buffer, WireReader
from nacre.wire.message import U32, U64, Text

VERSION_3 = 3
"""The version that almost all servers and clients speak, and clients ask for by default."""

LATEST_VERSION = 6
"""The latest version (draft-ietf-secsh-filexfer-13)."""


class FXP(IntEnum):
    """Packet types (section 3); LINK, BLOCK and UNBLOCK are of version 6."""

    INIT = 1
    VERSION = 2
    OPEN = 3
    CLOSE = 4
    READ = 5
    WRITE = 6
    LSTAT = 7
    FSTAT = 8
    SETSTAT = 9
    FSETSTAT = 10
    OPENDIR = 11
    READDIR = 12
    REMOVE = 13
    MKDIR = 14
    RMDIR = 15
    REALPATH = 16
    STAT = 17
    RENAME = 18
    READLINK = 19
    SYMLINK = 20
    LINK = 21
    BLOCK = 22
    UNBLOCK = 23
    STATUS = 101
    HANDLE = 102
    DATA = 103
    NAME = 104
    ATTRS = 105
    EXTENDED = 200
    EXTENDED_REPLY = 201


class OpenFlag(IntFlag):
    """SSH_FXF flags of OPEN (section 6.3)."""

    READ = 0x01
    WRITE = 0x02
    APPEND = 0x04
    CREAT = 0x08
    TRUNC = 0x10
    EXCL = 0x20


class Pieces:
    """Bytes in parts that follow one another: the data of a large WRITE, as it arrived."""

    __slots__ = ("_size", "parts")

    def __init__(self, parts: list[memoryview]) -> None:
        self.parts = parts
        self._size = sum(map(len, parts))

    def __len__(self) -> int:
        return self._size

    def __bytes__(self) -> bytes:
        return b"".join(self.parts)


StringData: TypeAlias = Annotated[Buffer | Pieces, "string"]
Attrs: TypeAlias = Annotated[Attributes, "attributes"]
FileHandle: TypeAlias = Annotated[bytes, "string", "file"]
DirectoryHandle: TypeAlias = Annotated[bytes, "string", "directory"]
AnyHandle: TypeAlias = Annotated[bytes, "string", "any"]

Put: TypeAlias = Callable[[Any], bytes]
Take: TypeAlias = Callable[[WireReader], Any]

_KINDS: dict[str, tuple[Put, Take]] = {
    "u32": (codec.u32, WireReader.u32),
    "u64": (codec.u64, WireReader.u64),
    "string": (codec.string, WireReader.string),
    "text": (codec.text, WireReader.text),
    "boolean": (codec.boolean, WireReader.boolean),
    "attributes": (Attributes.encode, take_attributes),
}

R_co = TypeVar("R_co", covariant=True)


class SFTPRequest(Generic[R_co]):
    """A request whose result is an ``R_co``.

    :cvar NUMBER: its packet type.
    :cvar ANSWER: the type of the packet that answers it, unless it fails: then that is STATUS.
    :cvar EXTENSION: the extension's name; "" for a request of the draft.
    :cvar HANDLES: the fields that are handles, and of what: ``file``, ``directory`` or ``any``.
    """

    __slots__ = ()
    NUMBER: ClassVar[int]
    ANSWER: ClassVar[int] = FXP.STATUS
    EXTENSION: ClassVar[str] = ""
    HANDLES: ClassVar[tuple[tuple[str, str], ...]] = ()
    _LAYOUT: ClassVar[tuple[tuple[str, Put, Take], ...]] = ()

    def encode(self) -> bytes:
        """Return the bytes of the fields: they follow the request id or the extension's name."""
        layout = self._LAYOUT
        if len(layout) == 1:  # the usual case: a path or a handle
            name, put, _ = layout[0]
            return put(getattr(self, name))
        return b"".join([put(getattr(self, name)) for name, put, _ in layout])

    @classmethod
    def decode(cls, reader: WireReader) -> Self:
        """Take the fields off ``reader``; what follows the last one is left there.

        :raises MalformedMessage: one is truncated or malformed.
        """
        return cls(*[take(reader) for _, _, take in cls._LAYOUT])

    @classmethod
    def decode_answer(cls, reader: WireReader) -> R_co:
        """Take the result off ``reader``, which is behind the request id of an ``ANSWER`` packet.

        What follows the result is ignored.

        :raises MalformedMessage: it is truncated or malformed.
        """
        raise NotImplementedError

    @property
    def paths(self) -> tuple[str | None, str | None]:
        """The paths that the request names, for exceptions; None where there is none."""
        names = [
            getattr(self, name)
            for name in ("path", "old", "new", "target", "link")
            if hasattr(self, name)
        ]
        return (*names, None, None)[:2]


class StatusRequest(SFTPRequest[None]):
    """A request that succeeds or fails, without a result."""

    __slots__ = ()

    @classmethod
    def decode_answer(cls, reader: WireReader) -> None:
        """Return None: a STATUS has no result."""


class HandleRequest(SFTPRequest[bytes]):
    """A request to open a file or a directory; its result is a handle."""

    __slots__ = ()
    ANSWER = FXP.HANDLE

    @classmethod
    def decode_answer(cls, reader: WireReader) -> bytes:
        """Take the handle."""
        handle = reader.string()
        if len(handle) > DEFAULT_SFTP_LIMITS.handle:
            raise MalformedMessage(f"a handle of {len(handle)} bytes")
        return handle


class AttributesRequest(SFTPRequest[Attributes]):
    """A request for attributes."""

    __slots__ = ()
    ANSWER = FXP.ATTRS
    decode_answer = staticmethod(take_attributes)


class PathRequest(SFTPRequest[str]):
    """A request that is answered by one path, in a NAME packet of one entry."""

    __slots__ = ()
    ANSWER = FXP.NAME

    @classmethod
    def decode_answer(cls, reader: WireReader) -> str:
        """Take the path; its attributes mean nothing (draft-ietf-secsh-filexfer-02, 6.11)."""
        if reader.u32() != 1:
            raise MalformedMessage("the answer to a request for one path has not one entry")
        return reader.text()


Q = TypeVar("Q", bound=SFTPRequest[Any])


@dataclass_transform(frozen_default=True)
def compiled(cls: type[Q]) -> type[Q]:
    """Make ``cls`` a value, and derive its layout from its annotations."""
    made = value(cls)
    hints = get_type_hints(made, include_extras=True)
    kinds = {
        name: hints[name].__metadata__
        for name in made.__match_args__  # type: ignore[attr-defined]
        if hasattr(hints[name], "__metadata__")
    }
    made._LAYOUT = tuple((name, *_KINDS[kind[0]]) for name, kind in kinds.items())
    made.HANDLES = tuple((name, kind[1]) for name, kind in kinds.items() if len(kind) > 1)
    return made


@dataclass_transform(frozen_default=True)
def request(number: FXP) -> Callable[[type[Q]], type[Q]]:
    """Make a class the request of type ``number``."""

    def decorate(cls: type[Q]) -> type[Q]:
        made = compiled(cls)
        made.NUMBER = number
        REQUESTS[number] = made
        return made

    return decorate


REQUESTS: dict[int, type[SFTPRequest[Any]]] = {}
"""The requests of the draft, by packet type."""


@request(FXP.OPEN)
class Open(HandleRequest):
    """Open a file, or create it with ``attributes``.

    ``options`` are flags of versions 4 to 6 that version 3 has no word for.
    """

    path: Text
    flags: U32
    attributes: Attrs = Attributes()
    options: int = 0


@request(FXP.CLOSE)
class Close(StatusRequest):
    """Close a file or a directory; the handle becomes invalid, whatever the answer."""

    handle: AnyHandle


@request(FXP.READ)
class Read(SFTPRequest["memoryview | None"]):
    """Read at most ``length`` bytes at ``offset``; the result is None at the end of the file."""

    ANSWER = FXP.DATA

    handle: FileHandle
    offset: U64
    length: U32

    @classmethod
    def decode_answer(cls, reader: WireReader) -> memoryview | None:
        """Take the bytes."""
        return memoryview(reader.string())


@request(FXP.WRITE)
class Write(StatusRequest):
    """Write all of ``data`` at ``offset``; on a server ``data`` is a view of the packet."""

    handle: FileHandle
    offset: U64
    data: StringData


@request(FXP.LSTAT)
class LStat(AttributesRequest):
    """Ask for a file's attributes, not following a symbolic link."""

    path: Text


@request(FXP.FSTAT)
class FStat(AttributesRequest):
    """Ask for an open file's attributes."""

    handle: AnyHandle


@request(FXP.SETSTAT)
class SetStat(StatusRequest):
    """Set attributes."""

    path: Text
    attributes: Attrs


@request(FXP.FSETSTAT)
class FSetStat(StatusRequest):
    """Set attributes of an open file."""

    handle: AnyHandle
    attributes: Attrs


@request(FXP.OPENDIR)
class OpenDir(HandleRequest):
    """Open a directory in order to list it."""

    path: Text


@request(FXP.READDIR)
class ReadDir(SFTPRequest["tuple[Entry, ...] | None"]):
    """Ask for the next entries of a directory; the result is None at its end."""

    ANSWER = FXP.NAME

    handle: DirectoryHandle

    @classmethod
    def decode_answer(cls, reader: WireReader) -> tuple[Entry, ...] | None:
        """Take the entries."""
        return take_entries(reader) or None


@compiled
class ReadNames(SFTPRequest["list[str] | None"]):
    """READDIR whose answer is needed for its names alone; the result is None at the end."""

    NUMBER = FXP.READDIR
    ANSWER = FXP.NAME

    handle: DirectoryHandle

    @classmethod
    def decode_answer(cls, reader: WireReader) -> list[str] | None:
        """Take the names."""
        return take_names(reader) or None


@request(FXP.REMOVE)
class Remove(StatusRequest):
    """Remove a file."""

    path: Text


@request(FXP.MKDIR)
class MkDir(StatusRequest):
    """Make a directory."""

    path: Text
    attributes: Attrs = Attributes()


@request(FXP.RMDIR)
class RmDir(StatusRequest):
    """Remove an empty directory."""

    path: Text


@request(FXP.REALPATH)
class RealPath(PathRequest):
    """Ask for the absolute path of ``path``.

    ``check`` is the control byte of version 6: whether the file must exist; 0 without one.
    """

    path: Text
    check: int = 0


@request(FXP.STAT)
class Stat(AttributesRequest):
    """Ask for a file's attributes, following symbolic links."""

    path: Text


@request(FXP.RENAME)
class Rename(StatusRequest):
    """Rename a file; an existing ``new`` is an error."""

    old: Text
    new: Text


@request(FXP.READLINK)
class ReadLink(PathRequest):
    """Ask where a symbolic link points."""

    path: Text


@request(FXP.SYMLINK)
class SymLink(StatusRequest):
    """Make the symbolic link ``link``, which points to ``target``.

    This is OpenSSH's order on the wire; see :mod:`nacre.sftp.protocol.symlinks`.
    """

    target: Text
    link: Text


@compiled
class DraftSymLink(StatusRequest):
    """SYMLINK with the link first, as the draft has it (6.10)."""

    NUMBER = FXP.SYMLINK

    link: Text
    target: Text

    @classmethod
    def decode(cls, reader: WireReader) -> SymLink:  # type: ignore[override]
        """Take the fields; a server carries out one request, whatever their order was."""
        link, target = reader.text(), reader.text()
        return SymLink(target, link)
