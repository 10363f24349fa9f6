"""Values behave as frozen dataclasses, and are compiled when the first one is made."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import pydoc
import re
import subprocess
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

import pytest

from nacre.value import replace, value


@value
class Point:
    """Two numbers."""

    ORIGIN: ClassVar[str] = "0,0"
    x: int
    y: int = 0


@value(kw_only=True)
class Named(Point):
    name: str


@value(frozen=False, eq=False, repr=False)
class Question:
    secret: str


@value
class Nothing:
    pass


def test_constructor_takes_fields_in_order_and_by_name():
    assert (Point(1).x, Point(1).y, Point(1, 2).y, Point(y=3, x=4).y) == (1, 0, 2, 3)
    with pytest.raises(TypeError, match="'x'"):
        Point()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Point(1, 2, 3)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Point(1, z=1)  # type: ignore[call-arg]


def test_fields_of_a_base_come_first_and_names_can_be_demanded():
    named = Named(name="a", x=1)
    assert (named.x, named.y, named.name) == (1, 0, "a")
    assert repr(named) == "Named(x=1, y=0, name='a')"
    with pytest.raises(TypeError):
        Named(1, 2, "a")  # type: ignore[call-arg]


def test_values_can_not_be_changed():
    point = Point(1)
    for change in (
        lambda: setattr(point, "x", 2),
        lambda: delattr(point, "x"),
        lambda: setattr(point, "new", 2),
    ):
        with pytest.raises(AttributeError):
            change()
    assert point == Point(1)
    assert not hasattr(point, "__dict__")


def test_values_are_equal_when_their_fields_and_classes_are():
    assert Point(1) == Point(1, 0)
    assert Point(1) != Point(2)
    assert Point(1) != Named(x=1, name="")
    assert hash(Point(1)) == hash(Point(1))
    assert len({Point(1), Point(1), Point(2)}) == 2
    assert Nothing() == Nothing()


def test_what_is_not_frozen_changes_and_is_itself_only():
    question = Question("a")
    question.secret = "b"
    assert question.secret == "b"
    assert question != Question("b")
    assert repr(question) == object.__repr__(question)


def test_repr_and_patterns():
    assert repr(Point(1)) == "Point(x=1, y=0)"
    match Point(1, 2):
        case Point(1, y):
            assert y == 2
        case _:
            pytest.fail("no match")


def test_docstring_name_and_class_variables_stay():
    assert Point.__doc__ == "Two numbers."
    assert Point.__qualname__ == "Point"
    assert Point.ORIGIN == "0,0"


@pytest.mark.parametrize("replace", [replace, dataclasses.replace])
def test_replace(replace):
    assert replace(Named(name="a", x=1), y=5) == Named(name="a", x=1, y=5)
    with pytest.raises(TypeError):
        replace(Point(1), z=1)


def test_to_dataclasses_a_value_is_one():
    point = Point(1)
    assert dataclasses.is_dataclass(Point)
    assert [field.name for field in dataclasses.fields(Named)] == ["x", "y", "name"]
    assert dataclasses.asdict(point) == {"x": 1, "y": 0}


@value
class Mapped:
    variables: Mapping[str, str] = MappingProxyType({})


def test_a_mapping_that_can_not_be_changed_is_a_default():
    (field,) = dataclasses.fields(Mapped)
    made = field.default_factory  # where such a mapping has no hash, before Python 3.12
    default = field.default if made is dataclasses.MISSING else made()
    assert default is Mapped().variables


def test_what_is_only_defined_is_not_compiled():
    program = (
        "import builtins\n"
        "import nacre.value\n"
        "seen = []\n"
        "nacre.value.compile = lambda *a: seen.append(a[1]) or builtins.compile(*a)\n"
        "import nacre.protocol.events as events\n"
        "print(any('Authenticated' in name for name in seen))\n"
        "events.Authenticated('a', ()), events.Authenticated('b', ())\n"
        "print(sum('Authenticated' in name for name in seen))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.split() == ["False", "1"]


def test_help_shows_the_fields():
    assert str(inspect.signature(Point)) == "(x: 'int', y: 'int' = 0)"
    assert str(inspect.signature(Named)) == "(*, x: 'int', y: 'int' = 0, name: 'str')"
    shown = pydoc.render_doc(Point, renderer=pydoc.plaintext)  # type: ignore[attr-defined]
    assert "Point(x: 'int', y: 'int' = 0)" in shown or "Point(x: int, y: int = 0)" in shown
    assert re.search(r"\n {5}x\n|\| {2}x\n", shown)
    assert inspect.getdoc(Point.x) == "int"


def test_a_subclass_has_the_signature_of_its_own_constructor():
    class Other(Point):
        def __init__(self, text: str) -> None:
            super().__init__(len(text))

    assert list(inspect.signature(Other).parameters) == ["text"]
    assert Other("ab").x == 2


@pytest.mark.parametrize("name", ["Attributes", "Completed", "Entry", "Limits", "Prompt"])
def test_help_shows_the_fields_of_public_values(name):
    import nacre

    kind = getattr(nacre, name)
    parameters = inspect.signature(kind).parameters
    assert list(parameters) == list(kind.__match_args__ or parameters)
    assert not any(one.kind is one.VAR_POSITIONAL for one in parameters.values())


@pytest.mark.parametrize("one", [Point(1, 2), Named(name="a", x=1), Nothing()])
def test_values_are_copied_and_go_to_other_processes(one: object):
    assert pickle.loads(pickle.dumps(one)) == one
    assert copy.copy(one) == one
