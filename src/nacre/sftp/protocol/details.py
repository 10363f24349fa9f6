"""The ATTRS structure of versions 4 to 6 (draft-ietf-secsh-filexfer-13, section 7).

A structure is flags, the type of the file, and the fields whose flags are set. :data:`_ROWS` has
the fields in their order, each with the versions that have it.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterable
from enum import IntFlag
from functools import cache
from struct import error as StructError
from typing import Any, NamedTuple

from nacre.errors import MalformedMessage
from nacre.sftp.protocol.attributes import (
    NO_DETAILS,
    Attributes,
    FileDetails,
    dated,
    take_extended,
)
from nacre.wire import codec
from nacre.wire.codec import WireReader, string, text, u8, u32

_LAST = 6
_U32_MAX = 0xFFFFFFFF
_SECOND = 1_000_000_000


class DetailFlag(IntFlag):
    """SSH_FILEXFER_ATTR flags from version 4 on (7.1)."""

    SIZE = 0x00000001
    PERMISSIONS = 0x00000004
    ACCESSTIME = 0x00000008
    CREATETIME = 0x00000010
    MODIFYTIME = 0x00000020
    ACL = 0x00000040
    OWNERGROUP = 0x00000080
    SUBSECOND_TIMES = 0x00000100
    BITS = 0x00000200
    ALLOCATION_SIZE = 0x00000400
    TEXT_HINT = 0x00000800
    MIME_TYPE = 0x00001000
    LINK_COUNT = 0x00002000
    UNTRANSLATED_NAME = 0x00004000
    CTIME = 0x00008000
    EXTENDED = 0x80000000


_SUBSECOND, _EXTENDED = int(DetailFlag.SUBSECOND_TIMES), int(DetailFlag.EXTENDED)

_UNKNOWN = 5
_SPECIAL = 4
_TYPES = {
    stat.S_IFREG: 1, stat.S_IFDIR: 2, stat.S_IFLNK: 3, stat.S_IFSOCK: 6, stat.S_IFCHR: 7,
    stat.S_IFBLK: 8, stat.S_IFIFO: 9,
}  # fmt: skip
"""SSH_FILEXFER_TYPE by ``S_IFMT`` bits (7.2); version 4 ends with 5."""

_MODES = {number: kind for kind, number in _TYPES.items()} | {_SPECIAL: stat.S_IFCHR}
"""The reverse. Special is anything that is no file, directory or link: a device is as good."""

Put = Callable[[Any], bytes]
Take = Callable[[WireReader], Any]


def _seconds(value: int) -> bytes:
    return value.to_bytes(8, "big", signed=True)


def _take_seconds(reader: WireReader) -> int:
    return dated(int.from_bytes(reader.fixed(8), "big", signed=True))


def _take_nanoseconds(reader: WireReader) -> int:
    found = reader.u32()
    if found >= _SECOND:
        raise MalformedMessage(f"{found} nanoseconds of one second")
    return found


_BYTE: tuple[Put, Take] = (u8, WireReader.u8)
_U32: tuple[Put, Take] = (u32, WireReader.u32)
_U64: tuple[Put, Take] = (codec.u64, WireReader.u64)
_TEXT: tuple[Put, Take] = (text, WireReader.text)
_STRING: tuple[Put, Take] = (string, WireReader.string)
_MODE: tuple[Put, Take] = (lambda mode: u32(stat.S_IMODE(mode)), WireReader.u32)
_TIME: tuple[Put, Take] = (_seconds, _take_seconds)
_PART: tuple[Put, Take] = (u32, _take_nanoseconds)


class _Row(NamedTuple):
    """Fields that share a flag: their names and how each is put and taken.

    :ivar since: the first version that has them.
    :ivar until: the last one.
    """

    flag: int
    since: int
    names: tuple[str, ...]
    kinds: tuple[tuple[Put, Take], ...]
    until: int = _LAST


def _row(flag: DetailFlag, since: int, until: int = _LAST, **kinds: tuple[Put, Take]) -> _Row:
    return _Row(int(flag), since, tuple(kinds), tuple(kinds.values()), until)


_ROWS = (
    _row(DetailFlag.SIZE, 4, size=_U64),
    _row(DetailFlag.ALLOCATION_SIZE, 6, allocation_size=_U64),
    _row(DetailFlag.OWNERGROUP, 4, owner=_TEXT, group=_TEXT),
    _row(DetailFlag.PERMISSIONS, 4, permissions=_MODE),
    _row(DetailFlag.ACCESSTIME, 4, atime=_TIME, atime_ns=_PART),
    _row(DetailFlag.CREATETIME, 4, birthtime=_TIME, birthtime_ns=_PART),
    _row(DetailFlag.MODIFYTIME, 4, mtime=_TIME, mtime_ns=_PART),
    _row(DetailFlag.CTIME, 6, ctime=_TIME, ctime_ns=_PART),
    _row(DetailFlag.ACL, 4, acl=_STRING),
    _row(DetailFlag.BITS, 5, 5, bits=_U32),
    _row(DetailFlag.BITS, 6, bits=_U32, bits_valid=_U32),
    _row(DetailFlag.TEXT_HINT, 6, text_hint=_BYTE),
    _row(DetailFlag.MIME_TYPE, 6, mime_type=_TEXT),
    _row(DetailFlag.LINK_COUNT, 6, links=_U32),
    _row(DetailFlag.UNTRANSLATED_NAME, 6, untranslated_name=_STRING),
)


@cache
def _rows(version: int) -> tuple[_Row, ...]:
    return tuple([row for row in _ROWS if row.since <= version <= row.until])


@cache
def known_flags(version: int) -> int:
    """Return the flags that a version has."""
    return sum({row.flag for row in _rows(version)}) | _SUBSECOND | _EXTENDED


def put_attributes(attributes: Attributes, version: int) -> bytes:
    """Return the bytes of the ATTRS structure.

    :raises ValueError: a number does not fit into its field.
    """
    values = _values(attributes)
    subsecond = any(values[f"{name}time_ns"] is not None for name in ("a", "m", "c", "birth"))
    kind = _TYPES.get(stat.S_IFMT(attributes.permissions or 0), _UNKNOWN)
    if version == 4 and kind > _UNKNOWN:
        kind = _SPECIAL
    flags = _SUBSECOND if subsecond else 0
    parts = [b"", u8(kind)]
    try:
        for row in _rows(version):
            if values[row.names[0]] is not None:
                flags |= row.flag
                parts += _put_row(row, values, subsecond)
    except (StructError, OverflowError, ValueError) as error:
        raise ValueError(f"an attribute is out of range: {attributes}") from error
    if attributes.extended:
        flags |= _EXTENDED
        parts.append(u32(len(attributes.extended)))
        parts += [text(name) + string(data) for name, data in attributes.extended]
    parts[0] = u32(flags)
    return b"".join(parts)


def _values(attributes: Attributes) -> dict[str, Any]:
    """Return all fields by name, with those that the protocol wants together.

    Numbers stand for owners without names. Of owner and group, an empty name is left as it is. All
    bits are valid unless it is said which are.
    """
    values = attributes._asdict() | attributes.details._asdict()
    owner, group, bits = values["owner"], values["group"], values["bits"]
    if owner is not None or group is not None:
        values |= {"owner": owner or "", "group": group or ""}
    elif attributes.uid is not None:
        values |= {"owner": str(attributes.uid), "group": str(attributes.gid)}
    if values["bits_valid"] is None:
        values["bits_valid"] = bits
    return values


def _put_row(row: _Row, values: dict[str, Any], subsecond: bool) -> Iterable[bytes]:
    for name, kind in zip(row.names, row.kinds, strict=True):
        if kind is not _PART:
            yield kind[0](values[name])
        elif subsecond:
            yield kind[0](values[name] or 0)


def take_attributes(reader: WireReader, version: int) -> Attributes:
    """Take an ATTRS structure of a request off ``reader``: attributes to be set.

    Its type is ignored. A time may come without the other one, and an owner without a number.

    :raises MalformedMessage: it is truncated, or has a flag that the version does not have.
    """
    return _take(reader, version)[0]


def take_found(reader: WireReader, version: int) -> Attributes:
    """Take an ATTRS structure of an answer: attributes of a file, with its type.

    :raises MalformedMessage: as :func:`take_attributes`.
    """
    found, kind = _take(reader, version)
    return found if found.has_type or not kind else found.of_type(kind)


def _take(reader: WireReader, version: int) -> tuple[Attributes, int]:
    flags = reader.u32()
    if unknown := flags & ~known_flags(version):
        raise MalformedMessage(f"attributes with the flags {unknown:#x}, unknown to the version")
    # phpseclib sends no type when it sets nothing.
    kind = _MODES.get(reader.u8(), 0) if flags or reader.remaining else 0
    values: dict[str, Any] = {}
    for row in _rows(version):
        if not flags & row.flag:
            continue
        for name, (_, take) in zip(row.names, row.kinds, strict=True):
            if take is not _take_nanoseconds or flags & _SUBSECOND:
                values[name] = take(reader)
    if flags & _EXTENDED:
        values["extended"] = take_extended(reader)
    values["uid"], values["gid"] = _numbers(values.get("owner"), values.get("group"))
    details = {name: values.pop(name) for name in FileDetails._fields if name in values}
    values["details"] = FileDetails(**details) if details else NO_DETAILS
    return Attributes()._replace(**values), kind


def _numbers(owner: str | None, group: str | None) -> tuple[int | None, int | None]:
    """Return the numbers that stand in place of both names; None for other names."""
    uid, gid = number_of(owner), number_of(group)
    return (None, None) if uid is None or gid is None else (uid, gid)


def number_of(name: str | None) -> int | None:
    """Return the number of a user or group that stands in place of the name; None for a name."""
    if name is None or not (name.isascii() and name.isdigit()) or len(name) > 10:
        return None
    return number if (number := int(name)) <= _U32_MAX else None
