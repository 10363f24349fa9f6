"""The extended requests, by their names.

OpenSSH's are specified in its PROTOCOL document, section 4; ``copy-data``, ``home-directory`` and
``check-file`` in draft-ietf-secsh-filexfer-extensions-00; the last three here in
draft-ietf-secsh-filexfer-13.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self, dataclass_transform

from nacre.errors import MalformedMessage
from nacre.limits import DEFAULT_SFTP_LIMITS
from nacre.sftp.protocol.messages import (
    FXP,
    AnyHandle,
    Attrs,
    FileHandle,
    PathRequest,
    Q,
    SFTPRequest,
    StatusRequest,
    compiled,
)
from nacre.wire.codec import WireReader, text, u32
from nacre.wire.message import U32, U64, Bool, Record, Rest, String, Text, record

EXTENSIONS: dict[str, type[SFTPRequest[Any]]] = {}
"""The extended requests of this implementation, by name."""

LATER_EXTENSIONS: dict[str, type[SFTPRequest[Any]]] = {}
"""Those that draft-ietf-secsh-filexfer-13 adds. Lists of allowed requests do not name them."""

HASHES = ("sha256", "sha512", "sha384", "sha224")
"""The hash algorithms of ``check-file``. MD5 and SHA-1 are left out: they have collisions."""

OFFERED = {
    "posix-rename@openssh.com": "1",
    "statvfs@openssh.com": "2",
    "fstatvfs@openssh.com": "2",
    "hardlink@openssh.com": "1",
    "fsync@openssh.com": "1",
    "lsetstat@openssh.com": "1",
    "limits@openssh.com": "1",
    "expand-path@openssh.com": "1",
    "users-groups-by-id@openssh.com": "1",
    "copy-data": "1",
    "home-directory": "1",
    "check-file": ",".join(HASHES),
}
"""Names and data that a server announces in VERSION: a version, or algorithms (check-file)."""

_ANNOUNCED_AS = {
    "check-file-handle": "check-file",
    "check-file-name": "check-file",
    "version-select": "versions",
    "filename-translation-control": "filename-charset",
}


def announced_as(name: str) -> str:
    """Return the name under which VERSION announces the extended request ``name``."""
    return _ANNOUNCED_AS.get(name, name)


@dataclass_transform(frozen_default=True)
def extension(
    name: str, among: dict[str, type[SFTPRequest[Any]]] = EXTENSIONS
) -> Callable[[type[Q]], type[Q]]:
    """Make a class the extended request ``name``."""

    def decorate(cls: type[Q]) -> type[Q]:
        made = compiled(cls)
        made.NUMBER = FXP.EXTENDED
        made.EXTENSION = name
        among[name] = made
        return made

    return decorate


def encode_pairs(pairs: dict[str, str]) -> bytes:
    """Return the bytes of the extension pairs at the end of INIT and VERSION."""
    return b"".join([text(name) + text(data) for name, data in pairs.items()])


def take_pairs(reader: WireReader) -> dict[str, str]:
    """Take the extension pairs off the end of INIT or VERSION (draft-ietf-secsh-filexfer-02, 4).

    :raises MalformedMessage: one is truncated, or there are too many.
    """
    pairs: dict[str, str] = {}
    for _ in range(DEFAULT_SFTP_LIMITS.extensions):
        if not reader.remaining:
            return pairs
        name = reader.text()
        pairs[name] = reader.text()
    if reader.remaining:
        raise MalformedMessage(f"more than {DEFAULT_SFTP_LIMITS.extensions} extensions")
    return pairs


@extension("posix-rename@openssh.com")
class PosixRename(StatusRequest):
    """Rename a file; an existing ``new`` is replaced atomically."""

    old: Text
    new: Text


@record
class FileSystemStatus(Record):
    """The state of a file system; the fields are those of :func:`os.statvfs`."""

    bsize: U64
    frsize: U64
    blocks: U64
    bfree: U64
    bavail: U64
    files: U64
    ffree: U64
    favail: U64
    fsid: U64
    flag: U64
    namemax: U64


class StatVFSRequest(SFTPRequest[FileSystemStatus]):
    """A request for the state of a file system."""

    __slots__ = ()
    ANSWER = FXP.EXTENDED_REPLY

    @classmethod
    def decode_answer(cls, reader: WireReader) -> FileSystemStatus:
        """Take the eleven numbers."""
        return FileSystemStatus.decode(reader.fixed(11 * 8))


@extension("statvfs@openssh.com")
class StatVFS(StatVFSRequest):
    """Ask for the state of the file system that holds ``path``."""

    path: Text


@extension("fstatvfs@openssh.com")
class FStatVFS(StatVFSRequest):
    """Ask for the state of the file system that holds an open file."""

    handle: AnyHandle


@extension("hardlink@openssh.com")
class HardLink(StatusRequest):
    """Make ``new`` another name of the file ``old``."""

    old: Text
    new: Text


@extension("fsync@openssh.com")
class FSync(StatusRequest):
    """Flush an open file to the disk before answering."""

    handle: FileHandle


@extension("lsetstat@openssh.com")
class LSetStat(StatusRequest):
    """Set attributes, not following a symbolic link."""

    path: Text
    attributes: Attrs


@record
class ServerLimits(Record):
    """A server's limits; 0 stands for one that it does not announce.

    :ivar packet: bytes of a packet.
    :ivar read: bytes one READ returns.
    :ivar write: bytes one WRITE takes.
    :ivar handles: files and directories open at once.
    """

    packet: U64
    read: U64
    write: U64
    handles: U64


@extension("limits@openssh.com")
class LimitsRequest(SFTPRequest[ServerLimits]):
    """Ask for the server's limits."""

    ANSWER = FXP.EXTENDED_REPLY

    @classmethod
    def decode_answer(cls, reader: WireReader) -> ServerLimits:
        """Take the four numbers."""
        return ServerLimits.decode(reader.fixed(4 * 8))


