"""File attributes, their form in version 3, and the lines of a listing.

The form is that of draft-ietf-secsh-filexfer-02, section 5; that of later versions is in
:mod:`nacre.sftp.protocol.details`.
"""

from __future__ import annotations

import os
import stat
import struct
from datetime import UTC, datetime, tzinfo
from enum import IntFlag
from functools import lru_cache
from typing import NamedTuple, Self

from nacre.errors import MalformedMessage
from nacre.limits import DEFAULT_SFTP_LIMITS
from nacre.value import value
from nacre.wire.codec import WireReader, string, text, u32, u64

_U32_MAX = 0xFFFFFFFF
_HALF_A_YEAR = 365 * 24 * 3600 // 2
_TEXTS = 1024
"""Parts of lines of a listing that are kept, for each kind of part."""

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class AttributeFlag(IntFlag):
    """SSH_FILEXFER_ATTR flags: which fields follow."""

    SIZE = 0x00000001
    UIDGID = 0x00000002
    PERMISSIONS = 0x00000004
    ACMODTIME = 0x00000008
    EXTENDED = 0x80000000


_KNOWN = 0x8000000F
_USUAL = 0x0000000F
_U32 = struct.Struct(">I")
_USUAL_FIELDS = struct.Struct(">QIIIII")
_USUAL_WHOLE = struct.Struct(">IQIIIII")
# Plain numbers: combining IntFlags takes microseconds, and a listing has many attributes.
_SIZE, _UIDGID, _PERMISSIONS, _ACMODTIME, _EXTENDED = map(int, AttributeFlag)


_NEW_MODES = {stat.S_IFDIR: 0o755, stat.S_IFLNK: 0o777}
_LETTERS = {
    "-": stat.S_IFREG, "d": stat.S_IFDIR, "l": stat.S_IFLNK, "p": stat.S_IFIFO,
    "s": stat.S_IFSOCK, "b": stat.S_IFBLK, "c": stat.S_IFCHR,
}  # fmt: skip
"""Types of files, by the first letter of a line of ``ls -l``."""


class FileDetails(NamedTuple):
    """What versions 4 to 6 tell of a file in addition; what is not known is None. A tuple.

    Parts of a second are in nanoseconds, 0 to 999,999,999, and follow the time of the same name.

    :ivar owner: the owner's name, or the number as text where there is no name.
    :ivar group: the group's name, in the same form.
    :ivar allocation_size: bytes of storage (version 6).
    :ivar birthtime: when the file was made, in seconds since 1970.
    :ivar ctime: the last change of content or attributes, in seconds since 1970 (version 6).
    :ivar acl: the access control list as it was sent (draft-ietf-secsh-filexfer-13, 7.8).
    :ivar bits: flags such as hidden and read-only (version 5; 7.9).
    :ivar bits_valid: those of them that mean something (version 6).
    :ivar text_hint: whether the server takes the file for text (version 6; 7.10).
    :ivar mime_type: the type of the content (version 6).
    :ivar links: how many names the file has (version 6).
    :ivar untranslated_name: the bytes of a name that the server could not translate (version 6).
    """

    owner: str | None = None
    group: str | None = None
    allocation_size: int | None = None
    atime_ns: int | None = None
    mtime_ns: int | None = None
    birthtime: int | None = None
    birthtime_ns: int | None = None
    ctime: int | None = None
    ctime_ns: int | None = None
    acl: bytes | None = None
    bits: int | None = None
    bits_valid: int | None = None
    text_hint: int | None = None
    mime_type: str | None = None
    links: int | None = None
    untranslated_name: bytes | None = None

    def __repr__(self) -> str:
        known = {name: one for name, one in self._asdict().items() if one is not None}
        return f"FileDetails({', '.join(f'{name}={one!r}' for name, one in known.items())})"


NO_DETAILS = FileDetails()
"""The details of every file in a session of version 3."""

_SECOND = 1_000_000_000

_EARLIEST, _LATEST = -62_000_000_000, 253_000_000_000
"""Seconds since 1970 of the years 5 and 9987."""


