"""Frozen, slotted dataclasses whose methods are compiled on first use.

::

    @value
    class Chosen:
        kex: str
        strict: bool = False

``dataclass`` compiles the methods of a class where it is defined; ``value`` when the first instance
is made. A program uses a few of the hundred classes of this kind, and compiling all of them took a
fifth of its start-up time.

Which one to use:

- ``value`` in every module that ``nacre ssh`` loads, and for every class that is exported. It has
  neither ``default_factory`` nor ``__post_init__``.
- ``dataclass`` elsewhere, and for a class that needs one of these.
- :func:`replace` of this module for a value, ``dataclasses.replace`` for a dataclass. A value also
  answers to ``dataclasses.replace``, ``fields`` and ``asdict``, but only for programs that use
  nacre: it loads ``dataclasses`` and builds the fields a second time.

Defaults are shared by all instances, so they must be immutable. The fields of a base class come
before those of its subclass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, TypeVar, dataclass_transform, overload

T = TypeVar("T")


@overload
@dataclass_transform(frozen_default=True)
def value(cls: type[T], /) -> type[T]: ...


@overload
@dataclass_transform(frozen_default=True)
def value(
    *, frozen: bool = True, eq: bool = True, kw_only: bool = False, repr: bool = True
) -> Callable[[type[T]], type[T]]: ...


def value(
    cls: type[T] | None = None,
    /,
    *,
    frozen: bool = True,
    eq: bool = True,
    kw_only: bool = False,
    repr: bool = True,
) -> type[T] | Callable[[type[T]], type[T]]:
    """Make a frozen, slotted class with a constructor out of annotated fields.

    :param frozen: whether its instances are immutable, and hashable if ``eq`` is True.
    :param eq: whether instances are equal when their fields are.
    :param kw_only: whether the constructor takes its arguments by name only.
    :param repr: whether ``repr`` shows the fields; False for classes that hold secrets.
    """

    def decorate(cls: type[T]) -> type[T]:
        return _declare(cls, frozen=frozen, eq=eq, kw_only=kw_only, repr=repr)

    return decorate if cls is None else decorate(cls)


def replace(instance: T, **changes: Any) -> T:
    """Return a copy of the value ``instance`` with some fields changed."""
    fields: tuple[str, ...] = type(instance)._FIELDS  # type: ignore[attr-defined]
    kept = {name: getattr(instance, name) for name in fields if name not in changes}
    return type(instance)(**kept, **changes)


def _declare(cls: type[T], *, frozen: bool, eq: bool, kw_only: bool, repr: bool) -> type[T]:
    annotations = cls.__annotations__
    own = tuple(name for name, kind in annotations.items() if not kind.startswith("ClassVar"))
    # Slots can't be added to a class that exists, so the class is created a second time.
    namespace = {
        name: entry
        for name, entry in cls.__dict__.items()
        if name not in own and name not in ("__dict__", "__weakref__")
    }
    defaults = {name: cls.__dict__[name] for name in own if name in cls.__dict__}
    fields = (*getattr(cls, "_FIELDS", ()), *own)

    def __init__(self: T, *args: object, **kwargs: object) -> None:
        _compile(made, frozen, kw_only)
        made.__init__(self, *args, **kwargs)

    methods: dict[str, object] = {"__init__": __init__, "__reduce__": _reduce}
    if eq:
        methods |= {"__eq__": _eq, "__hash__": _hash if frozen else None}
    if frozen:
        methods |= {"__setattr__": _refuse, "__delattr__": _refuse}
    if repr:
        methods["__repr__"] = _repr
    of_the_class = {
        "__qualname__": cls.__qualname__,
        # help() shows what a dict says of each slot.
        "__slots__": {name: str(annotations[name]) for name in own},
        "__signature__": _Signature(kw_only),
        "__match_args__": () if kw_only else fields,
        "__dataclass_fields__": _DataclassFields(),
        "_FIELDS": fields,
        "_DEFAULTS": {**getattr(cls, "_DEFAULTS", {}), **defaults},
    }
    metaclass: Any = type(cls)
    made: type[T] = metaclass(cls.__name__, cls.__bases__, methods | namespace | of_the_class)
    return made


def _compile(cls: Any, frozen: bool, kw_only: bool) -> None:
    names: tuple[str, ...] = cls._FIELDS
    parameters = [f"{name}=_default_{name}" if name in cls._DEFAULTS else name for name in names]
    if kw_only and names:
        parameters.insert(0, "*")
    store = "_set_{0}(self, {0})" if frozen else "self.{0} = {0}"
    body = "".join(f"    {store.format(name)}\n" for name in names) or "    pass\n"
    namespace: dict[str, Any] = {f"_set_{name}": getattr(cls, name).__set__ for name in names}
    namespace |= {f"_default_{name}": default for name, default in cls._DEFAULTS.items()}
    source = f"def __init__({', '.join(['self', *parameters])}):\n{body}"
    exec(compile(source, f"<{cls.__qualname__}>", "exec"), namespace)
    cls.__init__ = namespace["__init__"]


def _refuse(self: object, name: str, value: object = None) -> NoReturn:
    raise AttributeError(f"{type(self).__name__} can't be changed: {name}")


def _fields(self: Any) -> tuple[Any, ...]:
    return tuple([getattr(self, name) for name in self._FIELDS])


def _eq(self: object, other: object) -> bool:
    return _fields(self) == _fields(other) if type(self) is type(other) else NotImplemented


def _hash(self: object) -> int:
    return hash(_fields(self))


def _repr(self: Any) -> str:
    shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._FIELDS)
    return f"{type(self).__qualname__}({shown})"


def _reduce(self: object) -> tuple[object, ...]:
    # What copies and pickles by default would set the fields of an instance that refuses it.
    return _made_again, (type(self), _fields(self))


def _made_again(cls: Any, fields: tuple[Any, ...]) -> Any:
    return cls(**dict(zip(cls._FIELDS, fields, strict=True)))


class _Signature:
    """The constructor's signature for ``help``, built when it is read.

    :raises AttributeError: for a subclass that is no value and may have a constructor of its own.
    """

    def __init__(self, kw_only: bool) -> None:
        self._kw_only = kw_only

    def __get__(self, instance: object, owner: Any) -> Any:
        if "_FIELDS" not in vars(owner):
            raise AttributeError("__signature__")
        from inspect import Parameter, Signature, get_annotations

        annotations: dict[str, Any] = {}
        for base in reversed(owner.__mro__):
            annotations |= get_annotations(base)
        kind = Parameter.KEYWORD_ONLY if self._kw_only else Parameter.POSITIONAL_OR_KEYWORD
        return Signature(
            [
                Parameter(
                    name,
                    kind,
                    default=owner._DEFAULTS.get(name, Parameter.empty),
                    annotation=annotations.get(name, Parameter.empty),
                )
                for name in owner._FIELDS
            ]
        )


def _with_default(default: Any) -> Any:
    from dataclasses import field

    if default.__hash__ is None:
        # Such as a mapping that can't be changed: dataclasses takes it for one that can.
        return field(default_factory=lambda: default)
    return field(default=default)


class _DataclassFields:
    """The fields of a value as ``dataclasses`` expects them, built when they are first read."""

    def __get__(self, instance: object, owner: Any) -> Any:
        from dataclasses import make_dataclass

        like = make_dataclass(
            owner.__name__,
            [
                (name, Any, _with_default(owner._DEFAULTS[name]))
                if name in owner._DEFAULTS
                else (name, Any)
                for name in owner._FIELDS
            ],
            kw_only=True,
        )
        owner.__dataclass_fields__ = fields = vars(like)["__dataclass_fields__"]
        return fields
