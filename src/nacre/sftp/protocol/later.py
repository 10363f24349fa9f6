"""Versions 4, 5 and 6: what differs from version 3, a table a version.

Version 4 is draft-ietf-secsh-filexfer-04, 5 is -05, and 6 is -13. Requests are the same values as
in version 3, so that a client's callers and a server's operations know one kind of each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import IntFlag
from functools import partial
from typing import Any

from nacre._version import __version__
from nacre.errors import MalformedMessage
from nacre.limits import DEFAULT_SFTP_LIMITS
from nacre.sftp.protocol import extensions as ext
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.attributes import Attributes, Entry
from nacre.sftp.protocol.details import (
    DetailFlag,
    known_flags,
    put_attributes,
    take_attributes,
    take_found,
)
from nacre.sftp.protocol.messages import FXP, OpenFlag, SFTPRequest
from nacre.sftp.protocol.status import FX, LATER_CODES
from nacre.sftp.protocol.versions import THIRD, Form, Kind, Take, Version, form_of
from nacre.value import replace
from nacre.wire.codec import WireReader, boolean, string, text, u8, u32, u64

TEXT = 1 << 32
"""In :attr:`Open.options`, beyond the flags of any version: the file is opened as text."""

_TEXT_4 = 0x40
"""SSH_FXF_TEXT, the flag that version 4 adds to OPEN (draft-ietf-secsh-filexfer-04, 6.3)."""

NO_CHECK, CHECK_IF_THERE, CHECK_ALWAYS = 1, 2, 3
"""The control byte of REALPATH (draft-ietf-secsh-filexfer-13, 8.9)."""

_OVERWRITE, _ATOMIC, _NATIVE = 1, 2, 4
"""Flags of RENAME from version 5 on (8.3)."""


class Access(IntFlag):
    """ACE4 bits of OPEN's desired access (8.1.1.1): those that a server of files looks at."""

    READ_DATA = 0x001
    WRITE_DATA = 0x002
    APPEND_DATA = 0x004
    READ_ATTRIBUTES = 0x080
    WRITE_ATTRIBUTES = 0x100


class OpenWay(IntFlag):
    """SSH_FXF flags of OPEN from version 5 on (8.1.1.3), behind the disposition."""

    APPEND_DATA = 0x008
    APPEND_DATA_ATOMIC = 0x010
    TEXT_MODE = 0x020


# Plain numbers: the complement of an IntFlag has none of the flags that it does not name.
_DISPOSITION = 0x7
_APPEND = int(OpenWay.APPEND_DATA | OpenWay.APPEND_DATA_ATOMIC)
_SUPPORTED = _DISPOSITION | int(sum(OpenWay))
_MAKING = OpenFlag.CREAT | OpenFlag.TRUNC | OpenFlag.EXCL
_DISPOSITIONS = (
    OpenFlag.CREAT | OpenFlag.EXCL,
    OpenFlag.CREAT | OpenFlag.TRUNC,
    OpenFlag(0),
    OpenFlag.CREAT,
    OpenFlag.TRUNC,
)
"""What the values of the disposition mean, from CREATE_NEW to TRUNCATE_EXISTING."""

_SETTABLE = (
    DetailFlag.SIZE
    | DetailFlag.PERMISSIONS
    | DetailFlag.ACCESSTIME
    | DetailFlag.MODIFYTIME
    | DetailFlag.OWNERGROUP
    | DetailFlag.SUBSECOND_TIMES
)
"""Attributes that a server sets. There are no access control lists among them."""

_NO_BLOCKS = 0x0001
"""The combination of block flags that is supported: none, the lowest bit (5.4)."""


# --- requests of a client ---


def _put(kind: Kind, version: int) -> Callable[[Any], bytes]:
    """Return what encodes a request whose fields are those of version 3."""
    attributes = partial(put_attributes, version=version)
    layout = [
        (name, attributes if put is Attributes.encode else put) for name, put, _ in kind._LAYOUT
    ]

    def encode(request: Any) -> bytes:
        return b"".join([put(getattr(request, name)) for name, put in layout])

    return encode


def _put_look(request: Any, version: int) -> bytes:
    """Return STAT, LSTAT or FSTAT, which say which attributes are wanted: all."""
    return SFTPRequest.encode(request) + u32(known_flags(version))


def _put_open(request: msg.Open, version: int) -> bytes:
    """Return OPEN from version 5 on, with an access mask and a disposition (8.1.1)."""
    flags = request.flags
    access, way = Access(0), OpenWay(0)
    if flags & OpenFlag.READ or not flags & (OpenFlag.WRITE | OpenFlag.APPEND):
        access |= Access.READ_DATA | Access.READ_ATTRIBUTES
    if flags & (OpenFlag.WRITE | OpenFlag.APPEND):
        access |= Access.WRITE_DATA | Access.WRITE_ATTRIBUTES
    if flags & OpenFlag.APPEND:
        access |= Access.APPEND_DATA
        way |= OpenWay.APPEND_DATA
    making = OpenFlag(flags & _MAKING)
    if making & OpenFlag.CREAT and making & OpenFlag.EXCL:
        making &= ~OpenFlag.TRUNC  # there is nothing to truncate
    elif making & OpenFlag.EXCL:
        making &= ~OpenFlag.EXCL  # it means nothing without CREAT
    numbers = u32(access) + u32(_DISPOSITIONS.index(making) | way)
    return text(request.path) + numbers + put_attributes(request.attributes, version)


