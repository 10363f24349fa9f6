"""Messages as classes: annotated fields in, compiled ``encode`` and ``decode`` out.

::

    @message(80)
    class GlobalRequest(Message):
        name: Text
        want_reply: Bool
        data: Rest

``@record`` does the same for a structure that has no message number. Both make frozen, slotted
dataclasses. ``decode`` refuses bytes behind the last field.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar, Self, TypeVar, dataclass_transform, get_type_hints

from nacre.errors import MalformedMessage
from nacre.wire import codec
from nacre.wire.codec import Buffer, Reader

U8 = Annotated[int, "u8"]
U32 = Annotated[int, "u32"]
U64 = Annotated[int, "u64"]
Bool = Annotated[bool, "boolean"]
String = Annotated[bytes, "string"]
Text = Annotated[str, "text"]
MPInt = Annotated[int, "mpint"]
MPInt1 = Annotated[int, "mpint1"]
NameList = Annotated[tuple[str, ...], "name_list"]
Cookie = Annotated[bytes, "cookie"]
Cookie1 = Annotated[bytes, "cookie1"]
Digest = Annotated[bytes, "digest"]
Rest = Annotated[bytes, "rest"]
SecretString = Annotated[bytes, "string", "secret"]
SecretText = Annotated[str, "text", "secret"]

_ENCODE = {
    "cookie": "self.{0}",
    "cookie1": "self.{0}",
    "digest": "self.{0}",
    "rest": "self.{0}",
}
_DECODE = {
    "cookie": "reader.octets(16)",
    "cookie1": "reader.octets(8)",
    "digest": "reader.octets(16)",
}


class Record:
    """A structure on the wire. Subclasses are made by :func:`record` or :func:`message`."""

    __slots__ = ()
    SECRETS: ClassVar[frozenset[str]] = frozenset()

    def encode(self) -> bytes:
        """Return the bytes of this structure; of a message, with its number in front."""
        raise NotImplementedError

    @classmethod
    def decode(cls, data: Buffer) -> Self:
        """Return the structure that ``data`` holds whole, a message's number included.

        :raises MalformedMessage: when a field is cut off or malformed, or bytes follow the last.
        """
        raise NotImplementedError

    def __repr__(self) -> str:
        shown = ", ".join(
            f"{f.name}={'<hidden>' if f.name in self.SECRETS else repr(getattr(self, f.name))}"
            for f in fields(self)  # type: ignore[arg-type]
        )
        return f"{type(self).__name__}({shown})"


class Message(Record):
    """A record with a message number in front."""

    __slots__ = ()
    NUMBER: ClassVar[int]


R = TypeVar("R", bound=Record)


def _compile(cls: type[R], number: int | None) -> type[R]:
    made = dataclass(frozen=True, slots=True, repr=False)(cls)
    hints = get_type_hints(made, include_extras=True)
    names = [f.name for f in fields(made)]  # type: ignore[arg-type]
    kinds: dict[str, tuple[Any, ...]] = {name: hints[name].__metadata__ for name in names}
    parts = [] if number is None else [repr(bytes((number,)))]
    for name in names:
        kind = kinds[name][0]
        parts.append(_ENCODE.get(kind, "codec." + kind + "(self.{0})").format(name))
    values = ", ".join(_DECODE.get(kinds[name][0], f"reader.{kinds[name][0]}()") for name in names)
    start = 0 if number is None else 1
    check = (
        ""
        if number is None
        else (
            f"    if not len(data) or data[0] != {number}:\n"
            f"        raise MalformedMessage('not a message {number}')\n"
        )
    )
    source = (
        f"def encode(self):\n    return {' + '.join(parts) or repr(b'')}\n"
        f"def decode(cls, data):\n{check}    reader = Reader(data, {start})\n"
        f"    value = cls({values})\n    reader.end()\n    return value\n"
    )
    namespace: dict[str, Any] = {
        "codec": codec,
        "Reader": Reader,
        "MalformedMessage": MalformedMessage,
    }
    exec(compile(source, f"<{cls.__name__} on the wire>", "exec"), namespace)
    # A type's attributes: the base class declares both, so callers stay typed.
    type.__setattr__(made, "encode", namespace["encode"])
    type.__setattr__(made, "decode", classmethod(namespace["decode"]))
    type.__setattr__(made, "SECRETS", frozenset(n for n in names if "secret" in kinds[n]))
    if number is not None:
        type.__setattr__(made, "NUMBER", number)
    return made


@dataclass_transform(frozen_default=True)
def record(cls: type[R]) -> type[R]:
    """Make ``cls``, whose fields carry the annotations above, a structure on the wire."""
    return _compile(cls, None)


@dataclass_transform(frozen_default=True)
def message(number: int) -> Callable[[type[R]], type[R]]:
    """Make a class a message with ``number``."""

    def decorate(cls: type[R]) -> type[R]:
        return _compile(cls, number)

    return decorate
