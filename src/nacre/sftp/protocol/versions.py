"""The versions of SFTP: for each one how its requests, attributes and failures are on the wire.

A :class:`Version` is chosen by INIT and VERSION, and is nothing but tables: clients and servers
look things up in it and never ask for its number. Version 3 is here; later ones are built on it in
:mod:`nacre.sftp.protocol.later`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from nacre.sftp.protocol.attributes import Attributes, Entry
from nacre.sftp.protocol.extensions import EXTENSIONS, LATER_EXTENSIONS, encode_pairs
from nacre.sftp.protocol.messages import (
    REQUESTS,
    VERSION_3,
    DraftSymLink,
    ReadNames,
    SFTPRequest,
)
from nacre.sftp.protocol.status import CODES, FX
from nacre.value import value
from nacre.wire.codec import WireReader

Kind = type[SFTPRequest[Any]]
Take = Callable[[WireReader], SFTPRequest[Any]]


@value
class Form:
    """How a client sends one kind of request, and reads its answer.

    :ivar number: the packet's type.
    :ivar extension: the extension's name, or "".
    :ivar put: returns the bytes behind the request id or the extension's name.
    :ivar take_answer: takes the result off the answer, behind the request id.
    """

    number: int
    extension: str
    put: Callable[[Any], bytes]
    take_answer: Callable[[WireReader], Any]


@value
class Version:
    """One version.

    :ivar forms: for clients, the form of each kind of request.
    :ivar requests: for servers, what takes a request, by packet type.
    :ivar extensions: for servers, what takes an extended request, by name.
    :ivar names: whether owners are names, and times have parts of a second.
    :ivar link_first: whether SYMLINK has the link first as a rule, as drafted.
    :ivar found: makes attributes of what the system tells of a file, with what the version has.
    :ivar native: extensions of version 3 that are requests of this version.
    :ivar implied: for servers, kinds of requests that are denied where another kind is.
    :ivar put_attributes: returns the bytes of an ATTRS structure.
    :ivar put_entry: returns the bytes of a member of a NAME packet.
    :ivar codes: the status for an ``errno``; any other is FAILURE.
    :ivar invalid_handle: the status for a handle that is not open.
    :ivar offered: what a server offers besides the extensions of version 3.
    :ivar announcement: returns the extension pairs of a server's VERSION, for what it offers.
    :ivar announced: returns all extensions that a server's VERSION names, from its pairs.
    """

    number: int
    forms: Mapping[Kind, Form]
    requests: Mapping[int, Take]
    extensions: Mapping[str, Take]
    names: bool
    link_first: bool
    found: Callable[[os.stat_result], Attributes]
    native: frozenset[str]
    implied: Mapping[Kind, Kind]
    put_attributes: Callable[[Attributes], bytes]
    put_entry: Callable[[Entry], bytes]
    codes: Mapping[int, int]
    invalid_handle: int
    offered: Mapping[str, str]
    announcement: Callable[[dict[str, str]], bytes]
    announced: Callable[[dict[str, str]], dict[str, str]]


def form_of(kind: Kind) -> Form:
    """Return the form of a request in version 3."""
    return Form(int(kind.NUMBER), kind.EXTENSION, kind.encode, kind.decode_answer)


_EXTENSIONS = {**EXTENSIONS, **LATER_EXTENSIONS}

THIRD = Version(
    number=VERSION_3,
    forms={
        kind: form_of(kind)
        for kind in (*REQUESTS.values(), *_EXTENSIONS.values(), ReadNames, DraftSymLink)
    },
    requests={number: kind.decode for number, kind in REQUESTS.items()},
    extensions={name: kind.decode for name, kind in _EXTENSIONS.items()},
    names=False,
    link_first=False,
    found=Attributes.of,
    native=frozenset(),
    implied={},
    put_attributes=Attributes.encode,
    put_entry=Entry.encode,
    codes=CODES,
    invalid_handle=FX.FAILURE,
    offered={},
    announcement=encode_pairs,
    announced=dict,
)
"""Version 3 (draft-ietf-secsh-filexfer-02)."""