class _Fields(NamedTuple):
    size: int | None
    uid: int | None
    gid: int | None
    permissions: int | None
    atime: int | None
    mtime: int | None
    extended: tuple[tuple[str, bytes], ...]
    details: FileDetails


class Attributes(_Fields):
    """The known attributes of a file, or those to set; the others are None. A tuple.

    :ivar size: bytes.
    :ivar uid: numeric owner; goes with ``gid``.
    :ivar gid: numeric group; goes with ``uid``.
    :ivar permissions: ``st_mode``: permission bits; a server adds the type of the file.
    :ivar atime: the last access, in seconds since 1970; goes with ``mtime``.
    :ivar mtime: the last change, in seconds since 1970. Given alone it is the ``atime`` too,
        because version 3 has no flag for one of the two.
    :ivar extended: pairs of an extension's name and its bytes.
    :ivar details: what versions 4 to 6 have in addition; version 3 ignores it.
    :raises ValueError: ``uid`` or ``gid`` is given without the other, or ``atime`` without
        ``mtime``.
    """

    __slots__ = ()

    def __new__(
        cls,
        size: int | None = None,
        uid: int | None = None,
        gid: int | None = None,
        permissions: int | None = None,
        atime: int | None = None,
        mtime: int | None = None,
        extended: tuple[tuple[str, bytes], ...] = (),
        details: FileDetails = NO_DETAILS,
    ) -> Self:
        if (uid is None) != (gid is None):
            raise ValueError("uid and gid go together")
        if atime is None:
            atime = mtime
        elif mtime is None:
            raise ValueError("atime without mtime: give both, or mtime alone")
        return super().__new__(cls, size, uid, gid, permissions, atime, mtime, extended, details)

    @classmethod
    def of(cls, result: os.stat_result) -> Self:
        """Return the attributes of a ``stat`` result; times are clamped to 32 bits."""
        mode, _, _, _, uid, gid, size, atime, mtime, _ = result
        if not (0 <= atime <= _U32_MAX and 0 <= mtime <= _U32_MAX):
            atime, mtime = (min(max(seconds, 0), _U32_MAX) for seconds in (atime, mtime))
        found = (size, uid & _U32_MAX, gid & _U32_MAX, mode, int(atime), int(mtime), (), NO_DETAILS)
        return tuple.__new__(cls, found)

    @classmethod
    def detailed(cls, result: os.stat_result) -> Self:
        """Return what :meth:`of` does, with the details of the result and times of 64 bits."""
        atime, atime_ns = _split(result.st_atime_ns)
        mtime, mtime_ns = _split(result.st_mtime_ns)
        ctime, ctime_ns = _split(result.st_ctime_ns)
        details = FileDetails(
            atime_ns=atime_ns,
            mtime_ns=mtime_ns,
            ctime=ctime,
            ctime_ns=ctime_ns,
            links=result.st_nlink & _U32_MAX,
        )
        return cls.of(result)._replace(atime=atime, mtime=mtime, details=details)

    @property
    def times_ns(self) -> tuple[int, int] | None:
        """The times of access and change in nanoseconds; None where one of them is not known."""
        if self.atime is None or self.mtime is None:
            return None
        atime_ns, mtime_ns = self.details.atime_ns or 0, self.details.mtime_ns or 0
        return self.atime * _SECOND + atime_ns, self.mtime * _SECOND + mtime_ns

    @property
    def has_type(self) -> bool:
        """Whether the permissions tell the type of the file: some servers send the bits alone."""
        return self.permissions is not None and stat.S_IFMT(self.permissions) != 0

    def of_type(self, kind: int) -> Attributes:
        """Return these attributes for a file of a type.

        :param kind: its ``S_IFMT`` bits. Permissions that the server did not send are the usual
            ones of a new file.
        """
        bits = _NEW_MODES.get(kind, 0o644) if self.permissions is None else self.permissions
        return self._replace(permissions=kind | stat.S_IMODE(bits))

    @property
    def is_directory(self) -> bool:
        """Whether the permissions are those of a directory."""
        return stat.S_ISDIR(self.permissions or 0)

    @property
    def is_file(self) -> bool:
        """Whether the permissions are those of a regular file."""
        return stat.S_ISREG(self.permissions or 0)

    @property
    def is_symlink(self) -> bool:
        """Whether the permissions are those of a symbolic link."""
        return stat.S_ISLNK(self.permissions or 0)

    def encode(self) -> bytes:
        """Return the bytes of the ATTRS structure.

        :raises ValueError: a number does not fit: 64 bits for the size, 32 for all others.
        """
        try:
            if None in self[:6] or self.extended:
                return self._encode()
            return _USUAL_WHOLE.pack(_USUAL, *self[:6])
        except struct.error:
            raise ValueError(f"an attribute is out of range: {self}") from None

    def _encode(self) -> bytes:
        flags = 0
        parts = [b""]
        if self.size is not None:
            flags |= _SIZE
            parts.append(u64(self.size))
        if self.uid is not None and self.gid is not None:
            flags |= _UIDGID
            parts += u32(self.uid), u32(self.gid)
        if self.permissions is not None:
            flags |= _PERMISSIONS
            parts.append(u32(self.permissions))
        if self.atime is not None and self.mtime is not None:
            flags |= _ACMODTIME
            parts += u32(self.atime), u32(self.mtime)
        if self.extended:
            flags |= _EXTENDED
            parts.append(u32(len(self.extended)))
            for name, data in self.extended:
                parts += text(name), string(data)
        parts[0] = u32(flags)
        return b"".join(parts)


