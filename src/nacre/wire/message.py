"""Messages as classes: annotated fields in, compiled ``encode`` and ``decode`` out.

::

    @message(80)
    class GlobalRequest(Message):
        name: Text
        want_reply: Bool
        data: Rest

``@record`` does the same for a structure without a message number. Instances are immutable, and
equal when their fields are. ``decode`` refuses bytes behind the last field. A ``language`` that is
the last field may be missing: nothing depends on it, and some peers leave it out.

A class is compiled on first use: a program uses a few of the hundred classes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, NoReturn, Self, TypeVar, dataclass_transform

from nacre.errors import MalformedMessage
from nacre.wire import codec
from nacre.wire.codec import Buffer, WireReader

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
SecretRest = Annotated[bytes, "rest", "secret"]

_ENCODE = {
    "cookie": "self.{0}",
    "cookie1": "self.{0}",
    "digest": "self.{0}",
    "rest": "self.{0}",
}
_DECODE = {
    "cookie": "reader.fixed(16)",
    "cookie1": "reader.fixed(8)",
    "digest": "reader.fixed(16)",
}


class Record:
    """A structure on the wire. Subclasses are made by :func:`record` or :func:`message`.

    :cvar FIELDS: the names of the fields, in order.
    :cvar SECRETS: the fields that ``repr`` hides.
    """

    FIELDS: ClassVar[tuple[str, ...]] = ()
    SECRETS: ClassVar[frozenset[str]] = frozenset()
    _KINDS: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _compile(type(self))
        type(self).__init__(self, *args, **kwargs)

    def encode(self) -> bytes:
        """Return the bytes of this structure; for a message, its number comes first."""
        _compile(type(self))
        return type(self).encode(self)

    @classmethod
    def decode(cls, data: Buffer) -> Self:
        """Return the structure in ``data``, which for a message begins with its number.

        :raises MalformedMessage: a field is cut off or malformed, or bytes follow the last one.
        """
        _compile(cls)
        return cls.decode(data)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((type(self), *self.__dict__.values()))

    def __repr__(self) -> str:
        shown = ", ".join(
            f"{name}={'<hidden>' if name in self.SECRETS else repr(getattr(self, name))}"
            for name in self.FIELDS
        )
        return f"{type(self).__name__}({shown})"


class Message(Record):
    """A record with a message number in front."""

    NUMBER: ClassVar[int]


R = TypeVar("R", bound=Record)


def _frozen(self: Record, name: str, new: object = None) -> NoReturn:
    raise AttributeError(f"{type(self).__name__} can't be changed")


def _declare(cls: type[R]) -> type[R]:
    names = vars(sys.modules[cls.__module__])
    annotations: dict[str, str] = cls.__annotations__
    marks = {field: names[annotation].__metadata__ for field, annotation in annotations.items()}
    cls.FIELDS = tuple(marks)
    cls.SECRETS = frozenset(field for field, mark in marks.items() if "secret" in mark)
    cls._KINDS = tuple(mark[0] for mark in marks.values())
    type.__setattr__(cls, "__match_args__", cls.FIELDS)
    type.__setattr__(cls, "__setattr__", _frozen)
    type.__setattr__(cls, "__delattr__", _frozen)
    return cls


def _compile(cls: type[Record]) -> None:
    if not cls.FIELDS and "FIELDS" not in cls.__dict__:
        raise TypeError(f"{cls.__name__} has no fields: decorate it with record or message")
    number = cls.__dict__.get("NUMBER")
    fields = list(zip(cls.FIELDS, cls._KINDS, strict=True))
    head = [] if number is None else [repr(bytes((number,)))]
    parts = [_ENCODE.get(kind, f"codec.{kind}(self.{{0}})").format(name) for name, kind in fields]
    takes = [_DECODE.get(kind, f"reader.{kind}()") for _, kind in fields]
    if cls.FIELDS[-1:] == ("language",):
        takes[-1] = "reader.text() if reader.remaining else ''"
    values = ", ".join(takes)
    check = (
        ""
        if number is None
        else (
            f"    if not len(data) or data[0] != {number}:\n"
            f"        raise MalformedMessage('not a message {number}')\n"
        )
    )
    stores = "".join(f"    _stored[{name!r}] = {name}\n" for name in cls.FIELDS)
    source = (
        f"def __init__(self, {', '.join(cls.FIELDS)}):\n    _stored = self.__dict__\n{stores}"
        f"def encode(self):\n    return {' + '.join(head + parts) or repr(b'')}\n"
        f"def decode(cls, data):\n{check}    reader = Reader(data, {len(head)})\n"
        f"    decoded = cls({values})\n    reader.end()\n    return decoded\n"
    )
    namespace: dict[str, Any] = {
        "codec": codec,
        "Reader": WireReader,
        "MalformedMessage": MalformedMessage,
    }
    exec(compile(source, f"<{cls.__name__} on the wire>", "exec"), namespace)
    # Set by type.__setattr__: the base class declares these, so callers stay typed.
    type.__setattr__(cls, "__init__", namespace["__init__"])
    type.__setattr__(cls, "encode", namespace["encode"])
    type.__setattr__(cls, "decode", classmethod(namespace["decode"]))


@dataclass_transform(frozen_default=True)
def record(cls: type[R]) -> type[R]:
    """Make ``cls``, whose fields have the annotations above, a structure on the wire."""
    return _declare(cls)


@dataclass_transform(frozen_default=True)
def message(number: int) -> Callable[[type[R]], type[R]]:
    """Return a decorator that makes a class the message with ``number``."""

    def decorate(cls: type[R]) -> type[R]:
        cls.NUMBER = number  # type: ignore[attr-defined]
        return _declare(cls)

    return decorate