@extension("expand-path@openssh.com")
class ExpandPath(PathRequest):
    """Ask for an absolute path, as REALPATH does; ``~`` and ``~user`` are home directories."""

    path: Text


@extension("home-directory")
class HomeDirectory(PathRequest):
    """Ask for a user's home directory; an empty name stands for the session's user."""

    user: Text


@extension("users-groups-by-id@openssh.com")
class UsersGroupsById(SFTPRequest[tuple[tuple[str, ...], tuple[str, ...]]]):
    """Ask for the names of numeric users and groups; make it with :meth:`of`.

    The result has a name for each number, in their order; an unknown one is empty.
    """

    ANSWER = FXP.EXTENDED_REPLY

    packed_uids: String
    packed_gids: String

    @classmethod
    def of(cls, uids: tuple[int, ...], gids: tuple[int, ...]) -> Self:
        """Return the request for these numbers."""
        return cls(b"".join(map(u32, uids)), b"".join(map(u32, gids)))

    @property
    def uids(self) -> tuple[int, ...]:
        """The numbers of the users."""
        return _numbers(self.packed_uids)

    @property
    def gids(self) -> tuple[int, ...]:
        """The numbers of the groups."""
        return _numbers(self.packed_gids)

    @classmethod
    def decode(cls, reader: WireReader) -> Self:
        """Take both lists of numbers."""
        value = cls(reader.string(), reader.string())
        if len(value.packed_uids) % 4 or len(value.packed_gids) % 4:
            raise MalformedMessage("a list of numbers whose size is not a multiple of 4")
        return value

    @classmethod
    def decode_answer(cls, reader: WireReader) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Take both lists of names."""
        return _names(reader.string()), _names(reader.string())


@record
class UsersGroupsAnswer(Record):
    """The answer to :class:`UsersGroupsById`; make it with :meth:`of`."""

    packed_users: String
    packed_groups: String

    @classmethod
    def of(cls, users: tuple[str, ...], groups: tuple[str, ...]) -> Self:
        """Return the answer with these names, in the order of the numbers; "" is unknown."""
        return cls(b"".join(map(text, users)), b"".join(map(text, groups)))


def _numbers(packed: bytes) -> tuple[int, ...]:
    reader = WireReader(packed)
    return tuple([reader.u32() for _ in range(len(packed) // 4)])


def _names(packed: bytes) -> tuple[str, ...]:
    reader = WireReader(packed)
    names = []
    while reader.remaining:
        names.append(reader.text())
    return tuple(names)


@extension("copy-data")
class CopyData(StatusRequest):
    """Copy bytes from one open file to another; a length of 0 means up to the end of the file."""

    read_from: FileHandle
    read_offset: U64
    length: U64
    write_to: FileHandle
    write_offset: U64


@record
class FileHashes(Record):
    """The answer to ``check-file``.

    :ivar algorithm: the one that the server chose among those of the request.
    :ivar hashes: the hashes of the blocks, one after the other.
    """

    algorithm: Text
    hashes: Rest


class CheckFileRequest(SFTPRequest[FileHashes]):
    """A request for hashes: one for each block of a range, or one for all with a block size of 0.

    ``algorithms`` are names joined by commas, the preferred first. A ``length`` of 0 means up to
    the end of the file. A ``block_size`` other than 0 is at least 256.
    """

    __slots__ = ()
    ANSWER = FXP.EXTENDED_REPLY

    @classmethod
    def decode_answer(cls, reader: WireReader) -> FileHashes:
        """Take the algorithm and the hashes.

        They may follow the name ``check-file``, as in earlier drafts and from Paramiko.
        """
        algorithm = reader.text()
        if algorithm == CheckFile.EXTENSION:
            algorithm = reader.text()
        return FileHashes(algorithm, reader.rest())


@extension("check-file-handle")
class CheckFileHandle(CheckFileRequest):
    """Ask for hashes of an open file."""

    handle: FileHandle
    algorithms: Text
    offset: U64
    length: U64
    block_size: U32


@extension("check-file-name")
class CheckFileName(CheckFileRequest):
    """Ask for hashes of a file by its path."""

    path: Text
    algorithms: Text
    offset: U64
    length: U64
    block_size: U32


@extension("check-file")
class CheckFile(CheckFileRequest):
    """Paramiko's name of ``check-file-handle``; its answer begins with ``check-file``."""

    handle: FileHandle
    algorithms: Text
    offset: U64
    length: U64
    block_size: U32


@extension("version-select", LATER_EXTENSIONS)
class VersionSelect(StatusRequest):
    """Go on with another version, of those that the server announced (5.5)."""

    version: Text


@extension("text-seek", LATER_EXTENSIONS)
class TextSeek(StatusRequest):
    """Move to the beginning of a line, counted from 0, in a file opened as text (4.3, 5.3)."""

    handle: FileHandle
    line: U64


@extension("filename-translation-control", LATER_EXTENSIONS)
class FilenameTranslationControl(StatusRequest):
    """Turn the translation of names to UTF-8 on or off (6.1)."""

    translate: Bool