def dated(seconds: int) -> int:
    """Return a time that a date can be made of: the one that was given, or the nearest."""
    return min(max(seconds, _EARLIEST), _LATEST)


def _split(nanoseconds: int) -> tuple[int, int]:
    seconds, part = divmod(nanoseconds, _SECOND)
    return dated(seconds), part


def take_attributes(reader: WireReader, unknown: int = 0) -> Attributes:
    """Take an ATTRS structure off the front of ``reader``.

    Flags that version 3 does not have are ignored: some servers set those of later versions.

    :param unknown: bytes that follow the known fields for each flag that version 3 does not have.
    :raises MalformedMessage: it is truncated.
    """
    flags = reader.u32()
    if flags == _USUAL:
        return tuple.__new__(Attributes, (*reader.unpack(_USUAL_FIELDS), (), NO_DETAILS))
    size = uid = gid = permissions = atime = mtime = None
    if flags & _SIZE:
        size = reader.u64()
    if flags & _UIDGID:
        uid, gid = reader.u32(), reader.u32()
    if flags & _PERMISSIONS:
        permissions = reader.u32()
    if flags & _ACMODTIME:
        atime, mtime = reader.u32(), reader.u32()
    if unknown:
        reader.fixed(unknown * (flags & ~_KNOWN).bit_count())
    extended = take_extended(reader) if flags & _EXTENDED else ()
    return Attributes(size, uid, gid, permissions, atime, mtime, extended)


def take_extended(reader: WireReader) -> tuple[tuple[str, bytes], ...]:
    """Take the extended attributes of an ATTRS structure.

    :raises MalformedMessage: one is truncated, or there are too many.
    """
    count = reader.u32()
    if count > DEFAULT_SFTP_LIMITS.attribute_extensions:
        raise MalformedMessage(f"{count} extended attributes of one file")
    return tuple((reader.text(), reader.string()) for _ in range(count))


@value
class Entry:
    """One entry of a directory, or the path in an answer to REALPATH or READLINK.

    :ivar name: its name, one component; bytes that are not UTF-8 are surrogate escapes.
    :ivar longname: a line in the format of ``ls -l``, for display only.
    """

    name: str
    longname: str = ""
    attributes: Attributes = Attributes()

    def encode(self) -> bytes:
        """Return the bytes of one member of a NAME packet."""
        name = self.name.encode("utf-8", "surrogateescape")
        line = self.longname.encode("utf-8", "surrogateescape")
        sizes = _U32.pack(len(name)), _U32.pack(len(line))
        return b"".join((sizes[0], name, sizes[1], line, self.attributes.encode()))