def _put_rename(request: Any, flags: int) -> bytes:
    return text(request.old) + text(request.new) + u32(flags)


def _put_real_path(request: msg.RealPath) -> bytes:
    return text(request.path) + u8(request.check or NO_CHECK)


def _put_link(request: Any) -> bytes:
    return text(request.link) + text(request.target) + boolean(True)


def _put_hard_link(request: ext.HardLink) -> bytes:
    return text(request.new) + text(request.old) + boolean(False)


def _take_entries(reader: WireReader, version: int) -> tuple[Entry, ...] | None:
    # Too large a count fails at the first missing entry.
    return (
        tuple([Entry(reader.text(), "", take_found(reader, version)) for _ in range(reader.u32())])
        or None
    )


def _take_names(reader: WireReader, version: int) -> list[str] | None:
    return [entry.name for entry in _take_entries(reader, version) or ()] or None


_LOOKS = (msg.Stat, msg.LStat, msg.FStat)
_SETS = (msg.SetStat, msg.FSetStat, msg.MkDir, ext.LSetStat)


def _forms(version: int) -> dict[Kind, Form]:
    """Return the forms of a version."""
    found: dict[Kind, Form] = {}
    kind: Kind
    for kind in _LOOKS:
        found[kind] = replace(
            form_of(kind),
            put=partial(_put_look, version=version),
            take_answer=partial(take_found, version=version),
        )
    for kind in (*_SETS, msg.Open):
        found[kind] = replace(form_of(kind), put=_put(kind, version))
    for kind, take in ((msg.ReadDir, _take_entries), (msg.ReadNames, _take_names)):
        found[kind] = replace(form_of(kind), take_answer=partial(take, version=version))
    if version >= 5:
        found[msg.Open] = replace(form_of(msg.Open), put=partial(_put_open, version=version))
        rename = form_of(msg.Rename)
        found[msg.Rename] = replace(rename, put=partial(_put_rename, flags=0))
        found[ext.PosixRename] = replace(
            rename, put=partial(_put_rename, flags=_OVERWRITE | _ATOMIC)
        )
    if version >= 6:
        found[msg.RealPath] = replace(form_of(msg.RealPath), put=_put_real_path)
        link = replace(form_of(msg.SymLink), number=int(FXP.LINK), put=_put_link)
        found |= {msg.SymLink: link, msg.DraftSymLink: link}
        found[ext.HardLink] = replace(link, put=_put_hard_link)
    return {**THIRD.forms, **found}


# --- requests that a server takes ---


def _take(reader: WireReader, kind: Kind, version: int) -> SFTPRequest[Any]:
    """Take a request whose fields are those of version 3."""
    attributes = partial(take_attributes, version=version)
    return kind(
        *[
            attributes(reader) if put is Attributes.encode else take(reader)
            for _, put, take in kind._LAYOUT
        ]
    )


def _take_open_4(reader: WireReader) -> msg.Open:
    path, flags = reader.text(), reader.u32()
    return msg.Open(path, flags, take_attributes(reader, 4), TEXT if flags & _TEXT_4 else 0)


def _take_open(reader: WireReader, version: int) -> msg.Open:
    """Take OPEN. Flags that the server does not support stay in its options, to be refused."""
    path, access, way = reader.text(), reader.u32(), reader.u32()
    disposition = way & _DISPOSITION
    if disposition >= len(_DISPOSITIONS):
        raise MalformedMessage(f"OPEN with the disposition {disposition}")
    flags = _DISPOSITIONS[disposition]
    if access & (Access.WRITE_DATA | Access.APPEND_DATA):
        flags |= OpenFlag.WRITE
    if access & Access.READ_DATA:
        flags |= OpenFlag.READ
    if way & _APPEND or access & (Access.WRITE_DATA | Access.APPEND_DATA) == Access.APPEND_DATA:
        flags |= OpenFlag.APPEND
    options = way & ~_SUPPORTED
    if way & OpenWay.TEXT_MODE:
        options |= TEXT
    return msg.Open(path, int(flags), take_attributes(reader, version), options)


def _take_rename(reader: WireReader) -> SFTPRequest[Any]:
    old, new, flags = reader.text(), reader.text(), reader.u32()
    kind = ext.PosixRename if flags & (_OVERWRITE | _NATIVE) else msg.Rename
    return kind(old, new)


