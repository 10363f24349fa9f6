"""The requests of SFTP version 3 (draft-ietf-secsh-filexfer-02), by their names there.

A request is a value, the same on both ends: a client sends it, a server hands it to a filesystem.
Its type says what the answer is: ``Request[Attributes]`` is answered by attributes or by a failure.
The request id is not part of it; the client and the server keep it.
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
from nacre.sftp.protocol.attributes import Attributes, Entry, take_attributes, take_entry
from nacre.value import value
from nacre.wire import codec
from nacre.wire.codec import Buffer, WireReader
from nacre.wire.message import U32, U64, Text

VERSION_3 = 3
"""The version spoken here, and by everyone."""


class FXP(IntEnum):
    """Packet types (section 3)."""

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
    """Bytes in parts that follow one another: so a large WRITE comes in, and is not joined."""

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
    "attributes": (Attributes.encode, take_attributes),
}

R_co = TypeVar("R_co", covariant=True)


class SFTPRequest(Generic[R_co]):
    """A request whose answer, where it is no failure, is an ``R_co``.

    :cvar NUMBER: its packet type.
    :cvar ANSWER: the type of the packet that answers it, where that is no STATUS of failure.
    :cvar EXTENSION: the extension's name, or nothing.
    :cvar HANDLES: the fields that hold a handle, and of what: ``file``, ``directory`` or ``any``.
    """

    __slots__ = ()
    NUMBER: ClassVar[int]
    ANSWER: ClassVar[int] = FXP.STATUS
    EXTENSION: ClassVar[str] = ""
    HANDLES: ClassVar[tuple[tuple[str, str], ...]] = ()
    _LAYOUT: ClassVar[tuple[tuple[str, Put, Take], ...]] = ()

    def encode(self) -> bytes:
        """Return the fields' bytes: what follows the request id, or the extension's name."""
        layout = self._LAYOUT
        if len(layout) == 1:  # a path or a handle alone, as most requests have it
            name, put, _ = layout[0]
            return put(getattr(self, name))
        return b"".join([put(getattr(self, name)) for name, put, _ in layout])

    @classmethod
    def decode(cls, reader: WireReader) -> Self:
        """Take the fields off ``reader``.

        :raises MalformedMessage: when one is cut off or malformed, or bytes follow the last.
        """
        value = cls(*[take(reader) for _, _, take in cls._LAYOUT])
        reader.end()
        return value

    @classmethod
    def decode_answer(cls, reader: WireReader) -> R_co:
        """Take what an ``ANSWER`` packet holds behind the request id.

        :raises MalformedMessage: when it is not that.
        """
        raise NotImplementedError

    @property
    def paths(self) -> tuple[str | None, str | None]:
        """The paths it names, for exceptions."""
        names = [
            getattr(self, name)
            for name in ("path", "old", "new", "target", "link")
            if hasattr(self, name)
        ]
        return (*names, None, None)[:2]


class StatusRequest(SFTPRequest[None]):
    """A request that succeeds or fails, and answers nothing else."""

    __slots__ = ()

    @classmethod
    def decode_answer(cls, reader: WireReader) -> None:
        """There is nothing more than the status."""


class HandleRequest(SFTPRequest[bytes]):
    """A request that opens something: its answer is a handle."""

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
        """Take the path."""
        if reader.u32() != 1:
            raise MalformedMessage("not one path where one was asked for")
        return take_entry(reader).name


Q = TypeVar("Q", bound=SFTPRequest[Any])


def compiled(cls: type[Q]) -> type[Q]:
    """Make ``cls`` a value with the layout that its annotations give."""
    made = value(cls)
    hints = get_type_hints(made, include_extras=True)
    kinds = {name: hints[name].__metadata__ for name in made.__match_args__}  # type: ignore[attr-defined]
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
"""Every request but the extended ones, by its type."""


@request(FXP.OPEN)
class Open(HandleRequest):
    """Open a file, or create it with ``attributes``."""

    path: Text
    flags: U32
    attributes: Attrs = Attributes()


@request(FXP.CLOSE)
class Close(StatusRequest):
    """Close a file or a directory; whatever the answer, the handle is gone."""

    handle: AnyHandle


@request(FXP.READ)
class Read(SFTPRequest["memoryview | None"]):
    """Read at most ``length`` bytes from ``offset`` on; None is the end of the file."""

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
    """Write all of ``data`` at ``offset``; on a server ``data`` are views into the packet."""

    handle: FileHandle
    offset: U64
    data: StringData


@request(FXP.LSTAT)
class LStat(AttributesRequest):
    """Ask for a file's attributes, a symbolic link's own."""

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
    """Open a directory, to list it."""

    path: Text


@request(FXP.READDIR)
class ReadDir(SFTPRequest["tuple[Entry, ...] | None"]):
    """Ask for the next entries of a directory; None is the end."""

    ANSWER = FXP.NAME

    handle: DirectoryHandle

    @classmethod
    def decode_answer(cls, reader: WireReader) -> tuple[Entry, ...] | None:
        """Take the entries; a count that the packet can't hold fails at the first missing one."""
        return tuple([take_entry(reader) for _ in range(reader.u32())]) or None


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
    """Ask for the absolute path of ``path``."""

    path: Text


@request(FXP.STAT)
class Stat(AttributesRequest):
    """Ask for a file's attributes, through symbolic links."""

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
    """Make ``link``, which points at ``target``.

    The draft has these two in the other order. OpenSSH's server has always taken the target first,
    and everyone followed it, so that is the order on the wire.
    """

    target: Text
    link: Text