_UNKNOWN_SIZES = (0, 4, 8)
"""Bytes that a server may send for each flag that version 3 does not have: none, or a time."""


def take_entries(reader: WireReader) -> tuple[Entry, ...]:
    """Take the members of a NAME packet, which ``reader`` holds up to the packet's end.

    Attributes with unknown flags do not tell how many bytes follow them. Of several sizes the one
    counts with which the last member ends where the packet does; otherwise the first one with
    which all members decode, and the bytes after the last member are ignored.

    :raises MalformedMessage: the members do not decode.
    """
    packet = reader.rest()
    found: list[tuple[Entry, ...]] = []
    failure: MalformedMessage | None = None
    for unknown in _UNKNOWN_SIZES:
        inside = WireReader(packet)
        try:
            # Too large a count fails at the first missing entry.
            entries = tuple([_take_entry(inside, unknown) for _ in range(inside.u32())])
        except MalformedMessage as error:
            failure = failure or error
            continue
        if not inside.remaining:
            return entries
        found.append(entries)
    if not found and failure is not None:
        raise failure
    return found[0]


def take_names(reader: WireReader) -> list[str]:
    """Take the names of a NAME packet, and nothing else of its members.

    :raises MalformedMessage: as :func:`take_entries`.
    """
    packet = reader.rest()
    names = []
    try:
        count, at = _U32.unpack_from(packet)[0], 4
        for _ in range(count):
            end = at + 4 + _U32.unpack_from(packet, at)[0]
            names.append(packet[at + 4 : end].decode("utf-8", "surrogateescape"))
            end += 4 + _U32.unpack_from(packet, end)[0]
            if _U32.unpack_from(packet, end)[0] != _USUAL:
                break
            at = end + _USUAL_WHOLE.size
        else:
            if at <= len(packet):
                return names
    except struct.error:
        pass
    # The usual members are of known sizes; anything else is left to the thorough function.
    return [entry.name for entry in take_entries(WireReader(packet))]


def _take_entry(reader: WireReader, unknown: int) -> Entry:
    return Entry(reader.text(), reader.text(), take_attributes(reader, unknown))


def type_in(longname: str) -> int:
    """Return the ``S_IFMT`` bits that a line of ``ls -l`` tells; 0 if it is in another format."""
    mode = longname[:10]
    if len(mode) == 10 and not mode[1:].strip("-rwxsStTlL"):
        return _LETTERS.get(mode[0], 0)
    return 0


def longname(
    name: str,
    attributes: Attributes,
    *,
    now: float,
    user: str | None = None,
    group: str | None = None,
    links: int | None = None,
    zone: tzinfo = UTC,
) -> str:
    """Return a line in the format of ``ls -l``, with the columns that the draft recommends (7).

    :param now: seconds since 1970: files changed in the last half year show a time, others a year.
    :param user: the owner's name; None for the number.
    :param group: the group's name; None for the number.
    """
    size, uid, gid, mode, _, mtime = attributes[:6]
    head = _head(mode or 0, links, user or uid, group or gid)
    changed = mtime or 0
    when = _when(changed, now - _HALF_A_YEAR <= changed <= now, zone)
    return f"{head} {size or 0:>8} {when} {name}"


# Most files of a directory have the same owner, and many the same time.


@lru_cache(_TEXTS)
def _head(mode: int, links: int | None, user: str | int | None, group: str | int | None) -> str:
    shown = ["?" if value is None else str(value) for value in (links, user, group)]
    return f"{stat.filemode(mode)} {shown[0]:>3} {shown[1]:<8} {shown[2]:<8}"


@lru_cache(_TEXTS)
def _when(mtime: int, recent: bool, zone: tzinfo) -> str:
    moment = datetime.fromtimestamp(mtime, zone)
    day = f"{_MONTHS[moment.month - 1]} {moment.day:>2}"
    if recent:
        return f"{day} {moment.hour:02}:{moment.minute:02}"
    return f"{day}  {moment.year}"