def _take_real_path(reader: WireReader) -> msg.RealPath:
    """Take REALPATH: a path, and optionally the control byte and paths that continue the first."""
    parts = [reader.text()]
    check = reader.u8() if reader.remaining else NO_CHECK
    if not NO_CHECK <= check <= CHECK_ALWAYS:
        raise MalformedMessage(f"REALPATH with the control byte {check}")
    while reader.remaining:
        part = reader.text()
        if part.startswith("/"):
            parts.clear()
        parts.append(part)
    return msg.RealPath("/".join(parts), check)


def _take_link(reader: WireReader) -> SFTPRequest[Any]:
    new, existing = reader.text(), reader.text()
    return msg.SymLink(existing, new) if reader.boolean() else ext.HardLink(existing, new)


def _requests(version: int) -> dict[int, Take]:
    """Return what takes the requests of a version."""
    found: dict[int, Take] = {
        int(kind.NUMBER): partial(_take, kind=kind, version=version)
        for kind in _SETS
        if not kind.EXTENSION
    }
    found[FXP.SYMLINK] = msg.DraftSymLink.decode
    found[FXP.OPEN] = _take_open_4
    if version >= 5:
        found[FXP.OPEN] = partial(_take_open, version=version)
        found[FXP.RENAME] = _take_rename
    whole = {**THIRD.requests, **found}
    if version >= 6:
        whole |= {FXP.REALPATH: _take_real_path, FXP.LINK: _take_link}
        del whole[FXP.SYMLINK]
    return whole


# --- what VERSION tells ---


def _announcement(offered: Mapping[str, str], version: int) -> bytes:
    """Return the extension pairs of VERSION: what is supported, in the form of the version."""
    pairs = {name: data.encode() for name, data in offered.items()}
    pairs["vendor-id"] = text("nacre") * 2 + text(__version__) + u64(0)
    requests = [name for name in THIRD.extensions if ext.announced_as(name) in offered]
    names = b"".join(map(text, requests))
    access = sum(Access)
    # A READ may return less than it asked for, so there is no size for which it never does: 0.
    masks = b"".join(map(u32, (_SETTABLE, 0, _SUPPORTED, access, 0)))
    if version == 5:
        pairs["supported"] = masks + names
    elif version == 6:
        blocks = _NO_BLOCKS.to_bytes(2, "big") + bytes(2)
        pairs["supported2"] = masks + blocks + u32(0) + u32(len(requests)) + names
        pairs["acl-supported"] = u32(0)
    return b"".join([text(name) + string(data) for name, data in pairs.items()])


def _announced(pairs: Mapping[str, str], version: int) -> dict[str, str]:
    """Return the extensions of VERSION, and those that only ``supported[2]`` names."""
    found = dict(pairs)
    name = {5: "supported", 6: "supported2"}.get(version, "")
    reader = WireReader(pairs.get(name, "").encode("utf-8", "surrogateescape"))
    try:
        reader.fixed(5 * 4)
        if version == 6:
            reader.fixed(2 * 2)
            for _ in range(reader.u32()):
                reader.string()
            reader.fixed(4)
        while reader.remaining and len(found) < DEFAULT_SFTP_LIMITS.extensions:
            found.setdefault(reader.text(), "")
    except MalformedMessage:
        pass  # the names before it count
    return found


def _put_entry(entry: Entry, version: int) -> bytes:
    return text(entry.name) + put_attributes(entry.attributes, version)


_NATIVE_SINCE = {ext.PosixRename.EXTENSION: 5, ext.HardLink.EXTENSION: 6}
_CHARSET = {6: {"filename-charset": "UTF-8"}}
_LAST_CODES = {4: FX.NO_MEDIA, 5: FX.LOCK_CONFLICT, 6: FX.NO_MATCHING_BYTE_RANGE_LOCK}


def _version(number: int) -> Version:
    later = {name: code for name, code in LATER_CODES.items() if code <= _LAST_CODES[number]}
    lsetstat = partial(_take, kind=ext.LSetStat, version=number)
    return Version(
        number=number,
        forms=_forms(number),
        requests=_requests(number),
        extensions={**THIRD.extensions, ext.LSetStat.EXTENSION: lsetstat},
        names=True,
        link_first=True,
        found=Attributes.detailed,
        native=frozenset(name for name, since in _NATIVE_SINCE.items() if since <= number),
        implied={
            ext.TextSeek: msg.Read,
            **({ext.PosixRename: msg.Rename} if number >= 5 else {}),
        },
        put_attributes=partial(put_attributes, version=number),
        put_entry=partial(_put_entry, version=number),
        codes={**THIRD.codes, **later},
        invalid_handle=FX.INVALID_HANDLE,
        offered={"newline": "\n", "text-seek": "1", **_CHARSET.get(number, {})},
        announcement=partial(_announcement, version=number),
        announced=partial(_announced, version=number),
    )


LATER = {number: _version(number) for number in (4, 5, 6)}
"""The versions by number."""
